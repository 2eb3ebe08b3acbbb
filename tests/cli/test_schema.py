"""Every JSON on stdout has a schema; the ``call`` of these tests checks each against it."""

import json

import pytest
from pydantic import ValidationError

from reseen import schema
from reseen.cli.main import VERBS


def test_every_verb_has_a_schema():
    assert set(schema.OUTPUTS) == set(VERBS)


def test_a_key_too_many_or_missing_does_not_fit(fits):
    fits("remove", '{"removed": 1, "photos": 2}')
    for wrong in ({"removed": 1}, {"removed": 1, "photos": 2, "left": 3}, {"removed": "1", "photos": 2}):
        with pytest.raises(ValidationError):
            fits("remove", json.dumps(wrong))


def test_a_collections_verbs(tmp_path, make, paint, call):
    photos, shelf = paint(tmp_path / "photos", 4, size=(240, 160)), tmp_path / "shelf"
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"")
    (tmp_path / "labels.csv").write_text(f"path,label\n{photos[0]},cup\n{photos[1]},\ngone.jpg,jug\n")
    recipe = make().save(tmp_path / "tiny")
    call("index", tmp_path / "photos", "--to", shelf, "--recipe", recipe, "--local", "sift", "--json")
    code, out, err = call("label", shelf, tmp_path / "labels.csv", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out) == {"labelled": 2, "unknown": [str(tmp_path / "gone.jpg")], "ambiguous": []}
    listed = json.loads(call("list", shelf, "--json")[1])["photos"]
    code, out, _ = call("search", shelf, photos[2], "--id", listed[0]["id"], "--json")
    assert code == 0 and [json.loads(line)["query"] for line in out.splitlines()] == [str(photos[2]), str(photos[0])]
    assert json.loads(out.splitlines()[1])["hits"][0]["match"]["inliers"] > 5
    assert call("search", shelf, photos[2], "--box", "0,0,50,50", "--rerank", "none", "--json")[0] == 0
    assert call("info", shelf, "--json")[0] == call("verify", shelf, "--json")[0] == 0
    assert call("remove", shelf, photos[3], "--json")[0] == call("compact", shelf, "--json")[0] == 0
    assert call("verify", tmp_path / "photos", "--json")[0] == 1
    assert call("recipes", "--json")[0] == 0


def test_searching_by_id_on_the_command_line(tmp_path, make, paint, call):
    paint(tmp_path / "photos", 2)
    call("index", tmp_path / "photos", "--to", tmp_path / "c", "--recipe", make().save(tmp_path / "tiny"), "-q")
    code, _, err = call("search", tmp_path / "c", "--id", 12)
    assert code == 1 and "12: no such photo" in err
    assert call("search", tmp_path / "c")[0] == 2
