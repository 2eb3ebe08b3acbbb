"""The command line as a program sees it: JSON, exit codes, one line for every error."""

import json
import os
import subprocess
import sys
from importlib import metadata

import numpy as np
import pytest
from PIL import Image

import reseen
from reseen import schema


@pytest.fixture
def tiny(tmp_path, make):
    """A saved descriptor that is quick."""
    return str(make().save(tmp_path / "tiny"))


@pytest.fixture
def museum(tmp_path, tiny, paint, call):
    """A collection of six photos, made on the command line."""
    paint(tmp_path / "photos", 6)
    code, _, _ = call("index", tmp_path / "photos", "--to", tmp_path / "m", "--recipe", tiny, "--quiet")
    assert code == 0
    return tmp_path / "m"


def test_index_reports_as_json(tmp_path, tiny, paint, call):
    photos = tmp_path / "photos"
    paint(photos, 4)
    (photos / "page.jpg").write_text("<html></html>")
    (photos / "notes.txt").write_text("x")
    code, out, err = call("index", photos, "--to", tmp_path / "m", "--recipe", tiny, "--json")
    report = json.loads(out)
    assert code == 0 and err == ""
    assert {k: report[k] for k in ("added", "updated", "unchanged", "ignored")} == {
        "added": 4,
        "updated": 0,
        "unchanged": 0,
        "ignored": 1,
    }
    assert report["rejected"] == [{"path": str(photos / "page.jpg"), "reason": "not a photo but a web page"}]
    assert len(report["fingerprint"]) == 64
    assert json.loads(call("index", photos, "--to", tmp_path / "m", "--json")[1])["unchanged"] == 4


