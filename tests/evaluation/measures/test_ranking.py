"""Rankings in blocks against a plain argsort."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from reseen.errors import BenchmarkError
from reseen.evaluation.measures import metrics
from reseen.evaluation.measures.ranking import Truth, best, rank


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def problem():
    random = np.random.default_rng(0)
    queries, database = unit(random.normal(size=(9, 8))), unit(random.normal(size=(500, 8)))
    database[100:120] = database[7]  # ties
    positives = [np.sort(random.choice(500, 12, replace=False)) for _ in range(8)] + [np.zeros(0, np.int64)]
    junk = [np.setdiff1d(random.choice(500, 30), p) for p in positives]
    return queries, database, Truth(positives, junk)


@pytest.mark.parametrize("memory", [1, 5000, 1 << 26])
def test_ranks_equal_a_stable_argsort_whatever_the_memory(problem, memory):
    queries, database, truth = problem
    found = rank(queries, database, truth, k=15, memory=memory)
    orders = np.argsort(-(queries @ database.T), axis=1, kind="stable")
    expected = metrics.from_rankings(orders, truth.positives, truth.junk, database=500)
    assert np.array_equal(found.positions.found, expected.found)
    assert np.array_equal(found.top, orders[:, :15])
    np.testing.assert_allclose(found.scores, np.take_along_axis(queries @ database.T, found.top, 1), atol=1e-6)


def test_a_shortlist_in_a_new_order_stands_before_the_rest(problem):
    queries, database, truth = problem
    orders = np.argsort(-(queries @ database.T), axis=1, kind="stable")
    reversed_orders = np.concatenate([orders[:, 9::-1], orders[:, 10:]], 1)
    found = rank(
        queries, database, truth, k=20, shortlist=10, reorder=lambda query, rows, scores: (rows[::-1], scores[::-1])
    )
    expected = metrics.from_rankings(reversed_orders, truth.positives, truth.junk, database=500)
    assert np.array_equal(found.positions.found, expected.found)
    assert np.array_equal(found.top, reversed_orders[:, :20])


def test_re_ranking_may_not_change_which_photos_are_listed(problem):
    queries, database, truth = problem
    with pytest.raises(BenchmarkError, match="changed which photos"):
        rank(queries, database, truth, shortlist=5, reorder=lambda query, rows, scores: (rows + 1, scores))
    with pytest.raises(BenchmarkError, match="changed which photos"):
        rank(queries, database, truth, shortlist=5, reorder=lambda query, rows, scores: (rows[:4], scores[:4]))


def test_memory_does_not_grow_with_queries_times_database():
    random = np.random.default_rng(1)
    queries, database = unit(random.normal(size=(60, 16))), unit(random.normal(size=(60_000, 16)))
    truth = Truth([np.arange(20)] * 60, [np.arange(20, 40)] * 60)
    tracemalloc.start()
    try:
        rank(queries, database, truth, memory=1 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8e6  # all scores are 14 MB, all ranks 29 MB


def test_the_first_rows_of_ties_stand_in_the_order_of_the_database():
    assert best(np.array([0.5, 0.9, 0.5, 0.5, 0.1]), 3).tolist() == [1, 0, 2]
    assert best(np.array([0.2, 0.9]), 5).tolist() == [1, 0]
    many = np.repeat(np.float32([0.1, 0.7, 0.4]), 60)[np.random.default_rng(0).permutation(180)]
    for k in (70, 180, 500):
        assert best(many, k).tolist() == np.argsort(-many, kind="stable")[:k].tolist()


def test_vectors_that_do_not_fit_are_refused(problem):
    queries, database, truth = problem
    with pytest.raises(BenchmarkError, match="differ in dimensions"):
        rank(queries[:, :5], database, truth)
    database[3] = np.nan
    with pytest.raises(BenchmarkError, match="NaN"):
        rank(queries, database, truth)


def test_truth_that_contradicts_itself_is_refused(problem):
    queries, database, truth = problem
    with pytest.raises(BenchmarkError, match="both positive and junk"):
        rank(queries, database, Truth(truth.positives, [*truth.junk[:-2], truth.positives[-2], truth.junk[-1]]))


def test_a_shortlist_may_be_longer_than_what_is_kept(problem):
    queries, database, truth = problem
    given = []
    rank(
        queries, database, truth, k=2, shortlist=30,
        reorder=lambda query, rows, scores: given.append(len(rows)) or (rows, scores),
    )  # fmt: skip
    assert given == [30] * len(queries)
