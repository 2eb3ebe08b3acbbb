"""Whole rankings of large databases in flat memory.

What the measures need of a ranking are the ranks of relevant and junk photos. They are counted from the scores
sorted by value, a few queries at a time: no ranking of the whole database is ever kept.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from reseen.errors import BenchmarkError
from reseen.evaluation.measures.metrics import (
    Positions,
    Ties,
    check_truth,
    collect,
    junk_free_ranks,
    ranks_of,
    without_junk,
)
from reseen.types import Rows, Values, Vectors

MEMORY = 64 << 20
"""Bytes of scores held at once; one query's row at least."""


@dataclass(frozen=True)
class Truth:
    """Rows of the database that match each query, and those that do not count."""

    positives: list[Rows]
    junk: list[Rows]


class Reorder(Protocol):
    """Re-ranking of a shortlist: gets a query's number, its first rows and their scores; gives them in a new order."""

    def __call__(self, query: int, rows: Rows, scores: Vectors) -> tuple[Rows, Vectors]:
        """The same rows in their new order, and scores to show beside them."""


class Rescore(Protocol):
    """Another first stage: gets a query's number and its scores ``(n,)`` of the database; gives those that rank it."""

    def __call__(self, query: int, scores: Vectors) -> Values:
        """Scores ``(n,)``."""


@dataclass(frozen=True)
class Ranked:
    """What is kept of the rankings.

    Attributes:
        positions: junk-free ranks of the relevant photos, exact over the whole database.
        top, scores: ``(q, k)`` first rows of each ranking (junk included) and their scores.
    """

    positions: Positions
    top: Rows
    scores: Vectors


def rank(
    queries: Vectors,
    database: Vectors,
    truth: Truth,
    *,
    k: int = 20,
    ties: Ties = "order",
    memory: int = MEMORY,
    shortlist: int = 0,
    reorder: Reorder | None = None,
    rescore: Rescore | None = None,
) -> Ranked:
    """Rank the database for each query by inner product.

    Args:
        queries: ``(q, d)`` float32.
        database: ``(n, d)`` float32; may be memory-mapped.
        truth: rows of the database, per query.
        k: rows of each ranking to keep.
        ties: see ``metrics.from_scores``.
        memory: bytes for scores.
        shortlist: how many first rows ``reorder`` gets, junk included; the rest of the ranking stays behind them.
        reorder: re-ranks a shortlist.
        rescore: what ranks the database, instead of the inner products.

    Raises:
        BenchmarkError: dimensions differ, vectors are not finite, or the truth contradicts itself.
    """
    if queries.ndim != 2 or database.ndim != 2 or queries.shape[1] != database.shape[1]:
        raise BenchmarkError(f"queries {queries.shape} and database {database.shape} differ in dimensions")
    n = len(database)
    k, shortlist = min(k, n), min(shortlist, n)
    rows: list[Rows] = []
    top = np.zeros((len(queries), k), np.int64)
    kept = np.zeros((len(queries), k), np.float32)
    step = max(1, memory // (4 * max(n, 1)))

    def one(query: int, scores: NDArray[Any]) -> Rows:
        wanted, ignored = truth.positives[query], truth.junk[query]
        check_truth(wanted, ignored, n, f"query {query}")
        if rescore is not None:
            scores = rescore(query, scores)
        depth = max(k, shortlist if reorder is not None else 0)
        first = best(scores, depth)
        shown = scores[first]
        if reorder is None:
            ranks = junk_free_ranks(scores, wanted, ignored, ties)
        else:
            ordered, new = reorder(query, first[:shortlist], shown[:shortlist])
            if len(ordered) != shortlist or not np.array_equal(np.sort(ordered), np.sort(first[:shortlist])):
                raise BenchmarkError(f"query {query}: re-ranking changed which photos are on the shortlist")
            first, shown = np.concatenate([ordered, first[shortlist:]]), np.concatenate([new, shown[shortlist:]])
            listed = np.concatenate([wanted, ignored])
            after = ranks_of(scores, listed)
            place = {int(row): i for i, row in enumerate(ordered)}
            after = np.array([place.get(int(row), int(r)) for row, r in zip(listed, after, strict=True)], np.int64)
            ranks = without_junk(after[: len(wanted)], after[len(wanted) :])
        top[query], kept[query] = first[:k], shown[:k]
        return ranks

    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) if reorder is None else 1)) as pool:
        for start in range(0, len(queries), step):
            scores = queries[start : start + step] @ database.T
            rows += pool.map(one, range(start, start + len(scores)), scores)
    return Ranked(collect(rows, [len(p) for p in truth.positives]), top, kept)


def best(scores: NDArray[Any], k: int) -> Rows:
    """The first ``k`` rows of a ranking; equal scores in the order of the database."""
    if k >= len(scores):
        return np.argsort(-scores, kind="stable")
    # all rows that reach the k-th score, so that ties at the end are cut in the order of the database
    threshold = np.partition(scores, len(scores) - k)[len(scores) - k]
    rows = np.flatnonzero(scores >= threshold)
    return rows[np.argsort(-scores[rows], kind="stable")][:k]
