"""Product quantisation: unit vectors as a few bytes, searched by asymmetric distances (REMAP, Section III-E)."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reseen.errors import NotFitted
from reseen.types import Vectors

Codes = NDArray[np.uint8]
"""``(n, m)``: for each part of each vector, the number of its centroid."""
CENTROIDS = 256
"""Of each part: 8 bits."""
BLOCK_BYTES = 64 << 20
"""Bytes of similarities looked up at once."""


class ProductQuantizer:
    """A vector is cut into ``m`` parts of equal length, each the number of the nearest of 256 centroids: ``m`` bytes.

    Jegou, Douze and Schmid, 2011. Queries are not quantised: :meth:`similarities` compares them with the centroids
    (asymmetric distances). FAISS learns the centroids; what is learned is two plain arrays.

    Args:
        m: parts, and bytes of a code; it divides the dimensions of the vectors.
        rotate: learn a rotation that makes the parts alike first (OPQ, Ge et al., 2013).
        seed: of k-means.
    """

    def __init__(self, m: int = 16, *, rotate: bool = False, seed: int = 0) -> None:
        self.m, self.rotate, self.seed = m, rotate, seed
        self.centroids_: Vectors | None = None
        self.rotation_: Vectors | None = None

    def fit(self, X: Vectors) -> Self:
        """Learn from rows ``(n, d)``.

        Raises:
            ValueError: ``m`` does not divide d. NotFitted: fewer than 256 rows.
        """
        import faiss

        n, d = X.shape
        if self.m < 1 or d % self.m:
            raise ValueError(f"{self.m} parts of equal length cannot be cut from {d} dimensions")
        if n < CENTROIDS:
            raise NotFitted(f"product quantisation needs {CENTROIDS} vectors or more to learn from, there are {n}")
        rows = np.ascontiguousarray(X, np.float32)
        quantizer = faiss.ProductQuantizer(d, self.m, 8)
        quantizer.cp.seed = self.seed
        quantizer.cp.min_points_per_centroid = 1
        quantizer.cp.max_points_per_centroid = -(-n // CENTROIDS)
        self.rotation_ = None
        if self.rotate:
            turn = faiss.OPQMatrix(d, self.m)
            turn.pq = quantizer
            turn.train(rows)
            self.rotation_ = faiss.vector_to_array(turn.A).reshape(d, d)
            rows = rows @ self.rotation_.T
        quantizer.train(rows)
        self.centroids_ = faiss.vector_to_array(quantizer.centroids).reshape(self.m, CENTROIDS, d // self.m)
        return self

    def encode(self, X: Vectors) -> Codes:
        """``(n, d)`` -> ``(n, m)``; ValueError for another width."""
        import faiss

        rows = self._turned(X)
        centroids = self._learned()
        quantizer = faiss.ProductQuantizer(rows.shape[1], self.m, 8)
        faiss.copy_array_to_vector(np.ascontiguousarray(centroids.ravel()), quantizer.centroids)
        return np.asarray(quantizer.compute_codes(np.ascontiguousarray(rows)), np.uint8)

    def decode(self, codes: Codes) -> Vectors:
        """The vectors that codes ``(n, m)`` stand for, ``(n, d)``, not of unit length."""
        centroids = self._learned()
        rows = np.concatenate([part[codes[:, j]] for j, part in enumerate(centroids)], axis=1)
        return rows if self.rotation_ is None else rows @ self.rotation_

    def tables(self, queries: Vectors) -> Vectors:
        """Squared distances ``(q, m, 256)`` of each query's parts to the centroids."""
        centroids = self._learned()
        parts = self._turned(queries).reshape(len(queries), self.m, -1).transpose(1, 0, 2)
        inner = (parts @ centroids.transpose(0, 2, 1)).transpose(1, 0, 2)
        lengths = np.square(parts).sum(2).T[:, :, None]
        return np.asarray(np.square(centroids).sum(2)[None] - 2 * inner + lengths, np.float32)

    def similarities(self, queries: Vectors, codes: Codes) -> Vectors:
        """Similarities ``(q, n)`` of unit queries ``(q, d)`` with coded unit vectors: ``1 - d^2 / 2``, d the asymmetric
        distance; for a code without error the inner product.
        """
        found = np.zeros((len(queries), len(codes)), np.float32)
        tables = self.tables(queries)
        step = max(1, BLOCK_BYTES // (4 * max(1, len(queries))))
        for start in range(0, len(codes), step):
            block = codes[start : start + step]
            for j in range(self.m):
                found[:, start : start + step] += tables[:, j][:, block[:, j]]
        return np.asarray(1 - found / 2, np.float32)

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make the same, unfitted quantiser."""
        return {"m": self.m, "rotate": self.rotate, "seed": self.seed}

    def state(self) -> dict[str, NDArray[Any]]:
        """``centroids (m, 256, d / m)`` and, with ``rotate``, ``rotation (d, d)``; empty before :meth:`fit`."""
        if self.centroids_ is None:
            return {}
        turn = {} if self.rotation_ is None else {"rotation": self.rotation_}
        return {"centroids": self.centroids_, **turn}

    def load_state(self, state: dict[str, NDArray[Any]]) -> Self:
        """Take learned arrays back; returns self."""
        self.centroids_ = state["centroids"]
        self.rotation_ = state.get("rotation")
        return self

    def _learned(self) -> Vectors:
        if self.centroids_ is None:
            raise NotFitted("product quantisation has not been fitted")
        return self.centroids_

    def _turned(self, X: Vectors) -> Vectors:
        centroids = self._learned()
        d = centroids.shape[0] * centroids.shape[2]
        if X.ndim != 2 or X.shape[1] != d:
            raise ValueError(f"product quantisation was learned on {d} dimensions, these vectors are {X.shape}")
        rows = X if self.rotation_ is None else X @ self.rotation_.T
        return np.asarray(rows, np.float32)
