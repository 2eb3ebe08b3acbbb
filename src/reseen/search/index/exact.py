"""Exact search: the inner product with every vector, without copying the vectors."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Self

import faiss
import numpy as np

from reseen.search.index.base import Allowed, Takes
from reseen.types import Ids, Rows, Vectors

FEW = 0.25
"""Share of the photos up to which the vectors that are allowed are fetched one by one, instead of all being read."""


class ExactIndex:
    """Inner-product search over ``vectors (n, d)`` float32 (a memory map will do) with ``ids (n,)`` int64.

    Raises:
        ValueError: shapes or types do not fit together.
    """

    takes: ClassVar[Takes] = "vectors"

    def __init__(self, vectors: Vectors, ids: Ids) -> None:
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            raise ValueError(f"vectors must be float32 (n, d), not {vectors.dtype} {vectors.shape}")
        if ids.shape != (len(vectors),) or ids.dtype != np.int64:
            raise ValueError(f"ids must be int64 ({len(vectors)},), not {ids.dtype} {ids.shape}")
        self.vectors = vectors
        self.ids = ids

    @classmethod
    def of(cls, ids: Ids, items: Vectors) -> Self:
        """See :class:`Index`."""
        return cls(items, ids)

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, asked: Vectors, k: int, allowed: Allowed | None = None) -> tuple[Ids, Vectors]:
        """The ``min(k, n)`` best of each query ``(q, d)``: ids ``(q, k)`` int64 and scores ``(q, k)`` float32.

        Scores descend; equal scores are ordered by id, so that a ranking is the same on every run.

        Args:
            asked: queries ``(q, d)``.
            k: 1 or more.
            allowed: the n that may be found: ids, or a mask over the rows; the others take no part at all.

        Raises:
            ValueError: ``k`` is below 1, the dimensions differ, a query is not finite, or a mask has another length.
        """
        queries = np.ascontiguousarray(np.atleast_2d(asked), dtype=np.float32)
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        if queries.shape[1] != self.vectors.shape[1]:
            raise ValueError(f"queries have {queries.shape[1]} dimensions, the vectors {self.vectors.shape[1]}")
        if not np.isfinite(queries).all():
            raise ValueError("a query vector holds NaN or infinity")
        rows = None if allowed is None else self._rows(allowed)
        k = min(k, len(self) if rows is None else len(rows))
        if k == 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        if len(queries) > 1 and rows is None:
            scores, found = faiss.knn(queries, self.vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
            return self._ordered(found, scores, k)
        each = [self._ordered(*self._nearest(query, k, rows), k) for query in queries]
        return np.concatenate([ids for ids, _ in each]), np.concatenate([scores for _, scores in each])

    def add(self, ids: Ids, items: Vectors) -> None:
        """Add ``vectors (n, d)``, which are copied; photos that are there already are replaced."""
        self.remove(ids)
        self.vectors = np.concatenate([self.vectors, np.asarray(items, np.float32)])
        self.ids = np.concatenate([self.ids, np.asarray(ids, np.int64)])

    def remove(self, ids: Ids) -> None:
        """Take photos out; ids that are not there are left alone."""
        gone = np.isin(self.ids, ids)
        if gone.any():
            self.vectors, self.ids = self.vectors[~gone], self.ids[~gone]

    def save(self, folder: Path) -> None:
        """Write ``vectors.npy`` and ``ids.npy``."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "vectors.npy", self.vectors, allow_pickle=False)
        np.save(folder / "ids.npy", self.ids, allow_pickle=False)

    @classmethod
    def open(cls, folder: Path) -> Self:
        """What :meth:`save` wrote, memory-mapped."""
        vectors, ids = (
            np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ("vectors", "ids")
        )
        return cls(vectors, ids)

    def _rows(self, allowed: Allowed) -> Rows:
        """Rows of the photos that may be found."""
        mask = allowed if allowed.dtype == np.bool_ else np.isin(self.ids, allowed)
        if mask.shape != self.ids.shape:
            raise ValueError(f"a mask of {mask.shape} does not fit {len(self)} photos")
        return np.flatnonzero(mask)

    def _nearest(self, query: Vectors, k: int, rows: Rows | None) -> tuple[Rows, Vectors]:
        """Rows and scores ``(1, k or more)`` of one query: all that are no worse than the k-th.

        One query is bound by memory, which BLAS reads with every core and FAISS with one.
        """
        if rows is None:
            scores = self.vectors @ query
        elif len(rows) <= FEW * len(self):
            scores = self.vectors[rows] @ query
        else:
            scores = (self.vectors @ query)[rows]
        worst = np.partition(scores, len(scores) - k)[len(scores) - k]
        best = np.flatnonzero(scores >= worst)
        return (best if rows is None else rows[best])[None], scores[None, best]

    def _ordered(self, rows: Rows, scores: Vectors, k: int) -> tuple[Ids, Vectors]:
        ids = self.ids[rows]
        order = np.lexsort((ids, -scores), axis=1)[:, :k]
        return np.take_along_axis(ids, order, 1), np.take_along_axis(scores, order, 1)
