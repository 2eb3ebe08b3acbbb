"""Embeddings of single local features: VLAD, Fisher vector, T-emb and F-FAemb (Section 4.2)."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from reseen.errors import RecipeError, ReseenError
from reseen.heads.base import l2
from reseen.heads.codebooks import kmeans, mixture
from reseen.heads.fisher import posteriors
from reseen.heads.selective.local import principal_axes


def vlad(x: Tensor, centroids: Tensor) -> Tensor:
    """Residual to the nearest centroid in its block, Eq. 5: ``(..., d)`` -> ``(..., k d)``."""
    nearest = (x @ centroids.T - centroids.square().sum(1) / 2).argmax(-1)
    hot = nn.functional.one_hot(nearest, len(centroids)).to(x.dtype)
    return (hot[..., None] * (x[..., None, :] - centroids)).flatten(-2)


def fisher(x: Tensor, weights: Tensor, means: Tensor, sigmas: Tensor) -> Tensor:
    """Gradients by means, then by variances, Eq. 4: ``(..., d)`` -> ``(..., 2 k d)``."""
    p = (posteriors(x, weights, means, sigmas) / weights.sqrt())[..., None]
    z = (x[..., None, :] - means) / sigmas
    return torch.cat([(p * z).flatten(-2), (p * (z.square() - 1) / math.sqrt(2)).flatten(-2)], -1)


def triangulate(x: Tensor, centroids: Tensor) -> Tensor:
    """Unit residuals to every centroid, Eq. 6: ``(..., d)`` -> ``(..., k d)``."""
    return l2(x[..., None, :] - centroids).flatten(-2)


def coefficients(x: Tensor, centroids: Tensor, mu: float = 0.01) -> Tensor:
    """F-FAemb's coefficients, which sum to 1: ``(..., d)`` -> ``(..., k)``.

    The minimum of ``1/2 |B g - x|^2 + mu/2 |g|^2 sum_j |x - c_j|_1^3`` under ``sum g = 1``, B the
    centroids as columns; one eigendecomposition of ``B^T B`` serves every feature. It is solved in float64, for
    centroids that all but depend on each other.
    """
    y, b = x.double(), centroids.double()
    values, vectors = torch.linalg.eigh(b @ b.T)
    a = (y[..., None, :] - b).abs().sum(-1).pow(3).sum(-1, keepdim=True)
    inverse = (values.clamp_min(0) + mu * a).clamp_min(1e-12).reciprocal()
    ones = vectors.sum(0)
    fit = (y @ b.T) @ vectors
    lam = ((ones * inverse * fit).sum(-1, keepdim=True) - 1) / (ones.square() * inverse).sum(-1, keepdim=True)
    gamma: Tensor = (inverse * (fit - lam * ones)) @ vectors.T
    return gamma.to(x.dtype)


def ffaemb(x: Tensor, centroids: Tensor, mu: float = 0.01, *, unit: bool = True) -> Tensor:
    """Weighted triangles of the residuals' outer products, Eq. 7: ``(..., d)`` -> ``(..., k d(d+1)/2)``.

    ``unit`` makes each residual unit length first, as the published code does; Eq. 7 does not.
    """
    residuals = x[..., None, :] - centroids
    if unit:
        residuals = l2(residuals)
    row, column = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    pairs = residuals[..., row] * residuals[..., column]
    return (coefficients(x, centroids, mu)[..., None] * pairs).flatten(-2)


class Embedding(nn.Module):
    """One local feature ``(..., d)`` -> ``(..., dim)``; settings fix every shape before :meth:`fit`."""

    kind: ClassVar[str] = ""

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        self.d, self.k, self.dim = d, k, self.size(d, k)

    @classmethod
    def size(cls, d: int, k: int) -> int:
        """``dim`` for local features of d dimensions and k centroids."""
        raise NotImplementedError

    @classmethod
    def dropped(cls, d: int) -> int:
        """Leading dimensions that Tables 2 and 4 leave out of the aggregated vector once it is rotated (``rn``)."""
        return 0

    def fit(self, x: Tensor, seed: int = 0) -> Embedding:
        """Learn the codebook from features ``(n, d)``; NotFitted when they are too few."""
        raise NotImplementedError

    def embed(self, x: Tensor) -> Tensor:
        """The equation alone: ``(..., d)`` -> ``(..., its own dimensions)``."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., dim)``; ReseenError for features of another dimension."""
        if x.shape[-1] != self.d:
            raise ReseenError(f"this {self.kind!r} codebook was made for {self.d} dimensions, not {x.shape[-1]}")
        return self.embed(x)


