"""Adapting a collection's descriptor to its photos."""

import importlib
import json
import shutil

import numpy as np
import pytest

import reseen
from reseen.collections import Collection
from reseen.collections.gallery import Gallery
from reseen.errors import CollectionError
from reseen.identify import Identifier
from reseen.identify.calibration import stored
from reseen.scenes.studio import Studio, Wish
from reseen.training.museum import AdaptSettings, adapt
from reseen.training.museum.adapt import Score, reciprocal_ranks, standard_error

QUICK = AdaptSettings(minutes=30, each=2, held_out=12)


def test_reciprocal_ranks_are_of_instances_and_ties_count_against():
    similar = np.array([[0.9, 0.1, 0.8, 0.7], [0.2, 0.2, 0.1, 0.9], [0.5, 0.1, 0.5, 0.2]], np.float32)
    gallery = Gallery(("a", "b", "c"), np.eye(4, dtype=np.float32), np.array([0, 0, 1, 2]))
    ranks = reciprocal_ranks(gallery.scores(similar), np.array([1, 2, 0]))
    assert ranks.tolist() == [1 / 2, 1, 1 / 2]
    assert Score.of(ranks) == (pytest.approx(1 / 3), pytest.approx(2 / 3), 3)


def test_standard_error():
    assert standard_error(np.array([1.0, 0.0, 1.0, 0.0])) == pytest.approx(0.5 / np.sqrt(3), rel=1e-6)
    assert 0 < standard_error(np.zeros(5)) < 1e-6


