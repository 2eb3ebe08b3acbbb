"""``duplicates``, ``groups`` and ``match`` on the command line: JSON, CSV and a page."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from reseen.cli import groups as groups_verb
from reseen.cli import pairs as pairs_verb
from reseen.collections import groups, pairs
from reseen.scenes import paint


@pytest.fixture
def shelf(tmp_path, make, call):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(3):
        Image.fromarray(paint(seed, longest=320).pixels).save(folder / f"{seed}.png")
    pixels = paint(0, longest=320).pixels
    Image.fromarray(np.ascontiguousarray(pixels[:, : -pixels.shape[1] // 50])).save(folder / "0-copy.jpg", quality=80)
    recipe = make().save(tmp_path / "tiny")
    call("index", folder, "--to", tmp_path / "shelf", "--recipe", recipe, "--local", "sift", "-q")
    return tmp_path / "shelf"


@pytest.mark.parametrize("verb", ["duplicates", "groups"])
def test_pairs_within_a_collection(tmp_path, shelf, call, verb):
    table, page = tmp_path / "pairs.csv", tmp_path / "pairs.html"
    code, out, err = call(verb, shelf, "--csv", table, "--html", page, "--json")
    assert code == 0 and f"wrote {table}" in err and f"wrote {page}" in err
    found = json.loads(out)
    listed = found["pairs"] if verb == "duplicates" else found["groups"][0]["pairs"]
    assert found["photos"] == 4 and len(listed) == 1
    assert {listed[0][side]["path"].rpartition("/")[2] for side in ("first", "second")} == {"0.png", "0-copy.jpg"}
    (line,) = csv.DictReader(table.open(encoding="utf-8"))
    assert line["group"] == "1" and {line["first"], line["second"]} == {
        listed[0][side]["path"] for side in ("first", "second")
    }
    text = page.read_text(encoding="utf-8")
    assert text.count("<section") == 1 and "0-copy.jpg" in text and "1.png" not in text and "<line" in text


def test_a_collection_in_another(tmp_path, shelf, make, call):
    asked = tmp_path / "asked"
    asked.mkdir()
    Image.fromarray(paint(2, longest=240).pixels).save(asked / "mine.jpg")
    Image.fromarray(paint(60, longest=240).pixels).save(asked / "strange.jpg")
    call("index", asked, "--to", tmp_path / "mine", "--recipe", tmp_path / "tiny", "--local", "sift", "-q")
    code, out, _ = call("match", tmp_path / "mine", shelf, "--json", "--html", tmp_path / "page.html")
    (found,) = json.loads(out)["pairs"]
    assert code == 0 and found["probability"] > 0.5
    assert found["first"]["path"].endswith("mine.jpg") and found["second"]["path"].endswith("2.png")
    assert "2.png" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert json.loads(call("match", tmp_path / "mine", shelf, "--json", "--probability", "1")[1])["pairs"] == []


def test_groups_need_local_features(tmp_path, make, paint, call):
    photos = paint(tmp_path / "photos", 2)
    call("index", *photos, "--to", tmp_path / "c", "--recipe", make().save(tmp_path / "tiny"), "-q", "--local", "none")
    code, _, err = call("groups", tmp_path / "c")
    assert code == 1 and "--local sift" in err
    assert call("duplicates", tmp_path / "c", "--json")[0] == 0


def test_defaults_are_the_librarys():
    assert (pairs_verb.DEPTH, groups_verb.SURE) == (pairs.DEPTH, groups.SURE)
