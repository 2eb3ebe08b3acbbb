"""Collections that earlier releases made still open, answer, and grow."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from reseen.cli.main import run
from reseen.collections import Collection
from reseen.collections.gallery import Gallery
from reseen.identify.calibration import stored
from reseen.search.local import LocalFeatures

OLD = Path(__file__).resolve().parent.parent / "data"
RELEASES = sorted(folder.name for folder in OLD.glob("collection-*"))


@pytest.fixture(params=RELEASES)
def release(request, tmp_path) -> Path:
    """A copy of what a release left, to change at will."""
    return Path(shutil.copytree(OLD / request.param, tmp_path / "old"))


@pytest.fixture(params=["local", "plain"])
def old(request, release) -> Path:
    """One of its collections: with local features, without."""
    return release / request.param


def answers(capsys, *arguments) -> list[dict]:
    """The JSON lines that a command prints."""
    assert run([str(argument) for argument in arguments]) == 0
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_opens_whole_at_every_version(old):
    collection = Collection.open(old)
    assert collection.damage == () and collection.verify() == []
    assert sorted(collection.labels().values()) == [f"work {i // 2}" for i in range(6)]
    assert collection.get_blob("note") == b"kept by 0.1"
    older = [Collection.open(old, version=version) for version in collection.versions()]
    assert len(older) > 3 and {len(each) for each in older} == {5, 6, 0}


def test_it_answers_as_it_did(old, release):
    expected = json.loads((release / "expected.json").read_text())
    collection = Collection.open(old)
    ids, vectors = collection.vectors()
    for number, vector in zip(ids, vectors, strict=True):
        assert collection.search_vector(vector, 1)[0].id == number
    hits = collection.search(release / "query.jpg", k=6, rerank="none")
    assert collection.fingerprint == expected["fingerprint"]
    assert [(str(hit.id), hit.label) for hit in hits] == [(hit["id"], hit["label"]) for hit in expected["hits"]]
    assert [hit.score for hit in hits] == pytest.approx([hit["score"] for hit in expected["hits"]], abs=1e-3)
    first = expected["first_vector"]
    np.testing.assert_allclose(vectors[ids.tolist().index(int(first["id"]))], first["values"], atol=1e-4)


def test_its_local_features_verify_the_right_work(release):
    collection = Collection.open(release / "local")
    kept = collection.features([row.id for row in collection.photos()])
    assert len(kept) == 6 and min(len(LocalFeatures.from_bytes(data)) for data in kept.values()) > 20
    best = collection.search(release / "query.jpg", k=1)[0]
    assert best.label == "work 1" and best.match.probability > 0.8


def test_every_verb_reads_it(old, release, capsys):
    (listed,) = answers(capsys, "list", old, "--json")
    assert len(listed["photos"]) == 6 and all(row["sha256"] for row in listed["photos"])
    assert answers(capsys, "verify", old, "--json")[0]["ok"] is True
    assert answers(capsys, "info", old, "--json")[0]["labelled"] == 6
    (found,) = answers(capsys, "search", old, release / "query.jpg", "-k", 2, "--json")
    assert [hit["label"] for hit in found["hits"]] == ["work 1", "work 1"]
    (named,) = answers(capsys, "identify", old, release / "query.jpg", "--json")
    assert named["hits"][0]["instance"] == "work 1"


def test_its_calibration_is_still_of_use(old):
    collection = Collection.open(old)
    calibration = stored(collection, Gallery.of(collection))
    assert calibration is not None and calibration.instances == 3 and 0 < calibration.threshold < 1


def test_it_grows(old, tmp_path, paint):
    collection = Collection.open(old)
    before = collection.version
    report = collection.add(*paint(tmp_path / "new", 2))
    assert report.added == 2 and collection.version > before
    assert collection.search(tmp_path / "new" / "0001.png", k=1)[0].path.endswith("0001.png")
    collection.remove(tmp_path / "new" / "0000.png")
    collection.compact(grace_s=0)
    again = Collection.open(old)
    assert len(again) == 7 and again.damage == () and again.verify() == []


def test_rows_without_seals_are_searched_labelled_removed_and_compacted(old, release, capsys):
    """Its rows guard their vectors only, its local features nothing, and its derived data has no hashes."""
    collection = Collection.open(old)
    ids = [row.id for row in collection.photos()]
    assert all(row.check >= 0 for row in collection.photos()) and list((old / "derived").glob("*.npy"))
    before = collection.features(ids)
    query = release / "query.jpg"
    (best,) = collection.search(query, k=1)
    collection.set_labels({best.id: "renamed"})
    assert [row.id for row in collection.photos() if row.check < 0] == [best.id]
    assert (collection.search(query, k=1)[0].id, collection.search(query, k=1)[0].label) == (best.id, "renamed")
    assert collection.features(ids) == before and collection.verify() == []
    gone = next(photo for photo in ids if photo != best.id)
    assert collection.remove(gone) == 1
    collection.compact(grace_s=0)
    again = Collection.open(old)
    assert again.damage == () and again.verify() == [] and len(again) == 5
    assert again.search(query, k=1)[0].id == best.id and again.labels()[best.id] == "renamed"
    assert again.features(ids) == {photo: data for photo, data in before.items() if photo != gone}
    assert answers(capsys, "verify", old, "--json")[0]["ok"] is True