def test_search_prints_one_object_per_query(museum, tmp_path, call):
    first, second = tmp_path / "photos" / "0001.png", tmp_path / "photos" / "0002.png"
    code, out, _ = call("search", museum, first, second, "-k", 2, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and len(lines) == 2
    assert lines[0]["query"] == str(first) and lines[0]["box"] is None and lines[0]["no_match"] is False
    assert [hit["rank"] for hit in lines[0]["hits"]] == [1, 2]
    assert lines[1]["hits"][0]["path"] == str(second)
    assert set(lines[0]["hits"][0]) == schema.Hit.__annotations__.keys()


def test_boxes_on_the_command_line(museum, tmp_path, call):
    photo = tmp_path / "photos" / "0001.png"
    code, out, _ = call("search", museum, photo, "--box", "0,0,96,64", "--json")
    assert code == 0 and json.loads(out)["box"] == [0, 0, 96, 64]
    assert json.loads(out)["hits"][0]["path"] == str(photo)
    assert call("search", museum, photo, "--box", "1,2,3")[0] == 2
    code, _, err = call("search", museum, photo, "--box", "500,500,600,600")
    assert code == 1 and "empty inside the photo" in err
    assert call("search", museum, photo, photo, "--box", "0,0,9,9", "--box", "0,0,9,9", "--box", "0,0,9,9")[0] == 2


def test_one_bad_query_does_not_stop_the_others(museum, tmp_path, call):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    code, out, err = call("search", museum, bad, tmp_path / "photos" / "0003.png", "--json")
    assert code == 0 and len(out.splitlines()) == 1
    assert "bad.jpg: the file is empty" in err


def test_list_info_verify_remove_compact(museum, tmp_path, call):
    photos = json.loads(call("list", museum, "--json")[1])["photos"]
    assert [set(row) for row in photos] == [{"id", "path", "label", "sha256"}] * 6
    assert json.loads(call("verify", museum, "--json")[1])["ok"] is True
    assert json.loads(call("remove", museum, photos[0]["path"], "--json")[1]) == {"removed": 1, "photos": 5}
    assert json.loads(call("remove", museum, photos[1]["id"], "--json")[1])["photos"] == 4
    info = json.loads(call("info", museum, "--json")[1])
    assert info["photos"] == 4 and info["recipe"] == "tiny"
    assert call("compact", museum, "--grace", 0, "--json")[0] == 0
    assert "4 photos" in call("verify", museum)[2]


def test_labels_from_a_csv(museum, tmp_path, call):
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nphotos/0001.png,irises\nphotos/none.png,lost\n")
    code, _, err = call("label", museum, table)
    assert code == 0 and "not in the collection" in err
    labels = {row["label"] for row in json.loads(call("list", museum, "--json")[1])["photos"]}
    assert labels == {None, "irises"}
    code, _, err = call("index", tmp_path / "photos", "--to", museum, "--labels", table)
    assert code == 0 and "1 of 2 rows match no photo" in err and "none.png" in err
    table.write_text("path,label\nnone.png,lost\n")
    assert call("label", museum, table)[0] == 1


def test_the_page_holds_its_pictures(museum, tmp_path, call):
    bad = tmp_path / "bad<b>.jpg"
    bad.write_bytes(b"")
    page = tmp_path / "hits.html"
    photo = tmp_path / "photos" / "0001.png"
    assert call("search", museum, photo, bad, "--box", "1,1,50,50", "--html", page, "--quiet")[0] == 0
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 6
    assert "bad&lt;b&gt;.jpg" in text and "<b>.jpg" not in text
    assert "http" not in text.replace("http-equiv", "")


def test_local_features_from_index_to_page(tmp_path, tiny, call):
    rng = np.random.default_rng(0)
    (tmp_path / "p").mkdir()
    for i in range(4):
        rough = Image.fromarray(rng.integers(0, 256, (45, 60, 3), np.uint8))
        rough.resize((480, 360), Image.Resampling.BICUBIC).save(tmp_path / "p" / f"{i}.png")
    query, page, museum = tmp_path / "visit.png", tmp_path / "hits.html", tmp_path / "m"
    Image.open(tmp_path / "p" / "2.png").rotate(20, expand=True, fillcolor="beige").save(query)
    made = ("index", tmp_path / "p", "--to", museum, "--quiet", "--local")
    assert call(*made, "sift", "--recipe", tiny)[0] == 0
    assert call(*made, "sift")[0] == 0
    code, _, err = call(*made, "disk:weights.pth")
    assert code == 1 and "disk" in err
    assert json.loads(call("info", museum, "--json")[1])["local"] == "sift-640-560-0.01-3-40-pca64"
    code, out, _ = call("search", museum, query, "-k", 2, "--json", "--html", page)
    first, second = json.loads(out)["hits"]
    assert code == 0 and first["path"].endswith("2.png")
    assert first["match"]["probability"] > 0.9 > 0.5 > second["match"]["probability"]
    assert len(first["match"]["outline"]) == 4 and first["match"]["inliers"] > 30
    assert page.read_text().count("<line ") > 20
    shown = call("search", museum, query, "-k", 2)[1]
    assert f"{first['probability']:.0%}, {first['why']}" in shown and "points agree on one plane" in first["why"]
    code, out, _ = call("search", museum, query, "-k", 1, "--json", "--rerank", "geometry:2:mirror+superglobal")
    assert code == 0 and len(json.loads(out)["hits"]) == 1
    assert "match" not in json.loads(call("search", museum, query, "--json", "--rerank", "none")[1])["hits"][0]
    Image.open(query).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirror.png")
    code, out, _ = call("search", museum, tmp_path / "mirror.png", "-k", 1, "--json", "--rerank", "geometry:mirror")
    assert json.loads(out)["hits"][0]["match"]["probability"] > 0.9
    assert json.loads(out)["hits"][0]["path"].endswith("2.png")


def test_recipes(call):
    found = json.loads(call("recipes", "--json")[1])["recipes"]
    assert found[0]["name"] == "default" and found[0]["available"] is True
    assert all(set(entry) == {"name", "dim", "needs", "available"} for entry in found)
    assert 'kind = "rmac"' in call("recipes", "show", "rmac-lite0")[1]
    code, _, err = call("recipes", "show", "nope")
    assert code == 1 and "there is no recipe 'nope'" in err


def test_errors_are_one_line_and_an_exit_code(museum, tmp_path, tiny, call, make):
    empty = tmp_path / "empty"
    empty.mkdir()
    other = make(images={"longest": 64}).save(tmp_path / "other")
    cases = [
        (1, ("index", tmp_path / "gone", "--to", tmp_path / "n", "--recipe", tiny), "no such file or folder"),
        (1, ("index", empty, "--to", tmp_path / "n", "--recipe", tiny), "no photos here"),
        (1, ("index", tmp_path / "photos", "--to", museum, "--recipe", other), "were made by 'tiny'"),
        (1, ("index", tmp_path / "photos", "--to", museum, "--local", "none"), "--local none"),
        (
            1,
            ("index", tmp_path / "photos", "--to", museum, "--local", "sift-320-9-0.01-3-40"),
            "into a new collection",
        ),
        (1, ("index", tmp_path / "photos", "--to", tmp_path / "n", "--recipe", "nope"), "there is no recipe"),
        (1, ("search", tmp_path / "gone", "x.jpg"), "no such collection"),
        (1, ("search", museum, tmp_path / "gone.jpg"), "no such file"),
        (1, ("remove", museum, "gone.jpg"), "no such photo"),
        (1, ("info", empty), "is not a collection"),
        (2, ("search", museum), "QUERY"),
        (2, ("search", museum, "x.jpg", "-k", "0"), "greater than or equal to 1"),
        (2, ("nothing",), "nothing"),
    ]
    for expected, arguments, message in cases:
        code, _, err = call(*arguments)
        assert (code, message in err) == (expected, True), (arguments, code, err)
        assert len(err.strip().splitlines()) == 1, err
    assert not (tmp_path / "n").exists()


def test_a_folder_of_bad_photos_only(tmp_path, tiny, call):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"")
    code, out, _ = call("index", tmp_path / "photos", "--to", tmp_path / "m", "--recipe", tiny, "--json")
    assert code == 1 and len(json.loads(out)["rejected"]) == 1


