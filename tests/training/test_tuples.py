from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy.sparse import csr_array

from reseen.errors import TrainingError
from reseen.photosets import Geometry, class_folders, join, references
from reseen.training.settings import Negatives, Pairs, TrainingSettings
from reseen.training.tuples import choose_pairs, epoch_order, likeness, mine
from reseen.training.views import View, ViewReader


def encode(views):
    random = np.random.default_rng(0)
    table = random.normal(size=(64, 8)).astype(np.float32)
    table /= np.linalg.norm(table, axis=1, keepdims=True)
    return table[[v.photo for v in views]]


def settings(pairs=None, **more) -> TrainingSettings:
    return TrainingSettings(pairs=Pairs(**(pairs or {})), **more)


def reader(data) -> ViewReader:
    s = settings()
    from reseen.images import Longest

    return ViewReader(data, s.views, Longest(64))


def test_random_pairs_stay_in_their_class_and_inliers_filter_them(classes):
    data = class_folders(classes)
    got = choose_pairs(data, settings({"rule": "random", "per_cluster": 3}), reader(data), encode)
    assert len(got.pairs) == 24
    assert (got.clusters[got.pairs[:, 0]] == got.clusters[got.pairs[:, 1]]).all()
    with pytest.raises(TrainingError, match="no two photos match"):
        choose_pairs(data, settings({"rule": "random", "inliers": (5000, 6000)}), reader(data), encode)


def test_folders_beside_sets_with_pairs_give_pairs_too(classes):
    folders, made = class_folders(classes), references(classes / "c0")
    first = folders.keep(folders.clusters < 2)
    listed = replace(
        folders.keep(folders.clusters == 3),
        pairs=np.array([[0, 1]]),
        negatives=np.array([[2]]),
        unpaired=np.zeros(4, bool),
    )
    data = join([first, made, listed])
    got = choose_pairs(data, settings({"per_cluster": 3}), reader(data), encode)
    query, positive = got.pairs.T
    assert np.unique(got.clusters[query], return_counts=True)[1].tolist() == [3, 3, 1, 1, 1, 1, 1]
    assert (got.clusters[query] == got.clusters[positive]).all()
    assert ((query == positive) == got.virtual[query]).all()
    assert got.negatives.ravel().tolist() == [-1, -1, -1, -1, 14, -1, -1, -1, -1, -1, -1]
    part = got.keep(got.clusters < 3)
    assert part.unpaired.tolist() == [True] * 8 + [False]


def test_photos_far_from_the_middle_of_their_class_give_no_pair(classes):
    data = class_folders(classes)
    angle = np.where(np.arange(32) % 4 == 3, 1.5, 0.1 * (np.arange(32) % 4))
    vectors = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    got = choose_pairs(data, settings({"farthest": 0.5}), reader(data), lambda views: vectors[[v.photo for v in views]])
    assert set((got.pairs % 4).ravel().tolist()) == {0, 1, 2}
    assert len(got.pairs) == 8 * 3


