"""Projections ``l2(P (x - mean))``: PCA whitening, learned whitening Lw, LDA with whitening."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from reseen.errors import NotFitted
from reseen.projections import subspace
from reseen.projections.base import Projection
from reseen.projections.moments import (
    Float64,
    blocks,
    chosen,
    class_scatter,
    indexable,
    moments,
    pair_scatter,
    shrink,
    shrunk_values,
)
from reseen.types import Pairs, Vectors

log = logging.getLogger(__name__)


def l2_rows(X: NDArray[Any]) -> Vectors:
    """Rows of unit length, float32; zero rows stay zero."""
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    unit: Vectors = (X / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit


class _Linear(Projection):
    """A projection that is a shift and a matrix; subclasses learn ``mean_ (d,)`` and ``matrix_ (D, d)``."""

    def __init__(self, dim: int | None = None, shrinkage: float = 0.0) -> None:
        self.dim = dim
        self.shrinkage = shrinkage
        self.mean_: Vectors | None = None
        self.matrix_: Vectors | None = None

    def transform(self, X: Vectors) -> Vectors:
        """See :meth:`Projection.transform`; ValueError for another width."""
        mean, matrix = self._learned()
        if X.ndim != 2 or X.shape[1] != len(mean):
            raise ValueError(f"{self.kind} was learned on {len(mean)} dimensions, these vectors are {X.shape}")
        return l2_rows((X - mean) @ matrix.T)

    def as_linear(self) -> tuple[Vectors, Vectors]:
        """See :meth:`Projection.as_linear`."""
        mean, matrix = self._learned()
        return matrix, -(matrix @ mean)

    def settings(self) -> dict[str, Any]:
        """See :meth:`Projection.settings`."""
        return {"dim": self.dim, "shrinkage": self.shrinkage}

    def state(self) -> dict[str, NDArray[Any]]:
        """``mean (d,)`` and ``matrix (D, d)``, float32; empty before :meth:`fit`."""
        if self.mean_ is None or self.matrix_ is None:
            return {}
        return {"mean": self.mean_, "matrix": self.matrix_}

    def load_state(self, state: dict[str, NDArray[Any]]) -> Self:
        """See :meth:`Projection.load_state`."""
        self.mean_, self.matrix_ = state["mean"].astype(np.float32), state["matrix"].astype(np.float32)
        return self

    def _learned(self) -> tuple[Vectors, Vectors]:
        if self.mean_ is None or self.matrix_ is None:
            raise NotFitted(f"projection {self.kind!r} has not been fitted")
        return self.mean_, self.matrix_

    def _keep(self, mean: Float64, matrix: Float64) -> Self:
        kept = matrix[: self.dim] if self.dim else matrix
        self.mean_, self.matrix_ = mean.astype(np.float32), np.ascontiguousarray(kept, dtype=np.float32)
        return self

    def _dimensions(self, d: int) -> int:
        if self.dim is not None and not 1 <= self.dim <= d:
            raise ValueError(f"{self.kind} to {self.dim} dimensions, but the vectors have {d}")
        return self.dim or d


def principal(covariance: Float64) -> tuple[Float64, Float64]:
    """Eigenvalues (largest first, none below 0) and eigenvectors as rows, signs fixed."""
    import scipy.linalg  # not needed to use what was learned

    values, vectors = scipy.linalg.eigh(covariance)
    return np.maximum(values[::-1], 0), _signed(vectors[:, ::-1].T)


def leading_axes(X: Vectors | Iterable[Vectors], count: int) -> tuple[Float64, Float64]:
    """Mean ``(d,)`` and at most ``count`` principal axes as rows, no more than n - 1; signs fixed.

    Fewer rows than dimensions are decomposed as they are, without their covariance ``(d, d)``.
    """
    if isinstance(X, np.ndarray) and X.ndim == 2 and 0 < len(X) < X.shape[1]:
        rows = np.concatenate(list(blocks(X)))
        mean = rows.mean(0)
        axes = _signed(np.linalg.svd(rows - mean, full_matrices=False)[2])
        found = len(rows)
    else:
        all_moments = moments(X)
        mean, axes, found = all_moments.mean, principal(all_moments.covariance)[1], all_moments.count
    return mean, axes[: min(count, max(found - 1, 1))]


def _signed(rows: Float64) -> Float64:
    """Rows with their largest entries positive."""
    signs: Float64 = np.sign(rows[np.arange(len(rows)), np.abs(rows).argmax(1)])
    return rows * signs[:, None]


class PCA(_Linear):
    """PCA whitening: ``l2(diag(lambda^(-power/2)) E^T (x - mean))``.

    Args:
        dim: dimensions kept; all when None.
        power: 1 whitens in full, 0.5 is half power, 0 is plain PCA.
        shrinkage: 0..1, draws the eigenvalues towards their mean (needed with fewer rows than dimensions).

    siaMAC, Section 3.3 (Jegou and Chum, 2012). Learned from a stream of blocks in flat memory; above
    :data:`~reseen.projections.subspace.WIDE` dimensions the ``dim`` leading axes are found without the covariance.
    """

    kind = "pca"

    def __init__(self, dim: int | None = None, power: float = 1.0, shrinkage: float = 0.0) -> None:
        super().__init__(dim, shrinkage)
        self.power = power
        self.eigenvalues_: Vectors | None = None

    def settings(self) -> dict[str, Any]:
        """See :meth:`Projection.settings`."""
        return {**super().settings(), "power": self.power}

    def fit(self, X: Vectors | Iterable[Vectors], pairs: Pairs | None = None) -> Self:
        """See :meth:`Projection.fit`; pairs are not used."""
        width, X = _peeked(X)
        dim = self._dimensions(width)
        if width > subspace.WIDE and dim < width:
            wide = subspace.leading(indexable(X), dim)
            count, mean, rows = wide.count, wide.mean, _signed(wide.axes)
            values = shrunk_values(wide.values, self.shrinkage, wide.variance / width)
        else:
            found = moments(X)
            count, mean = found.count, found.mean
            values, rows = principal(shrink(found.covariance, self.shrinkage))
        if count <= dim:
            log.warning("PCA to %d dimensions from %d vectors: the last ones are noise", dim, count)
        floor = max(values[0], 1e-20) * 1e-9
        self.eigenvalues_ = values.astype(np.float32)
        return self._keep(mean, rows * np.maximum(values, floor)[:, None] ** (-self.power / 2))


def _peeked(X: Vectors | Iterable[Vectors]) -> tuple[int, Vectors | Iterable[Vectors]]:
    """The width of the rows, and the same rows; ValueError for a stream without any."""
    if isinstance(X, np.ndarray):
        return indexable(X).shape[1], X
    stream = iter(X)
    first = next(stream, None)
    if first is None:
        raise ValueError("there are no vectors to learn from")
    return first.shape[-1], itertools.chain([first], stream)


def _matching(X: Vectors, pairs: Pairs | None, kind: str) -> Pairs:
    """The pairs, checked; ValueError without any, or when they name rows that do not exist."""
    if pairs is None or len(pairs) == 0:
        raise ValueError(f"projection {kind!r} learns from matching pairs: none were given")
    pairs = np.asarray(pairs, np.int64)
    if pairs.ndim != 2 or pairs.shape[1] != 2 or pairs.min() < 0 or pairs.max() >= len(X):
        raise ValueError(f"pairs must be (m, 2) rows of the {len(X)} vectors")
    return pairs


def _cholesky(scatter: Float64, kind: str) -> Float64:
    """Lower Cholesky factor; when it is not positive definite 1e-10 I is added and grown tenfold until it is."""
    added = 0.0
    while True:
        try:
            factor = np.asarray(np.linalg.cholesky(scatter + added * np.eye(len(scatter))), np.float64)
        except np.linalg.LinAlgError:
            added = added * 10 if added else 1e-10
            continue
        if added:
            log.warning(
                "%s: the scatter of matching pairs is not positive definite; added %.0e to its diagonal", kind, added
            )
        return factor


class LW(_Linear):
    """Learned whitening from matching pairs (siaMAC, Section 3.3, after Mikolajczyk and Matas).

    Args:
        dim: dimensions kept; all when None.
        form: ``published`` (mean of the first photos of the pairs, all vectors about it in the place of
            non-matching differences; what the authors' code does) or ``paper`` (mean of all vectors,
            differences of all non-matching pairs; for vectors of n photos their scatter is twice the covariance).
        shrinkage: 0..1, of the scatter of matching pairs; a few hundred pairs need some.

    Learned in flat memory from an array that may be memory-mapped, or from a stream.
    """

    kind = "lw"
    needs = frozenset({"pairs"})

    def __init__(
        self, dim: int | None = None, form: Literal["published", "paper"] = "published", shrinkage: float = 0.0
    ) -> None:
        super().__init__(dim, shrinkage)
        self.form = form

    def settings(self) -> dict[str, Any]:
        """See :meth:`Projection.settings`."""
        return {**super().settings(), "form": self.form}

    def fit(self, X: Vectors | Iterable[Vectors], pairs: Pairs | None = None) -> Self:
        """See :meth:`Projection.fit`; ValueError without pairs."""
        rows = indexable(X)
        d = rows.shape[1]
        self._dimensions(d)
        pairs = _matching(rows, pairs, self.kind)
        if len(pairs) < d:
            log.warning("lw of %d dimensions from %d pairs: it needs shrinkage", d, len(pairs))
        every = moments(rows)
        within = pair_scatter(rows, pairs)
        if self.form == "published":
            mean = moments(chosen(rows, pairs[:, 0])).mean
            shift = every.mean - mean
            between = every.covariance + np.outer(shift, shift)
        else:
            mean = every.mean
            n, m = len(rows), len(pairs)
            # over all ordered pairs the differences scatter as 2 n^2 C; the matching ones are taken out
            between = (2 * n * n * every.covariance - 2 * m * within) / max(n * n - n - 2 * m, 1)
        inverse = np.linalg.inv(_cholesky(shrink(within, self.shrinkage), self.kind))
        _, directions = principal(inverse @ between @ inverse.T)
        return self._keep(mean, directions @ inverse)


class LDA(_Linear):
    """Linear discriminant analysis on classes, then whitening (SIAM-FV, Sections 4.1 and 4.3).

    Classes are the connected groups of the matching pairs; photos without a match take no part. The within-class
    scatter is whitened, the directions of largest between-class scatter are kept, and the total scatter along them is
    whitened. Learned in flat memory from an array that may be memory-mapped, or from a stream.
    """

    kind = "lda"
    needs = frozenset({"pairs"})

    def fit(self, X: Vectors | Iterable[Vectors], pairs: Pairs | None = None) -> Self:
        """See :meth:`Projection.fit`; ValueError without pairs."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        rows = indexable(X)
        d = rows.shape[1]
        self._dimensions(d)
        pairs = _matching(rows, pairs, self.kind)
        links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(rows), len(rows)))
        count, found = connected_components(links, directed=False)
        labels = np.asarray(found, np.int64)
        paired = np.flatnonzero(np.bincount(labels, minlength=count)[labels] > 1)
        if len(paired) - len(np.unique(labels[paired])) < d:
            log.warning("lda of %d dimensions from %d vectors in classes: it needs shrinkage", d, len(paired))
        total = moments(chosen(rows, paired))
        within = class_scatter(rows, paired, labels[paired])
        between = total.covariance - within
        inverse = np.linalg.inv(_cholesky(shrink(within, self.shrinkage), self.kind))
        values, directions = principal(inverse @ between @ inverse.T)
        return self._keep(total.mean, (directions / np.sqrt(1 + values)[:, None]) @ inverse)
