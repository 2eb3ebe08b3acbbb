"""Files from anybody: every parser gives a value or one of the library's errors, whatever it is given."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from reseen.collections import read_labels
from reseen.collections.files import Disk
from reseen.collections.manifest import Manifest, manifest_name, read_manifest, write_manifest
from reseen.descriptor import Recipe, read_recipe
from reseen.errors import ReseenError
from reseen.evaluation import load_benchmarks
from reseen.evaluation.learning_sets import read_learning_set
from reseen.safe_pickle import read_pickle
from reseen.search.local import LocalFeatures
from reseen.search.local.sift import RootSift

EXAMPLES = int(os.environ.get("RESEEN_FUZZ", "60"))
"""Of each parser; `make long` takes more."""
fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["/etc/passwd", "../../x", "a.jpg", "nan", "\0", "rmac", "pca", "efficientnet-lite0"])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


@st.composite
def changed(draw, value):
    """A sound value with a few of its parts removed or replaced by anything."""
    value = json.loads(json.dumps(value))
    for _ in range(draw(st.integers(1, 3))):
        place = value
        while isinstance(place, dict | list) and place:
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            if not isinstance(place[key], dict | list) or not place[key] or draw(st.booleans()):
                if isinstance(place, dict) and draw(st.integers(0, 3)) == 0:
                    del place[key]
                else:
                    place[key] = draw(VALUES)
                break
            place = place[key]
    return draw(VALUES) if draw(st.integers(0, 9)) == 0 else value


@st.composite
def damaged(draw, data):
    """Sound bytes with a few of them changed, cut or repeated."""
    found = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, max(len(found) - 1, 0)))
        how = draw(st.integers(0, 3))
        if how == 0 and found:
            found[place] = draw(st.integers(0, 255))
        elif how == 1:
            del found[place : place + draw(st.integers(1, 20))]
        elif how == 2:
            found[place:place] = draw(st.binary(max_size=8))
        else:
            found[place:place] = found[place : place + draw(st.integers(1, 40))]
    return bytes(found)


def refused_or_read(parse, *arguments):
    """Anything but a value or a ReseenError of one line fails the test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(ReseenError):
            parse(*arguments)


LIST = {
    "imlist": ["a", "b", "c"],
    "qimlist": ["a"],
    "gnd": [{"bbx": [0.0, 0.0, 9.0, 9.0], "easy": [1], "hard": [2], "ok": [1], "junk": [0]}],
}
SFM = {
    "train": {
        "cids": ["0" * 31 + str(i) for i in range(4)],
        "cluster": [0, 0, 1, 1],
        "qidxs": [0, 2],
        "pidxs": [1, 3],
        "bbxs": [None] * 4,
    }
}


@fuzz
@given(data=damaged(pickle.dumps({**LIST, **SFM}, protocol=4)) | damaged(pickle.dumps(LIST, protocol=0)))
def test_pickles(tmp_path, data):
    file = tmp_path / "gnd.pkl"
    file.write_bytes(data)
    refused_or_read(read_pickle, file)


@pytest.fixture
def home(tmp_path):
    for name in ("a.jpg", "b.jpg", "c.jpg"):
        Image.new("RGB", (32, 24)).save(tmp_path / name)
    return tmp_path


@fuzz
@given(value=changed(LIST), name=st.sampled_from(["oxford5k", "roxford5k"]))
def test_lists_of_ground_truth(home, value, name):
    (home / f"gnd_{name}.pkl").write_bytes(pickle.dumps(value))
    refused_or_read(lambda: load_benchmarks(f"{name}:{home}", partial=True))


@fuzz
@given(value=changed(SFM))
def test_lists_of_retrieval_sfm(home, value):
    file = home / "retrieval-SfM-30k.pkl"
    file.write_bytes(pickle.dumps(value))
    refused_or_read(read_learning_set, f"sfm:{file}")


MANIFEST = {
    "name": "x",
    "database": ["a.jpg", "b.jpg"],
    "queries": [{"image": "c.jpg", "box": [0, 0, 9, 9], "positives": ["a.jpg"], "junk": ["b.jpg"]}],
    "unmatched": ["c.jpg"],
}


@fuzz
@given(value=changed(MANIFEST))
def test_benchmark_manifests(home, value):
    (home / "manifest.json").write_text(json.dumps(value))
    refused_or_read(load_benchmarks, home / "manifest.json")


@fuzz
@given(data=damaged(json.dumps(MANIFEST).encode()))
def test_damaged_manifests(home, data):
    (home / "manifest.json").write_bytes(data)
    refused_or_read(load_benchmarks, home / "manifest.json")


@fuzz
@given(value=changed(read_recipe("default").to_dict()) | changed(read_recipe("siamac-lite0").to_dict()))
def test_recipes(value):
    refused_or_read(Recipe.from_dict, value)


RECIPE = b"""
summary = "x"
[images]
longest = 96
[backbone]
name = "a"
layers = ["b"]
[head]
kind = "mac"
"""


@fuzz
@given(data=damaged(RECIPE))
def test_recipe_files(tmp_path, data):
    file = tmp_path / "mine.toml"
    file.write_bytes(data)
    refused_or_read(read_recipe, file)


@fuzz
@given(data=damaged(b"path,label\na.jpg,mona lisa\nb.jpg,\xc3\xa9t\xc3\xa9\n"))
def test_labels(tmp_path, data):
    file = tmp_path / "labels.csv"
    file.write_bytes(data)
    refused_or_read(read_labels, file)


PICTURE = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
FEATURES = RootSift(limit=8).extract(PICTURE).to_bytes()


@fuzz
@given(data=damaged(FEATURES))
def test_local_features(data):
    def read():
        LocalFeatures.from_bytes(data).vectors()

    refused_or_read(read)


HELD = Manifest(
    version=1,
    table="photos-1.lance",
    table_version=1,
    count=0,
    dim=8,
    fingerprint="f" * 64,
    recipe="tiny",
    descriptor="descriptors/f",
    descriptor_files={"settings.json": "0" * 64},
)


@fuzz
@given(data=st.data())
def test_manifests_of_collections(tmp_path, data):
    files = Disk(tmp_path)
    write_manifest(files, HELD)
    path = tmp_path / manifest_name(1)
    text = path.read_bytes()
    assert read_manifest(files, 1) == HELD
    path.write_bytes(data.draw(damaged(text) | changed(json.loads(text)).map(lambda v: json.dumps(v).encode())))
    refused_or_read(read_manifest, files, 1)


def test_what_they_are_changed_from_is_read(home):
    """So that the tests above begin with something sound."""
    (home / "gnd_roxford5k.pkl").write_bytes(pickle.dumps(LIST))
    (home / "gnd_oxford5k.pkl").write_bytes(pickle.dumps(LIST))
    for name in ("roxford5k", "oxford5k"):
        assert load_benchmarks(f"{name}:{home}", partial=True)
    (home / "manifest.json").write_text(json.dumps(MANIFEST))
    assert load_benchmarks(home / "manifest.json")
    (home / "mine.toml").write_bytes(RECIPE)
    assert read_recipe(home / "mine.toml").head == {"kind": "mac"}
    assert len(LocalFeatures.from_bytes(FEATURES)) > 4
