"""Exact search: the inner product with every vector, without copying the vectors."""

from __future__ import annotations

import faiss
import numpy as np
from numpy.typing import NDArray


class ExactIndex:
    """Inner-product search over ``vectors (n, d)`` float32 (a memory map will do) with ``ids (n,)`` int64.

    Raises:
        ValueError: shapes or types do not fit together.
    """

    def __init__(self, vectors: NDArray[np.float32], ids: NDArray[np.int64]) -> None:
        if vectors.ndim != 2 or vectors.dtype != np.float32:
            raise ValueError(f"vectors must be float32 (n, d), not {vectors.dtype} {vectors.shape}")
        if ids.shape != (len(vectors),) or ids.dtype != np.int64:
            raise ValueError(f"ids must be int64 ({len(vectors)},), not {ids.dtype} {ids.shape}")
        self.vectors = vectors
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The ``min(k, n)`` best of each query ``(q, d)``: scores ``(q, k)`` float32 and ids ``(q, k)`` int64.

        Scores descend; equal scores are ordered by id, so that a ranking is the same on every run.

        Raises:
            ValueError: ``k`` is below 1, the dimensions differ, or a query is not finite.
        """
        queries = np.ascontiguousarray(np.atleast_2d(queries), dtype=np.float32)
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        if queries.shape[1] != self.vectors.shape[1]:
            raise ValueError(f"queries have {queries.shape[1]} dimensions, the vectors {self.vectors.shape[1]}")
        if not np.isfinite(queries).all():
            raise ValueError("a query vector holds NaN or infinity")
        k = min(k, len(self))
        if k == 0:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        if len(queries) == 1:
            scores, rows = self._nearest(queries[0], k)
        else:
            scores, rows = faiss.knn(queries, self.vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
        ids = self.ids[rows]
        order = np.lexsort((ids, -scores), axis=1)[:, :k]
        return np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)

    def _nearest(self, query: NDArray[np.float32], k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Scores and rows ``(1, k or more)`` of one query: all that are no worse than the k-th.

        One query is bound by memory, which BLAS reads with every core and FAISS with one.
        """
        scores = self.vectors @ query
        worst = np.partition(scores, len(scores) - k)[len(scores) - k]
        rows = np.flatnonzero(scores >= worst)
        return scores[None, rows], rows[None]
