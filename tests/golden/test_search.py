"""Expansion and measures against their formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
from formulas import search

from reseen.evaluation.measures import metrics
from reseen.search.expansion import alpha_qe, aqe, dba, instance_means

RNG = np.random.default_rng(0)


def rows(n, d=6):
    drawn = RNG.normal(size=(n, d)) + 0.3
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def close(ours, golden):
    assert np.asarray(ours, np.float64) == pytest.approx(np.asarray(golden, np.float64), abs=1e-5)


def test_query_expansion():
    queries, database = rows(5), rows(40)
    wide = database.astype(np.float64)
    close(aqe(queries, database, 5), [search.alpha_qe(q, wide, 5, 0.0) for q in queries])
    for alpha in (0.0, 1.0, 3.0):
        close(alpha_qe(queries, database, 7, alpha), [search.alpha_qe(q, wide, 7, alpha) for q in queries])


def test_neighbours_that_point_away_do_not_pull():
    queries, database = rows(3), -rows(12)
    close(alpha_qe(queries, database, 12, 3.0), [search.alpha_qe(q, database.astype(float), 12, 3.0) for q in queries])


@pytest.mark.parametrize(
    ("kind", "weight"),
    [
        ("uniform", lambda r, s, k: 1.0),
        ("rank", lambda r, s, k: (k - r + 1) / (k + 1)),
        ("gordo", lambda r, s, k: 1 - r / k),
        ("alpha", lambda r, s, k: max(s, 0.0) ** 3),
    ],
)
def test_database_augmentation(kind, weight):
    database = rows(30)
    wide = database.astype(np.float64)
    golden = [search.augmented(wide, i, 4, lambda r, s: weight(r, s, 4)) for i in range(30)]
    close(dba(database, 4, kind, 3.0), golden)
    labels = np.arange(30) % 5  # six of each
    golden = []
    for i in range(30):
        own = np.flatnonzero(labels == labels[i])
        place = int(np.flatnonzero(own == i)[0])
        golden.append(search.augmented(wide[own], place, 4, lambda r, s: weight(r, s, 4)))
    close(dba(database, 4, kind, 3.0, labels), golden)


def test_instance_averages():
    database, labels = rows(12), np.array(list("bacabcacbbca"))
    golden = [search.unit(sum(database[labels == name].astype(np.float64))) for name in "abc"]
    close(instance_means(database, labels), golden)


def test_measures():
    for _ in range(40):
        size = int(RNG.integers(5, 25))
        order = RNG.permutation(size)
        relevant = set(RNG.choice(size, int(RNG.integers(1, 5)), replace=False).tolist())
        junk = set(RNG.choice(size, int(RNG.integers(0, 5)), replace=False).tolist()) - relevant
        scores = np.empty(size, np.float32)
        scores[order] = -np.arange(size)
        positions = metrics.from_scores(scores[None], [sorted(relevant)], [sorted(junk)])
        ranking = order.tolist()
        close(metrics.average_precision(positions), [search.average_precision(ranking, relevant, junk)])
        finite = search.finite_average_precision(ranking, relevant, junk)
        close(metrics.average_precision(positions, "finite"), [finite])
        for k in (1, 3, 10):
            golden = search.average_precision_at(ranking, relevant, junk, k)
            close(metrics.average_precision_at(positions, k), [golden])
            close(metrics.precision_at(positions, k), [search.precision_at(ranking, relevant, junk, k)])
            golden = search.revisited_precision_at(ranking, relevant, junk, k)
            close(metrics.precision_at(positions, k, "revisited"), [golden])
        again = metrics.from_rankings([ranking], [sorted(relevant)], [sorted(junk)], database=size)
        close(metrics.average_precision(again), metrics.average_precision(positions))
