"""Expansion against its formulas, one vector at a time."""

from __future__ import annotations

import numpy as np
import pytest

from reseen.search import expansion
from reseen.search.expansion import alpha_qe, aqe, dba, instance_means, neighbours, rank_weights


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


@pytest.fixture
def database():
    return unit(np.random.default_rng(0).normal(size=(60, 8)))


@pytest.fixture
def queries():
    return unit(np.random.default_rng(1).normal(size=(7, 8)))


def slow(query, database, n, weight):
    nearest = sorted(range(len(database)), key=lambda i: -float(query @ database[i]))[:n]
    total = query.astype(np.float64)
    for r, i in enumerate(nearest, 1):
        total = total + weight(float(query @ database[i]), r, n) * database[i]
    return total / np.linalg.norm(total)


def test_alpha_expansion_equals_its_formula(queries, database):
    found = alpha_qe(queries, database, 5, 3.0)
    expected = [slow(q, database, 5, lambda s, r, k: max(s, 0) ** 3) for q in queries]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_average_expansion_is_the_mean_with_the_nearest(queries, database):
    expected = [slow(q, database, 4, lambda s, r, k: 1) for q in queries]
    np.testing.assert_allclose(aqe(queries, database, 4), expected, atol=1e-6)
    np.testing.assert_array_equal(aqe(queries, database, 4), alpha_qe(queries, database, 4, 0))


@pytest.mark.parametrize(
    ("kind", "weight"),
    [
        ("uniform", lambda s, r, k: 1),
        ("rank", lambda s, r, k: (k - r + 1) / (k + 1)),
        ("gordo", lambda s, r, k: 1 - r / k),
        ("alpha", lambda s, r, k: max(s, 0) ** 3),
    ],
)
def test_augmentation_leaves_the_vector_itself_out_and_keeps_it_at_weight_1(database, kind, weight):
    expected = [slow(x, np.delete(database, i, 0), 6, weight) for i, x in enumerate(database)]
    np.testing.assert_allclose(dba(database, 6, kind), expected, atol=1e-6)


def test_blocks_give_what_one_block_gives(monkeypatch, database):
    whole = dba(database, 5)
    monkeypatch.setattr(expansion, "BLOCK_BYTES", 1 << 10)
    np.testing.assert_allclose(dba(database, 5), whole, atol=1e-6)


def test_duplicates_are_each_others_neighbours_but_never_their_own(database):
    twins = np.concatenate([database, database[:1]])
    rows, scores = neighbours(twins, twins, 1, skip=np.arange(len(twins)))
    assert rows[0, 0] == 60 and rows[60, 0] == 0
    assert scores[0, 0] == pytest.approx(1)


def test_more_neighbours_than_there_are(queries, database):
    assert aqe(queries, database[:3], 10).shape == (7, 8)
    assert dba(database[:2], 10).shape == (2, 8)
    np.testing.assert_array_equal(dba(database[:1], 10), database[:1])


def test_nothing_is_changed_in_place(queries, database):
    before = database.copy(), queries.copy()
    dba(database, 5)
    alpha_qe(queries, database, 5)
    instance_means(database, np.arange(60) % 7)
    dba(database, 5, labels=np.arange(60) % 7)
    np.testing.assert_array_equal(database, before[0])
    np.testing.assert_array_equal(queries, before[1])


def test_the_two_weightings_by_rank():
    assert rank_weights(3).tolist() == [0.75, 0.5, 0.25]
    assert rank_weights(4, "gordo").tolist() == [0.75, 0.5, 0.25, 0]
    np.testing.assert_allclose(rank_weights(4, "gordo")[:3], rank_weights(3))


def test_instances_are_averaged(database):
    labels = np.array(["b", "a", "b"] * 20)
    found = instance_means(database, labels)
    expected = [database[labels == label].mean(0) for label in "ab"]
    np.testing.assert_allclose(found, unit(np.stack(expected)), atol=1e-6)
    np.testing.assert_allclose(instance_means(database, np.arange(60)), database, atol=1e-6)


@pytest.mark.parametrize(("n", "counted"), [(None, 9), (4, 4), (20, 9)])
def test_augmentation_by_rank_stays_within_the_instance(database, n, counted):
    labels = np.arange(60) % 6
    found = dba(database, n, "rank", labels=labels)
    for i in (0, 17):
        others = [j for j in np.flatnonzero(labels == labels[i]) if j != i]
        expected = slow(database[i], database[others], counted, lambda s, r, k: (k - r + 1) / (k + 1))
        np.testing.assert_allclose(found[i], expected, atol=1e-6)
    np.testing.assert_array_equal(dba(database, n, "rank", labels=np.arange(60)), database)


def test_unknown_weights_and_labels_that_do_not_fit(database):
    with pytest.raises(ValueError, match="uniform, rank, gordo or alpha"):
        dba(database, 3, "other")
    for average in (instance_means, lambda x, labels: dba(x, 3, labels=labels)):
        with pytest.raises(ValueError, match="labels"):
            average(database, np.arange(3))


def test_neighbours_over_several_blocks_of_the_database():
    """70,000 vectors are two blocks; every query is a vector of the database."""
    database = np.random.default_rng(5).normal(size=(70_000, 4)).astype(np.float32)
    database /= np.linalg.norm(database, axis=1, keepdims=True)
    asked = np.array([0, 5, 65_535, 65_536, 66_000, 69_999])
    for n in (1, 6, 25):
        for skip in (None, asked):
            rows, scores = neighbours(database[asked], database, n, skip=skip)
            for i, own in enumerate(asked):
                similar = database @ database[own]
                if skip is not None:
                    similar[own] = -np.inf
                expected = np.argsort(-similar)[:n]
                assert rows[i].tolist() == expected.tolist()
                np.testing.assert_allclose(scores[i], similar[expected], rtol=1e-5)


def test_equal_neighbours_come_in_the_order_of_the_database():
    same = np.repeat(np.eye(2, dtype=np.float32), 30, 0)[np.random.default_rng(6).permutation(60)]
    rows, _ = neighbours(same[:2], same, 60)
    assert rows.tolist() == [np.argsort(-(same @ row), kind="stable").tolist() for row in same[:2]]


def test_two_vectors_are_each_others_neighbours_and_one_has_none():
    two = np.eye(2, dtype=np.float32)
    np.testing.assert_allclose(dba(two, None, "uniform"), np.full((2, 2), 0.5**0.5), atol=1e-6)
    np.testing.assert_allclose(dba(two, 1, "uniform"), np.full((2, 2), 0.5**0.5), atol=1e-6)
    assert dba(two[:1], None, "uniform").tolist() == [[1, 0]] and dba(two, 0).tolist() == two.tolist()
    three = np.eye(3, dtype=np.float32)
    np.testing.assert_allclose(dba(three, None, "rank"), dba(three, 2, "rank"))
