"""Positives, negatives and pairs against their rules written out."""

from __future__ import annotations

import numpy as np
import pytest
from formulas import mining
from scipy.sparse import csr_array

from reseen.training.mining.negatives import mine_negatives
from reseen.training.mining.positives import choose_positives, nearest_cameras
from reseen.training.mining.selection import choose_candidates, choose_queries, random_pairs

RNG = np.random.default_rng(0)


def rows(n, d=4):
    drawn = RNG.normal(size=(n, d)) + 0.4
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("rule", ["n1", "hardest", "n2", "semi-hard"])
@pytest.mark.parametrize("margin", [0.02, 0.3])
@pytest.mark.parametrize("k", [1, 4, 70])
def test_negatives(rule, margin, k):
    queries, positives, pool = rows(20), rows(20), rows(60)
    labels, pool_labels = RNG.integers(0, 9, 20), RNG.integers(0, 9, 60)
    found = mine_negatives(rule, queries, labels, pool, pool_labels, k, positives=positives, margin=margin)
    for i in range(20):
        golden = mining.negatives(rule, queries[i], labels[i], pool, pool_labels.tolist(), k, positives[i], margin)
        assert found[i].tolist() == golden


def test_pools_of_cameras():
    centres, models = RNG.normal(size=(30, 3)), RNG.integers(0, 3, 30)
    for k in (1, 4, 100):
        found = nearest_cameras(np.arange(30), centres, models, k)
        assert [pool.tolist() for pool in found] == [mining.nearest_cameras(q, centres, models, k) for q in range(30)]


def test_positives():
    visible = RNG.random((12, 20)) < 0.3
    visible[0, :10], visible[0, 10:] = True, False
    visible[1, :10] = [True, True] + [False] * 8  # exactly a fifth
    scales = RNG.uniform(0.5, 2, 12)
    scales[0], scales[1], scales[2] = 1.0, 1.5, 1 / 1.5
    visible[2, :10] = True
    vectors, pools = rows(12), [np.setdiff1d(np.arange(12), [q]) for q in range(12)]
    queries, seen = np.arange(12), csr_array(visible)
    m1 = choose_positives("m1", queries, pools, vectors=vectors)
    assert m1.tolist() == [mining.m1(q, pools[q].tolist(), vectors) for q in range(12)]
    m2 = choose_positives("m2", queries, pools, visible=seen)
    assert m2.tolist() == [mining.m2(q, pools[q].tolist(), visible) for q in range(12)]
    for overlap, change in ((0.2, 1.5), (0.5, 1.2)):
        drawn = [
            choose_positives(
                "m3", queries, pools, visible=seen, scales=scales, overlap=overlap, scale_change=change, seed=seed
            )
            for seed in range(80)
        ]
        for q in range(12):
            golden = mining.m3(q, pools[q].tolist(), visible, scales, overlap, change)
            assert {int(found[q]) for found in drawn} == (golden or {-1})


def test_one_shared_point_is_enough_and_equals_come_in_order():
    visible = csr_array(np.array([[1, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]], bool))
    assert choose_positives("m2", np.array([0]), [np.array([1, 2, 3])], visible=visible).tolist() == [2]
    same = np.repeat(rows(1), 60, 0)
    labels = np.arange(60) % 7
    for rule in ("n1", "n2", "semi-hard"):
        found = mine_negatives(rule, same[:1], np.array([0]), same, labels, 5, positives=-same[:1])
        assert found.tolist() == [[-1] * 5 if rule == "semi-hard" else [1, 2, 3, 4, 5]]
    assert nearest_cameras(np.array([0]), np.zeros((60, 3)), np.zeros(60, int), 5)[0].tolist() == [1, 2, 3, 4, 5]


def test_an_empty_pool_gives_no_positive():
    pools = [np.zeros(0, np.int64), np.array([2])]
    assert choose_positives("m1", np.array([0, 1]), pools, vectors=rows(3)).tolist() == [-1, 2]


def test_queries_candidates_and_pairs():
    sizes = [1, 2, 9, 24, 36, 290, 310, 900]
    clusters = np.repeat(np.arange(8), sizes)
    for seed in range(3):
        queries = choose_queries(clusters, seed=seed)
        assert len(np.unique(queries)) == len(queries)
        assert np.bincount(clusters[queries], minlength=8).tolist() == [mining.queries_of(size) for size in sizes]
        candidates = choose_candidates(clusters, queries, seed=seed)
        golden = [min(size, mining.queries_of(size) + 20) for size in sizes]
        assert np.bincount(clusters[candidates], minlength=8).tolist() == golden
        assert len(np.unique(candidates)) == len(candidates)
        small = RNG.integers(0, 4, 14)
        assert {tuple(sorted(pair)) for pair in random_pairs(small, seed=seed).tolist()} == mining.pairs_of(small)
        few = random_pairs(small, per_cluster=3, seed=seed)
        assert np.bincount(small[few[:, 0]]).max() == 3 and {*map(tuple, np.sort(few, 1).tolist())} <= mining.pairs_of(
            small
        )


def test_nothing_gives_nothing_of_the_right_shape():
    none = np.zeros(0, np.int64)
    assert choose_queries(none).shape == (0,) and choose_queries(np.arange(3)).shape == (0,)
    assert random_pairs(none).shape == (0, 2) and random_pairs(np.arange(3)).shape == (0, 2)
