"""``reseen identify``, ``calibrate`` and ``adapt`` as a program sees them."""

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from reseen import schema
from reseen.scenes import paint as paint_picture


@pytest.fixture
def museum(tmp_path, make, call):
    """A collection of four works with two photos each, labelled by folder."""
    for i in range(4):
        pixels = paint_picture(i, longest=160).pixels
        for j in range(2):
            target = tmp_path / "photos" / f"work {i}" / f"{i}-{j}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(pixels[j * 8 :])).save(target)
    recipe = make().save(tmp_path / "tiny")
    collection = tmp_path / "m"
    code, _, _ = call("index", tmp_path / "photos", "--to", collection, "--recipe", recipe, "--label-from-folder", "-q")
    assert code == 0
    return collection


@pytest.fixture
def calibrated(museum, call):
    """The same with a calibration."""
    assert call("calibrate", museum, "--trials", 4, "-q")[0] == 0
    return museum


def test_identify_calibrates_once_and_answers_one_object_per_photo(museum, tmp_path, call):
    photos = [tmp_path / "photos" / "work 1" / "1-0.png", tmp_path / "photos" / "work 3" / "3-1.png"]
    code, out, _ = call("identify", museum, *photos, "-k", 2, "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == 0 and [a["query"] for a in answers] == [str(p) for p in photos]
    assert set(answers[0]) == {"query", "box", "no_match", "hits"} and answers[0]["box"] is None
    first = answers[1]["hits"][0]
    assert set(first) == set(schema.InstanceHit.__annotations__)
    assert first["instance"] == "work 3" and first["photos"][0] == str(photos[1]) and 0 <= first["confidence"] <= 1
    assert len(answers[0]["hits"]) == 2
    version = json.loads(call("info", museum, "--json")[1])["version"]
    assert call("identify", museum, photos[0], "--json")[0] == 0
    assert json.loads(call("info", museum, "--json")[1])["version"] == version  # the calibration was kept


def test_no_match_is_said_and_is_no_failure(calibrated, tmp_path, call):
    photo = tmp_path / "photos" / "work 1" / "1-0.png"
    code, out, _ = call("identify", calibrated, photo, "--threshold", 1, "--json")
    assert code == 0 and json.loads(out)["no_match"] is True
    code, out, _ = call("identify", calibrated, photo, "--threshold", 1)
    assert code == 0 and "no match" in out
    assert json.loads(call("identify", calibrated, photo, "--threshold", 0, "--json")[1])["no_match"] is False


def test_several_objects_and_boxes(calibrated, tmp_path, call):
    photo = tmp_path / "photos" / "work 2" / "2-0.png"
    width, height = Image.open(photo).size
    code, out, _ = call("identify", calibrated, photo, "--objects", "--json")
    hits = json.loads(out)["hits"]
    assert code == 0 and len(hits) >= 1
    for hit in hits:
        x0, y0, x1, y1 = hit["box"]
        assert 0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height
    code, out, _ = call("identify", calibrated, photo, "--box", "0,0,60,50", "--json")
    assert code == 0 and json.loads(out)["box"] == [0, 0, 60, 50]


def test_heat_maps_are_written(calibrated, tmp_path, call):
    photo = tmp_path / "photos" / "work 0" / "0-1.png"
    assert call("identify", calibrated, photo, "--heat", tmp_path / "heat", "-q")[0] == 0
    assert Image.open(tmp_path / "heat" / "0-1.png").size[0] > 640


def test_bad_input(calibrated, tmp_path, call):
    (tmp_path / "page.jpg").write_text("<html></html>")
    code, out, err = call("identify", calibrated, tmp_path / "page.jpg", "--json")
    assert code == 1 and out == "" and "rejected" in err and "web page" in err
    sliver = tmp_path / "panorama.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 400, 3), np.uint8)).save(sliver)
    assert call("identify", calibrated, sliver, "--json")[0] == 0
    Image.new("RGB", (3, 2)).save(tmp_path / "dot.png")
    assert call("identify", calibrated, tmp_path / "dot.png", "--objects", "--json")[0] == 0
    assert call("identify", calibrated, sliver, "--references", "best")[0] == 2
    assert call("identify", calibrated, tmp_path / "nothing.jpg")[0] == 1
    assert call("identify", tmp_path / "nowhere", sliver)[0] == 1


def test_one_photo_under_two_labels_needs_force(museum, tmp_path, call):
    twin = tmp_path / "photos" / "work 9" / "twin.png"
    twin.parent.mkdir()
    twin.write_bytes((tmp_path / "photos" / "work 0" / "0-0.png").read_bytes())
    assert call("index", tmp_path / "photos", "--to", museum, "--label-from-folder", "-q")[0] == 0
    code, _, err = call("identify", museum, twin)
    assert code == 1 and "two labels" in err and "0-0.png" in err and "twin.png" in err
    assert call("identify", museum, twin, "--force", "--json")[0] == 0


def test_calibrate_prints_the_curve(museum, call):
    code, out, err = call("calibrate", museum, "--trials", 8)
    assert code == 0 and "false accepts" in out and "threshold" in err
    value = json.loads(call("calibrate", museum, "--trials", 8, "--false-accepts", 0.1, "--json")[1])
    at = min(value["curve"], key=lambda p: abs(p["threshold"] - value["threshold"]))
    assert at["false_accepts"] <= 0.1 and value["instances"] == 4


def test_adapt_reports_what_it_did(museum, call):
    code, out, err = call("adapt", museum, "--minutes", 0.1, "--json")
    done = json.loads(out)
    assert code == 0 and err == ""
    assert set(done) == {"adapted", "before", "after", "learned_from", "seconds", "threshold"}
    assert done["learned_from"] > 0 and set(done["before"]["virtual"]) == {"precision", "reciprocal_rank", "photos"}
    name = json.loads(call("info", museum, "--json")[1])["recipe"]
    assert name.endswith("-adapted") == done["adapted"]
    assert call("verify", museum)[0] == 0
    code, _, err = call("adapt", museum, "--minutes", 0.1, "--validate", "nowhere.json")
    assert code == 1 and "nowhere.json" in err


STOPPED_WHILE_LEARNING = """
import os
import signal
from reseen import schema
from reseen.cli import adapt, main

signal.signal(signal.SIGINT, signal.default_int_handler)  # what a shell starts in the background ignores Ctrl-C
show = adapt.Line.__call__

def show_and_stop(line, event):
    show(line, event)
    if event.stage == "learn" and event.done:
        os.kill(os.getpid(), {sent})

adapt.Line.__call__ = show_and_stop
main.main()
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_adapt_stopped_midway_leaves_the_collection_as_it_was(museum, call, sent):
    before = json.loads(call("info", museum, "--json")[1])
    script = STOPPED_WHILE_LEARNING.format(sent=int(sent))
    command = [sys.executable, "-c", script, "adapt", str(museum), "--minutes", "5"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    stopped = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert "to learn from" in stopped.stderr and "Traceback" not in stopped.stderr
    assert stopped.returncode == (130 if sent == signal.SIGINT else -signal.SIGKILL)
    after = json.loads(call("info", museum, "--json")[1])
    assert (after["version"], after["fingerprint"]) == (before["version"], before["fingerprint"])
    assert call("verify", museum)[0] == 0
