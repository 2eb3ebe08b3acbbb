"""Negatives for training: which photos of other clusters a query is set against.

Everything here takes unit vectors and cluster labels; which network made them does not matter.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from reseen.errors import RecipeError, TrainingError
from reseen.types import Rows, Vectors

Labels = NDArray[np.int64]
Rule = Literal["n1", "n2", "hardest", "semi-hard", "random"]

NONE = -1
"""Stands in a row of negatives for one that could not be found."""

_BLOCK_SCORES = 1 << 24


def mine_negatives(
    rule: Rule,
    queries: Vectors,
    query_labels: Labels,
    pool: Vectors,
    pool_labels: Labels,
    k: int,
    *,
    positives: Vectors | None = None,
    margin: float = 0.1,
    seed: int = 0,
) -> Rows:
    """Rows of ``pool`` that are negatives of each query, ``(q, k)`` int64, best first.

    Args:
        rule: ``n1``: the nearest photos of other clusters; ``n2``: the same with at most one photo per
            cluster (siaMAC, Section 4.2); ``hardest``: the same as ``n1`` (REMAP, Section IV-B, takes one);
            ``semi-hard``: the nearest of those farther than the positive, at most ``margin`` in squared
            distance beyond it, filled up by the nearest farther ones; ``random``: any of other clusters.
        queries: ``(q, d)`` unit rows.
        query_labels: ``(q,)`` cluster of each query.
        pool: ``(n, d)`` unit rows.
        pool_labels: ``(n,)`` cluster of each photo of the pool.
        k: negatives per query; where fewer exist the row ends in :data:`NONE`.
        positives: ``(q, d)`` vectors of the queries' positives, for ``semi-hard``.
        margin: see ``semi-hard``.
        seed: of ``random``.

    Raises:
        RecipeError: unknown rule. TrainingError: a query has no negative at all.
    """
    if rule not in get_args(Rule):
        raise RecipeError(f"negatives {rule!r} are not known; the known ones are {', '.join(get_args(Rule))}")
    if rule == "semi-hard" and positives is None:
        raise TrainingError("semi-hard negatives need the vectors of the positives")
    lonely = ~np.array([(pool_labels != label).any() for label in np.unique(query_labels)], dtype=bool)
    if lonely.any():
        name = np.unique(query_labels)[lonely][0]
        raise TrainingError(
            f"cluster {name} has no negatives: all photos of the pool belong to it; add photos of other things"
        )
    found = np.full((len(queries), k), NONE, dtype=np.int64)
    random = np.random.default_rng(seed)
    for rows, scores in _score_blocks(queries, pool):
        allowed = query_labels[rows][:, None] != pool_labels[None, :]
        if rule == "random":
            scores = random.random(scores.shape, dtype=np.float32)
        elif rule == "semi-hard":
            assert positives is not None
            allowed_score = (queries[rows] * positives[rows]).sum(1, keepdims=True)
            scores = _semi_hard_order(scores, allowed_score, margin)
        scores = np.where(allowed, scores, -np.inf)
        take = _first_per_cluster if rule == "n2" else _first
        found[rows] = take(scores, pool_labels, k)
    return found


def _score_blocks(queries: Vectors, pool: Vectors) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Inner products of a block of queries with the whole pool, in bounded memory."""
    step = max(1, _BLOCK_SCORES // max(1, len(pool)))
    for start in range(0, len(queries), step):
        rows = slice(start, start + step)
        yield rows, queries[rows] @ pool.T


def _semi_hard_order(scores: NDArray[np.float32], positive: NDArray[np.float32], margin: float) -> NDArray[np.float32]:
    """Scores re-ordered: the band below the positive first, then what lies beyond it, nearer first.

    Photos nearer than the positive are left out; the band is ``margin / 2`` wide, as ``|x - y|^2 = 2 - 2 <x, y>``.
    """
    ordered = np.where(scores < positive, scores, -np.inf)
    band = (scores < positive) & (scores > positive - margin / 2)
    return np.where(band, ordered + 4, ordered).astype(np.float32)


def _first(scores: NDArray[np.float32], _: Labels, k: int) -> Rows:
    """The k best columns of each row, best first, ties to the smaller column."""
    n = scores.shape[1]
    found = np.full((len(scores), k), NONE, dtype=np.int64)
    order = np.argsort(-scores, axis=1, kind="stable")[:, : min(k, n)]
    usable = np.isfinite(np.take_along_axis(scores, order, 1))
    found[:, : order.shape[1]] = np.where(usable, order, NONE)
    return found


def _first_per_cluster(scores: NDArray[np.float32], labels: Labels, k: int) -> Rows:
    """As :func:`_first`, keeping only the best photo of each cluster."""
    best = np.full_like(scores, -np.inf)
    clusters, inverse = np.unique(labels, return_inverse=True)
    by_cluster = np.argsort(inverse, kind="stable")
    bounds = np.append(np.searchsorted(inverse[by_cluster], np.arange(len(clusters))), len(labels))
    for start, end in itertools.pairwise(bounds):
        columns = by_cluster[start:end]
        winner = columns[scores[:, columns].argmax(1)]
        rows = np.arange(len(scores))
        best[rows, winner] = scores[rows, winner]
    return _first(best, labels, k)
