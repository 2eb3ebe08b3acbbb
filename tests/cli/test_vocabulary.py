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


def test_a_collection_takes_a_vocabulary_of_its_own(tmp_path, call, make):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(3):
        Image.fromarray(paint(i, longest=320).pixels).save(folder / f"{i}.png")
    words, recipe = tmp_path / "words.safetensors", make().save(tmp_path / "tiny")
    call("vocabulary", folder, "--to", words, "--size", 16, "-q")
    options = ("--recipe", recipe, "--vocabulary", words, "-q")
    code, _, err = call("index", folder, "--to", tmp_path / "c", *options, "--local", "none")
    assert code == 1 and "--local is none" in err and not (tmp_path / "c").exists()
    assert call("index", folder, "--to", tmp_path / "c", *options)[0] == 0
    assert "0.png" in call("search", tmp_path / "c", folder / "0.png", "-k", 1, "--first", "local")[1]
    assert call("verify", tmp_path / "c")[0] == 0
