"""A vocabulary from the command line."""

import json

from PIL import Image

from reseen.scenes import paint
from reseen.search.vocabulary import Vocabulary


def test_words_are_learned_from_a_folder(tmp_path, call):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(paint(i, longest=320).pixels).save(folder / f"{i}.png")
    (folder / "page.jpg").write_bytes(b"<html>")
    to = tmp_path / "words.safetensors"
    code, out, err = call("vocabulary", folder, "--to", to, "--size", 16, "--json")
    assert (code, err) == (0, "")
    report = json.loads(out)
    assert (report["words"], report["found"], report["photos"]) == (16, 4, 3)
    assert report["rejected"] == [{"path": str(folder / "page.jpg"), "reason": "not a photo but a web page"}]
    assert len(Vocabulary.read(to)) == 16
    code, _, err = call("vocabulary", folder, "--to", to, "--size", 4096)
    assert code == 1 and "too few for 4096 words" in err
