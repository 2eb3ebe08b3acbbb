"""Adapting a collection's descriptor to its photos."""

import importlib
import json
import shutil

import numpy as np
import pytest
import torch

from reseen.collections import Collection
from reseen.errors import CollectionError, TrainingError
from reseen.instances import AdaptSettings, Gallery, Identifier, adapt
from reseen.instances.adapt import Score, reciprocal_ranks, standard_error
from reseen.instances.calibrate import stored
from reseen.instances.tuning import Tuning, averaged, batch, rate_factor, tune
from reseen.instances.virtual import Studio, Wish

QUICK = AdaptSettings(
    minutes=1, tuning=Tuning(batches=((64, 6),), warmup=1, rate=1e-3, steps=3), shares=(1.0,), held_out=12
)


def test_reciprocal_ranks_are_of_instances_and_ties_count_against():
    similar = np.array([[0.9, 0.1, 0.8, 0.7], [0.2, 0.2, 0.1, 0.9], [0.5, 0.1, 0.5, 0.2]], np.float32)
    ranks = reciprocal_ranks(similar, np.array([0, 0, 1, 2]), np.array([1, 2, 0]))
    assert ranks.tolist() == [1 / 2, 1, 1 / 2]
    assert Score.of(ranks) == (pytest.approx(1 / 3), pytest.approx(2 / 3), 3)


def test_standard_error():
    assert standard_error(np.array([1.0, 0.0, 1.0, 0.0])) == pytest.approx(0.5 / np.sqrt(3), rel=1e-6)
    assert 0 < standard_error(np.zeros(5)) < 1e-6


def test_wishes_are_repeatable_and_differ(museum):
    rows = Gallery.of(museum(3, 1)).rows
    first, second = Studio(rows, workers=3), Studio(rows)
    wishes = [Wish(i % 3, how, i // 3, (64, 64)) for how in ("virtual", "visit", "mild") for i in range(6)]
    made = [pixels for _, pixels in first.stream(wishes)]
    assert all(np.array_equal(a, second.make(w)) for a, w in zip(made, wishes, strict=True))
    assert all(m.shape == (64, 64, 3) for m in made)
    assert len({m.tobytes() for m in made}) == len(made)


def test_references_that_cannot_be_read_are_left_out_and_said(museum, tmp_path):
    rows = Gallery.of(museum(2, 1)).rows
    (tmp_path / "photos" / "work 0" / "0-0.png").write_text("<html>")
    studio = Studio(rows)
    made = [w.row for w, _ in studio.stream([Wish(0, "mild", 0), Wish(1, "mild", 0)])]
    assert made == [1] and "web page" in studio.rejected[0]


def test_a_batch_holds_matching_views_and_strangers(museum):
    gallery = Gallery.of(museum(3, 2))
    settings = Tuning(batches=((32, 12), (48, 4)), strangers=0.25)
    instances, photos = batch(Studio(gallery.rows), gallery.instance, np.arange(5), 0, settings)
    assert photos.shape == (2 * 8, 32, 32, 3) and photos.dtype == torch.uint8
    assert sorted(instances.tolist()) == [-3, -2, -1, 0, 0, 1, 1, 2]  # row 5 may not be learned from
    assert batch(Studio(gallery.rows), gallery.instance, np.arange(5), 1, settings)[1].shape == (8, 48, 48, 3)


def test_the_rate_warms_up_and_falls_with_the_time():
    assert rate_factor(0, 0, 10) == pytest.approx(0.1)
    assert rate_factor(0.5, 100, 10) == pytest.approx(0.5)
    assert rate_factor(1, 100, 10) == pytest.approx(0) == rate_factor(1.2, 100, 10)


def test_averaging_weights(tiny):
    other = averaged(tiny.backbone, tiny.backbone, 0.5)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(1)
    mixed = averaged(tiny.backbone, other, 0.25)
    for a, b in zip(tiny.backbone.parameters(), mixed.parameters(), strict=True):
        torch.testing.assert_close(b, a + 0.25)


def test_tuning_lowers_the_loss_and_leaves_the_original_and_statistics_alone(museum, tiny):
    gallery = Gallery.of(museum(6, 1))
    studio = Studio(gallery.rows)
    before = {name: value.clone() for name, value in tiny.backbone.state_dict().items()}
    losses = []
    settings = Tuning(batches=((64, 6),), warmup=1, rate=1e-3, steps=8)
    tuned, steps = tune(
        tiny.backbone,
        lambda step: batch(studio, gallery.instance, np.arange(6), step % 2, settings),
        settings,
        600.0,
        watch=lambda spent, loss: losses.append(loss),
    )
    assert steps == len(losses) == 8 and np.mean(losses[-3:]) < np.mean(losses[:3])
    for name, value in tuned.state_dict().items():
        assert torch.equal(tiny.backbone.state_dict()[name], before[name])
        if "running" in name:
            assert torch.equal(value, before[name])


def test_a_loss_that_is_no_number_stops(museum, tiny):
    gallery = Gallery.of(museum(3, 1))
    settings = Tuning(batches=((32, 3),), temperature=0.0)
    with pytest.raises(TrainingError, match="not a number at step 1"):
        tune(
            tiny.backbone,
            lambda s: batch(Studio(gallery.rows), gallery.instance, np.arange(3), s, settings),
            settings,
            9,
        )


def test_adapt_replaces_descriptor_vectors_and_calibration_together_or_nothing(museum):
    collection = museum(6, 2)
    old, version = collection.fingerprint, collection.version
    stages = []
    done = adapt(collection, settings=QUICK, progress=lambda event: stages.append(event.stage))
    assert set(stages) >= {"measure", "learn", "choose"} and done.steps > 0
    assert done.before["virtual"].photos == done.after["virtual"].photos == 12
    reopened = Collection.open(collection.folder)
    assert reopened.verify() == []
    if done.adapted:
        assert done.after["virtual"].reciprocal_rank > 0 and reopened.fingerprint != old
        assert stored(reopened, Gallery.of(reopened)) == done.calibration
        assert reopened.encoder.name == "tiny-adapted"
        row = reopened.photos()[0]
        again = reopened.encoder.encode([row.name])[0]
        ids, vectors = reopened.vectors()
        np.testing.assert_allclose(vectors[ids.tolist().index(row.id)], again, atol=1e-4)
        assert Identifier(reopened).identify(row.name).hits[0].photos[0] == row.name
    else:
        assert (reopened.fingerprint, reopened.version) == (old, version)
    json.dumps(done.to_json())


def test_what_gains_nothing_keeps_the_old_descriptor(museum, monkeypatch):
    collection = museum(4, 1)
    version = collection.version
    monkeypatch.setattr(
        importlib.import_module("reseen.instances.adapt")._Run, "_candidates", lambda self, tuned: iter(())
    )
    done = adapt(collection, settings=QUICK)
    assert not done.adapted and done.before == done.after and collection.version == version


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
        if event.stage == "choose":
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
