"""Query expansion and database augmentation: vectors pulled towards their neighbours.

Everything works in blocks: memory is bounded whatever the number of vectors, which may be memory-mapped.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from reseen.types import Rows, Vectors

Weights = Literal["uniform", "rank", "gordo", "alpha"]

BLOCK_BYTES = 64 << 20
"""Bytes of similarities held at once."""


def neighbours(queries: Vectors, database: Vectors, n: int, *, skip: Rows | None = None) -> tuple[Rows, Vectors]:
    """Rows of the ``n`` nearest vectors of each query by inner product, nearest first, and their similarities.

    Args:
        queries: ``(q, d)``.
        database: ``(m, d)``, searched block by block.
        n: at most m (m - 1 with ``skip``).
        skip: ``(q,)`` a row of the database that each query leaves out, its own for instance.
    """
    n = min(n, len(database) - (skip is not None))
    rows = np.zeros((len(queries), n), np.int64)
    scores = np.full((len(queries), n), -np.inf, np.float32)
    width = max(1, min(len(database), 1 << 16))
    step = max(1, BLOCK_BYTES // (4 * width))
    for start in range(0, len(queries), step):
        part = queries[start : start + step]
        best_rows = np.zeros((len(part), 0), np.int64)
        best_scores = np.zeros((len(part), 0), np.float32)
        for first in range(0, len(database), width):
            similar = part @ database[first : first + width].T
            if skip is not None:
                own = skip[start : start + step] - first
                inside = (own >= 0) & (own < similar.shape[1])
                similar[inside, own[inside]] = -np.inf
            found = np.broadcast_to(np.arange(first, first + similar.shape[1]), similar.shape)
            if similar.shape[1] > 4 * n:
                kept = np.argpartition(-similar, n - 1, axis=1)[:, :n]
                kept.sort(axis=1)
                similar, found = np.take_along_axis(similar, kept, 1), np.take_along_axis(found, kept, 1)
            all_scores = np.concatenate([best_scores, similar], 1)
            all_rows = np.concatenate([best_rows, found], 1)
            order = np.argsort(-all_scores, axis=1, kind="stable")[:, :n]
            best_scores = np.take_along_axis(all_scores, order, 1)
            best_rows = np.take_along_axis(all_rows, order, 1)
        rows[start : start + step], scores[start : start + step] = best_rows, best_scores
    return rows, scores


def rank_weights(k: int, form: Literal["rank", "gordo"] = "rank") -> Vectors:
    """Weights ``(k,)`` of k neighbours by their rank r = 1..k, nearest first; the vector itself weighs 1.

    ``rank`` is ``(k - r + 1) / (k + 1)``: every neighbour counts, the k-th least (instance search with FCNs, Section
    5.4.3, which gives the order only). ``gordo`` is ``1 - r / k``, as Gordo et al., 2017, print it: the k-th weighs 0.
    """
    r = np.arange(1, k + 1, dtype=np.float32)
    return np.asarray((k - r + 1) / (k + 1) if form == "rank" else 1 - r / k, np.float32)


def weights_of(scores: Vectors, kind: Weights, alpha: float = 3.0) -> Vectors:
    """Weights ``(q, n)`` of neighbours, nearest first.

    Args:
        scores: similarities ``(q, n)``.
        kind: ``uniform`` 1; ``rank`` and ``gordo`` as :func:`rank_weights`; ``alpha`` the similarity, clipped at 0, to
            the power ``alpha`` (0 gives ``uniform``).
        alpha: of ``alpha``.
    """
    if kind == "uniform" or (kind == "alpha" and alpha == 0):
        return np.ones_like(scores)
    if kind == "rank" or kind == "gordo":
        return np.broadcast_to(rank_weights(scores.shape[1], kind), scores.shape)
    if kind == "alpha":
        return np.maximum(scores, 0) ** np.float32(alpha)
    raise ValueError(f"weights {kind!r} are not uniform, rank, gordo or alpha")


def aqe(queries: Vectors, database: Vectors, n: int = 10) -> Vectors:
    """Average query expansion: ``l2(q + sum of the n nearest)`` (Chum et al., 2007)."""
    return alpha_qe(queries, database, n, 0.0)


def alpha_qe(queries: Vectors, database: Vectors, n: int = 10, alpha: float = 3.0) -> Vectors:
    """Alpha query expansion: ``l2(q + sum_i s_i^alpha x_i)`` over the n nearest, s clipped at 0.

    Args:
        queries: ``(q, d)`` unit rows.
        database: ``(m, d)`` unit rows.
        n: neighbours.
        alpha: 0 is average query expansion.

    Radenovic et al., 2018, Section 5.
    """
    rows, scores = neighbours(queries, database, n)
    return _pulled(queries, database, rows, weights_of(scores, "alpha", alpha))


def dba(
    database: Vectors,
    n: int | None = 10,
    kind: Weights = "alpha",
    alpha: float = 3.0,
    labels: NDArray[np.generic] | None = None,
) -> Vectors:
    """Database augmentation: every vector plus its weighted n nearest others, itself at weight 1, then l2.

    Args:
        database: ``(m, d)`` unit rows.
        n: neighbours, the vector itself not counted; all others when None.
        kind, alpha: of the weights, see :func:`weights_of`.
        labels: ``(m,)``; neighbours are sought among the vectors of the same label only, so that no thing is mixed with
            another. Where a label has fewer than ``n`` others the weights are those of so many.

    Arandjelovic and Zisserman, 2012; instance search with FCNs, Section 5.4.3.
    """
    if n is not None and n < 1:
        return database
    if labels is not None:
        moved = np.array(database, np.float32)
        for group in _groups(database, labels):
            moved[group] = dba(np.asarray(database[group]), n, kind, alpha)
        return moved
    if len(database) < 2:
        return database
    rows, scores = neighbours(database, database, n or len(database) - 1, skip=np.arange(len(database)))
    return _pulled(database, database, rows, weights_of(scores, kind, alpha))


def instance_means(vectors: Vectors, labels: NDArray[np.generic]) -> Vectors:
    """One unit row per label, sorted: the mean of its vectors (instance search with FCNs, Section 5.4.4).

    Args:
        vectors: ``(m, d)`` unit rows.
        labels: ``(m,)``; vectors of one label show one instance.
    """
    return _unit(np.stack([vectors[group].mean(0, dtype=np.float64) for group in _groups(vectors, labels)]))


def _groups(vectors: Vectors, labels: NDArray[np.generic]) -> list[Rows]:
    """Rows of each label, labels sorted; ValueError when there are not as many labels as vectors."""
    if len(vectors) != len(labels):
        raise ValueError(f"{len(vectors)} vectors but {len(labels)} labels")
    order = np.argsort(labels, kind="stable")
    _, first = np.unique(labels[order], return_index=True)
    return np.split(order, first[1:])


def _pulled(vectors: Vectors, database: Vectors, rows: Rows, weights: Vectors) -> Vectors:
    moved = np.empty((len(vectors), database.shape[1]), np.float32)
    step = max(1, BLOCK_BYTES // (4 * max(1, rows.shape[1]) * database.shape[1]))
    for start in range(0, len(vectors), step):
        part = slice(start, start + step)
        moved[part] = vectors[part] + np.einsum("qn,qnd->qd", weights[part], database[rows[part]])
    return _unit(moved)


def _unit(rows: Vectors) -> Vectors:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), np.float32)