def test_pairs_are_verified_at_their_own_size(tmp_path):
    random = np.random.default_rng(0)
    blocks = random.integers(0, 255, (60, 80, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    for name in ("a", "b"):
        for i in range(2):
            folder = tmp_path / "classes" / name
            folder.mkdir(parents=True, exist_ok=True)
            pixels = blocks[:, :, ::-1] if name == "b" and i else np.roll(blocks, 16 * i, 1)
            Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{i}.png")
    data = class_folders(tmp_path / "classes")
    got = choose_pairs(data, settings({"inliers": (50, 1000)}), reader(data), encode)
    assert sorted(got.clusters[got.pairs[:, 0]].tolist()) in ([0], [0, 1])
    assert 0 in got.clusters[got.pairs[:, 0]]


def test_queries_with_their_nearest_positive_and_candidates(classes):
    data = class_folders(classes)
    got = choose_pairs(data, settings({"rule": "m1", "share": 0.5, "candidates": 1}), reader(data), encode)
    assert len(got.pairs) == 16
    vectors = encode([View(i) for i in range(32)])
    for query, positive in got.pairs.tolist():
        others = [i for i in range(32) if data.clusters[i] == data.clusters[query] and i != query]
        assert positive == max(others, key=lambda i: float(vectors[i] @ vectors[query]))
    assert got.candidates is not None
    assert len(got.candidates) < 32


def test_m3_follows_the_reconstruction(classes):
    data = class_folders(classes)
    visible = np.zeros((32, 64), bool)
    for i in range(32):
        visible[i, data.clusters[i] * 8 : data.clusters[i] * 8 + (8 if i % 4 < 2 else 1)] = True
    geometry = Geometry(np.zeros((32, 3)), csr_array(visible), np.ones(32))
    got = choose_pairs(replace(data, geometry=geometry), settings({"rule": "m3"}), reader(data), encode)
    assert len(got.pairs) == 8
    assert all(p % 4 < 2 or q % 4 >= 2 for q, p in got.pairs.tolist())
    with pytest.raises(TrainingError, match="reconstruction"):
        choose_pairs(data, settings({"rule": "m3"}), reader(data), encode)


def test_references_keep_their_virtual_pairs(classes):
    data = references(classes)
    got = choose_pairs(data, settings({"rule": "random"}), reader(data), encode)
    assert (got.pairs[:, 0] == got.pairs[:, 1]).all()


def test_mined_negatives_are_photo_numbers_of_other_clusters(classes):
    data = choose_pairs(class_folders(classes), settings(), reader(class_folders(classes)), encode)
    rows = np.arange(10)
    for rule in ("n1", "n2", "hardest", "random", "semi-hard"):
        got, alike = mine(data, settings(negatives=Negatives(rule, 3)), rows, 0, encode, {5: "bad"})
        assert got.shape == (10, 3)
        kept = got[got >= 0]
        assert len(kept) >= 20
        assert 5 not in kept
        query = data.clusters[data.pairs[rows, 0]]
        assert (data.clusters[got] != query[:, None])[got >= 0].all()
        assert abs(alike) < 0.2
    none, _ = mine(data, settings(negatives=Negatives("none")), rows, 0, encode, {})
    assert none.shape == (10, 0)
    with pytest.raises(TrainingError, match="gives no negatives"):
        mine(data, settings(negatives=Negatives("given")), rows, 0, encode, {})


@pytest.mark.parametrize(("rule", "expected"), [("n1", [4, 5, 8]), ("hardest", [4, 5, 8]), ("n2", [4, 8, 12])])
def test_negatives_are_the_nearest_by_the_vectors_of_the_network(classes, rule, expected):
    """Photos of cluster c stand at 20 c degrees and a little on: those nearest to photo 0 are known."""
    data = class_folders(classes)
    angle = np.radians(20.0 * data.clusters + 7.0 * (np.arange(32) % 4) + 3.0 * (np.arange(32) == 0))
    angle[6:8] += 2
    vectors = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    data = replace(data, pairs=np.array([[0, 1]]), negatives=np.zeros((1, 0), np.int64), unpaired=np.zeros(32, bool))
    asked = settings(negatives=Negatives(rule, 3))
    got, alike = mine(data, asked, np.array([0]), 0, lambda views: vectors[[v.photo for v in views]], {})
    order = np.argsort(-(vectors @ vectors[0]), kind="stable")
    if rule == "n2":
        assert got.tolist() == [expected]
    else:
        assert got.tolist() == [[i for i in order.tolist() if data.clusters[i] != 0][:3]]
    assert alike == pytest.approx(likeness(vectors))


def test_the_margin_and_the_warm_epochs_reach_the_miner(classes):
    data = class_folders(classes)
    angle = np.radians(np.where(data.clusters == 0, 10.0 * (np.arange(32) % 4), 20 + 4.0 * np.arange(32)))
    angle[4] = 0.02
    vectors = np.stack([np.cos(angle), np.sin(angle)], 1).astype(np.float32)
    data = replace(data, pairs=np.array([[0, 1]]), negatives=np.zeros((1, 0), np.int64), unpaired=np.zeros(32, bool))

    def found(epoch, **options):
        asked = settings(negatives=Negatives("hardest", 1, **options))
        return mine(data, asked, np.array([0]), epoch, lambda views: vectors[[v.photo for v in views]], {})[0].tolist()

    assert found(0) == [[4]]  # nearer than the positive
    assert found(0, warm=2) == found(1, warm=2) == [[5]]  # semi-hard: farther than the positive
    assert found(2, warm=2) == [[4]]


def test_a_pool_is_drawn_anew(classes):
    data = choose_pairs(class_folders(classes), settings(), reader(class_folders(classes)), encode)
    s = settings(negatives=Negatives("n1", 12, pool=12))
    first, _ = mine(data, s, np.arange(4), 0, encode, {})
    again, _ = mine(data, s, np.arange(4), 1, encode, {})
    assert len(np.unique(first[first >= 0])) <= 12
    assert set(first.ravel().tolist()) != set(again.ravel().tolist())


def test_an_epoch_draws_its_tuples_anew(classes):
    data = references(classes)
    s = settings(tuples_per_epoch=10)
    first, second = epoch_order(data, s, 0), epoch_order(data, s, 1)
    assert len(first) == len(set(first.tolist())) == 10
    assert first.tolist() != second.tolist()
    assert sorted(epoch_order(data, settings(), 0).tolist()) == list(range(32))
    assert len(epoch_order(data, settings(tuples_per_epoch=50), 0)) == 50


def test_likeness():
    assert likeness(np.ones((1, 3), np.float32)) == 0
    assert likeness(np.eye(4, dtype=np.float32)) == pytest.approx(0)
    assert likeness(np.tile(np.eye(4, dtype=np.float32)[:1], (5, 1))) == pytest.approx(1)