def test_a_damaged_collection_is_named_by_verify(museum, call):
    newest = sorted(museum.glob("head-*.json"))[-1]
    newest.write_bytes(b"{")
    code, out, _ = call("verify", museum, "--json")
    report = json.loads(out)
    assert code == 1 and report["ok"] is False and "torn" in report["problems"][0]
    for head in museum.glob("head-*.json"):
        head.write_bytes(b"")
    code, out, _ = call("verify", museum, "--json")
    assert code == 1 and json.loads(out)["version"] is None


def test_help_starts_without_torch():
    code = (
        "import sys\nfrom reseen.cli.main import run\nassert run(['--help']) == 0\n"
        "assert 'torch' not in sys.modules and 'lance' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for verb in ("index", "search", "info", "list", "remove", "verify", "compact", "recipes"):
        assert verb in done.stdout


def test_ctrl_c_leaves_a_consistent_collection(tmp_path, tiny, paint):
    import signal

    from reseen.collections import Collection

    photos = tmp_path / "photos"
    paint(photos, 300, size=(64, 48))
    Image.new("RGB", (3000, 3000)).save(photos / "0150-large.png")
    arguments = [sys.executable, "-m", "reseen.cli.main", "index", str(photos), "--to", str(tmp_path / "m")]
    process = subprocess.Popen([*arguments, "--recipe", tiny], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list((tmp_path / "m").glob("head-*.json"))) < 2:
        pass
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode in (0, 130)
    if process.returncode == 130:
        assert "interrupted" in err and "Traceback" not in err
    collection = Collection.open(tmp_path / "m")
    assert collection.verify() == [] and len(collection) >= 128
    done = subprocess.run([*arguments, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["unchanged"] >= 128
    assert len(Collection.open(tmp_path / "m")) == 301


def test_index_sync(museum, tmp_path, call):
    photos = sorted((tmp_path / "photos").rglob("*.png"))
    photos[0].unlink()
    photos[1].rename(photos[1].with_name("moved.png"))
    command = ["index", tmp_path / "photos", "--to", museum, "--json"]
    assert call(*command, "--dry-run")[0] == 2
    code, out, _ = call(*command, "--sync", "--dry-run")
    planned = json.loads(out)
    assert code == 0 and (planned["moved"], planned["removed"], planned["added"]) == (1, 1, 0)
    assert json.loads(call(*command, "--sync")[1]) == planned
    for photo in (tmp_path / "photos").rglob("*.png"):
        photo.unlink()
    code, _, err = call(*command, "--sync")
    assert code == 1 and "--force" in err
    assert call(*command, "--sync", "--force")[0] == 0
    assert json.loads(call("list", museum, "--json")[1]) == {"photos": []}


def test_an_older_collection_is_given_local_features(tmp_path, tiny, call, paint):
    paint(tmp_path / "photos", 3)
    museum = tmp_path / "m"
    made = ("index", tmp_path / "photos", "--to", museum)
    assert call(*made, "--local", "none", "--recipe", tiny)[0] == 0
    assert "`--local sift` adds them" in call(*made)[2]
    assert "--local" not in call(*made, "--local", "none")[2]
    code, _, err = call(*made, "--local", "sift")
    assert code == 0 and "3 given local features" in err
    assert "--local" not in call(*made)[2]


def test_alone_it_says_what_it_can(call):
    code, out, err = call()
    assert code == 0 and err == "" and "Find every photo of the same thing" in out and "search" in out


def test_version_names_what_computes(call):
    code, out, _ = call("--version")
    assert (
        code == 0 and out.startswith(f"reseen {reseen.__version__}\n") and f"torch {metadata.version('torch')}" in out
    )


def test_as_a_module():
    done = subprocess.run([sys.executable, "-m", "reseen", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("reseen ")


def test_shells_complete_verbs():
    asked = {**os.environ, "_RESEEN_COMPLETE": "complete_bash", "COMP_WORDS": "reseen ide", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from reseen.cli.main import main; sys.argv = ['reseen']; main()"],
        capture_output=True,
        text=True,
        env=asked,
    )
    assert done.stdout.split() == ["identify"]


def test_upgrade_and_back(museum, tmp_path, call, make):
    other = make(images={"longest": 64}).save(tmp_path / "other")
    before = json.loads(call("info", museum, "--json")[1])
    code, out, _ = call("upgrade", museum, "--recipe", other, "--json")
    report = json.loads(out)
    assert code == 0 and report["before"] == before["version"] and report["fingerprint"] != before["fingerprint"]
    code, _, err = call("upgrade", museum, "--recipe", other)
    assert code == 0 and "nothing to do" in err
    code, _, err = call("upgrade", museum, "--back-to", before["version"])
    assert code == 0 and json.loads(call("info", museum, "--json")[1])["fingerprint"] == before["fingerprint"]