def test_wishes_are_repeatable_and_differ(museum):
    rows = Gallery.of(museum(3, 1)).rows
    first, second = Studio([row.path for row in rows], workers=3), Studio([row.path for row in rows])
    wishes = [Wish(i % 3, how, i // 3, (64, 48)) for how in ("virtual", "visit") for i in range(6)]
    made = [pixels for _, pixels in first.stream(wishes)]
    assert all(np.array_equal(a, second.make(w)) for a, w in zip(made, wishes, strict=True))
    assert all(m.shape == (48, 64, 3) for m in made)
    assert len({m.tobytes() for m in made}) == len(made)


def test_references_that_cannot_be_read_are_left_out_and_said(museum, tmp_path):
    rows = Gallery.of(museum(2, 1)).rows
    (tmp_path / "photos" / "work 0" / "0-0.png").write_text("<html>")
    studio = Studio([row.path for row in rows])
    made = [w.row for w, _ in studio.stream([Wish(0, "virtual", 0), Wish(1, "virtual", 0)])]
    assert made == [1] and "web page" in studio.rejected[0]


def test_adapt_replaces_descriptor_vectors_and_calibration_together(museum):
    collection = museum(6, 2)
    old = collection.fingerprint
    events = []
    done = adapt(collection, settings=AdaptSettings(minutes=30, each=6, held_out=24), progress=events.append)
    assert {event.stage for event in events} == {"encode", "try", "learn"}
    assert [e.done for e in events if e.stage == "learn"] == list(range(1, 73)) and events[-1].total == 72
    assert done.learned_from == 72 and done.before["virtual"].photos == done.after["virtual"].photos == 24
    assert done.adapted and done.after["virtual"].reciprocal_rank > done.before["virtual"].reciprocal_rank
    reopened = Collection.open(collection.folder)
    assert reopened.verify() == [] and reopened.fingerprint != old and reopened.encoder.name == "tiny-adapted"
    assert stored(reopened, Gallery.of(reopened)) == done.calibration
    row = reopened.photos()[0]
    ids, vectors = reopened.vectors()
    again = reopened.encoder.encode([row.name])[0]
    np.testing.assert_allclose(vectors[ids.tolist().index(row.id)], again, atol=1e-4)
    assert Identifier(reopened).identify(row.name).hits[0].photos[0] == row.name
    json.dumps(done.to_json())


def test_what_gains_nothing_keeps_the_old_descriptor(museum, monkeypatch, tmp_path):
    collection = museum(4, 1)
    version = collection.version
    monkeypatch.setattr(
        importlib.import_module("reseen.training.museum.adapt")._Run, "_whitened", lambda self, seen: (self.old, 7)
    )
    done = adapt(collection, settings=QUICK, save=tmp_path / "learned")
    assert not done.adapted and done.before == done.after and done.learned_from == 7
    assert collection.version == version and reseen.load(tmp_path / "learned").fingerprint == collection.fingerprint


def test_time_ends_learning(museum):
    collection = museum(4, 1)
    done = adapt(collection, settings=AdaptSettings(minutes=1e-4, each=100))
    assert 0 < done.learned_from < 400


def test_wide_vectors_are_whitened_after_their_projection(museum, make, monkeypatch, tmp_path):
    collection = museum(4, 2)
    fitted = make(projection=[{"kind": "pca", "dim": 6}]).fit([row.name for row in collection.photos()])
    wide = Collection.create(tmp_path / "wide", fitted)
    wide.add(tmp_path / "photos", label_from_folder=True)
    monkeypatch.setattr(importlib.import_module("reseen.training.museum.adapt"), "WIDEST", 10)
    monkeypatch.setattr(importlib.import_module("reseen.training.museum.adapt"), "standard_error", lambda gap: -2.0)
    assert adapt(wide, settings=QUICK).learned_from == 16
    reopened = Collection.open(wide.folder)
    assert [step["kind"] for step in reopened.encoder.recipe.projection] == ["pca", "lw"]
    assert reopened.encoder.dim == 6 and reopened.verify() == []


def test_a_museum_recipe_is_trained_on_the_collection(museum, museum_recipe, monkeypatch, tmp_path):
    collection = museum(3, 1)
    monkeypatch.setattr(importlib.import_module("reseen.training.museum.adapt"), "standard_error", lambda gap: -2.0)
    events = []
    done = adapt(collection, recipe=museum_recipe(), settings=QUICK, save=tmp_path / "regions", progress=events.append)
    trained = [(e.done, e.total) for e in events if e.stage == "train"]
    assert done.adapted and done.learned_from == 3 and trained == [(1, 3), (2, 3), (3, 3)]
    reopened = Collection.open(collection.folder)
    assert reopened.encoder.head.labels == ("work 0", "work 1", "work 2") and reopened.encoder.dim == 8
    assert reopened.fingerprint == reseen.load(tmp_path / "regions").fingerprint and reopened.verify() == []


def test_real_photos_are_scored(museum, tmp_path):
    collection = museum(4, 1)
    files = {row.label: row.name for row in collection.photos()}
    shutil.copy(files["work 2"], tmp_path / "q.png")
    manifest = {
        "name": "visitors",
        "database": list(files.values()),
        "queries": [{"image": str(tmp_path / "q.png"), "box": None, "positives": [files["work 2"]], "junk": []}],
        "unmatched": [],
    }
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    done = adapt(collection, settings=QUICK, validate=tmp_path / "manifest.json")
    assert done.before["real"] == (1.0, 1.0, 1) and done.after["real"].photos == 1


def test_interrupted_it_changes_nothing(museum):
    collection = museum(4, 1)
    version, fingerprint = collection.version, collection.fingerprint

    def stop(event):
        if event.stage == "learn":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        adapt(collection, settings=QUICK, progress=stop)
    reopened = Collection.open(collection.folder)
    assert (reopened.version, reopened.fingerprint) == (version, fingerprint) and reopened.verify() == []


def test_one_instance_and_missing_files_are_refused(museum, tmp_path):
    with pytest.raises(CollectionError, match="one instance only"):
        adapt(museum(1, 3), settings=QUICK)
    shutil.rmtree(tmp_path / "museum")
    collection = museum(3, 1)
    (tmp_path / "photos" / "work 1" / "1-0.png").unlink()
    with pytest.raises(CollectionError, match=r"1 of \d photos cannot be read again, .*1-0.png"):
        adapt(collection, settings=QUICK)