class VLAD(Embedding):
    """See :func:`vlad`."""

    kind = "vlad"
    centroids: Tensor

    def __init__(self, d: int, k: int) -> None:
        super().__init__(d, k)
        self.register_buffer("centroids", torch.zeros(k, d))

    @classmethod
    def size(cls, d: int, k: int) -> int:
        """``k d``."""
        return k * d

    def fit(self, x: Tensor, seed: int = 0) -> VLAD:
        """K-means."""
        self.centroids.copy_(kmeans(x, self.k, seed))
        return self

    def embed(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., k d)``."""
        return vlad(x, self.centroids)


class FV(Embedding):
    """See :func:`fisher`."""

    kind = "fv"
    weights: Tensor
    means: Tensor
    sigmas: Tensor

    def __init__(self, d: int, k: int) -> None:
        super().__init__(d, k)
        self.register_buffer("weights", torch.full((k,), 1 / k))
        self.register_buffer("means", torch.zeros(k, d))
        self.register_buffer("sigmas", torch.ones(k, d))

    @classmethod
    def size(cls, d: int, k: int) -> int:
        """``2 k d``."""
        return 2 * k * d

    def fit(self, x: Tensor, seed: int = 0) -> FV:
        """Expectation maximisation of a diagonal mixture."""
        for buffer, value in zip((self.weights, self.means, self.sigmas), mixture(x, self.k, seed), strict=True):
            buffer.copy_(value)
        return self

    def embed(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., 2 k d)``."""
        return fisher(x, self.weights, self.means, self.sigmas)


class Whitened(Embedding):
    """K-means, an embedding, then centring and whitening; the smallest eigenvalues are floored.

    ``unit`` makes embedded features unit length. All dimensions are kept: the published code drops the leading ones
    (:meth:`dropped`) of the aggregated vector, after its rotation.
    """

    floored: ClassVar[int]
    """So many smallest eigenvalues are set to the largest among them (published code)."""
    centroids: Tensor
    mean: Tensor
    axes: Tensor

    def __init__(self, d: int, k: int, *, unit: bool = True) -> None:
        super().__init__(d, k)
        if self.dim <= self.dropped(d):
            raise RecipeError(f"embedding {self.kind!r} has nothing left: {k} x {d} is too small")
        self.unit = unit
        self.register_buffer("centroids", torch.zeros(k, d))
        self.register_buffer("mean", torch.zeros(self.dim))
        self.register_buffer("axes", torch.zeros(self.dim, self.dim))

    def fit(self, x: Tensor, seed: int = 0) -> Whitened:
        """K-means, then the whitening of the embedded features, smallest eigenvalues floored."""
        self.centroids.copy_(kmeans(x, self.k, seed))
        mean, values, axes = principal_axes(self.embed(block) for block in torch.split(x, 2048))
        floor = values[-min(self.floored, len(values))].clamp_min(1e-6 * values[0].clamp_min(1e-12))
        self.mean.copy_(mean)
        self.axes.copy_(axes)
        self.axes.mul_(values.clamp_min(floor).rsqrt()[:, None].float())
        return self

    def forward(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., dim)``; ReseenError for features of another dimension."""
        whitened = (super().forward(x) - self.mean) @ self.axes.T
        return l2(whitened) if self.unit else whitened


class TEmb(Whitened):
    """See :func:`triangulate`."""

    kind = "temb"
    floored = 33

    @classmethod
    def size(cls, d: int, k: int) -> int:
        """``k d``."""
        return k * d

    @classmethod
    def dropped(cls, d: int) -> int:
        """128 (Table 2)."""
        return 128

    def embed(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., k d)``."""
        return triangulate(x, self.centroids)


class FFAemb(Whitened):
    """See :func:`ffaemb`, whose residuals are made unit length first, as the published code does."""

    kind = "faemb"
    floored = 129
    unit_residuals: ClassVar[bool] = True

    @classmethod
    def size(cls, d: int, k: int) -> int:
        """``k d (d + 1) / 2``."""
        return k * d * (d + 1) // 2

    @classmethod
    def dropped(cls, d: int) -> int:
        """``d (d + 1)`` (Section 5.2.1)."""
        return d * (d + 1)

    def embed(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., k d (d + 1) / 2)``."""
        return ffaemb(x, self.centroids, unit=self.unit_residuals)


class FFAembAsPrinted(FFAemb):
    """F-FAemb whose residuals keep their lengths, as Eq. 7 is printed."""

    kind = "faemb-eq7"
    unit_residuals = False


EMBEDDINGS: dict[str, type[VLAD] | type[FV] | type[TEmb] | type[FFAemb]] = {
    cls.kind: cls for cls in (VLAD, FV, TEmb, FFAemb, FFAembAsPrinted)
}
