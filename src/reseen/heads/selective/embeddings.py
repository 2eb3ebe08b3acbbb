"""Embeddings of single local features: VLAD, Fisher vector, T-emb and F-FAemb (Section 4.2)."""

from __future__ import annotations

import math
from typing import ClassVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from reseen.errors import RecipeError, ReseenError
from reseen.heads.base import l2


def kmeans(x: Tensor, k: int, seed: int) -> Tensor:
    """Centroids ``(k, d)`` of rows ``(n, d)``; ReseenError when there are fewer rows than centroids."""
    import faiss

    if len(x) < k:
        raise ReseenError(f"{k} centroids need at least {k} features, {len(x)} were given; add photos")
    model = faiss.Kmeans(x.shape[1], k, niter=25, seed=seed, min_points_per_centroid=1)
    model.train(np.ascontiguousarray(x.cpu().numpy(), dtype=np.float32))
    return torch.from_numpy(np.array(model.centroids, dtype=np.float32))


def vlad(x: Tensor, centroids: Tensor) -> Tensor:
    """Residual to the nearest centroid in its block, Eq. 5: ``(..., d)`` -> ``(..., k d)``."""
    nearest = torch.cdist(x, centroids).argmin(-1)
    hot = nn.functional.one_hot(nearest, len(centroids)).to(x.dtype)
    return (hot[..., None] * (x[..., None, :] - centroids)).flatten(-2)


def posterior(x: Tensor, weights: Tensor, means: Tensor, sigmas: Tensor) -> Tensor:
    """Posterior of each diagonal Gaussian: ``(..., d)`` -> ``(..., k)``."""
    z = (x[..., None, :] - means) / sigmas
    return (weights.log() - sigmas.log().sum(-1) - 0.5 * z.square().sum(-1)).softmax(-1)


def fisher(x: Tensor, weights: Tensor, means: Tensor, sigmas: Tensor) -> Tensor:
    """Gradients by means, then by variances, Eq. 4: ``(..., d)`` -> ``(..., 2 k d)``."""
    p = (posterior(x, weights, means, sigmas) / weights.sqrt())[..., None]
    z = (x[..., None, :] - means) / sigmas
    return torch.cat([(p * z).flatten(-2), (p * (z.square() - 1) / math.sqrt(2)).flatten(-2)], -1)


def triangulate(x: Tensor, centroids: Tensor) -> Tensor:
    """Unit residuals to every centroid, Eq. 6: ``(..., d)`` -> ``(..., k d)``."""
    return l2(x[..., None, :] - centroids).flatten(-2)


def coefficients(x: Tensor, centroids: Tensor, mu: float = 0.01) -> Tensor:
    """F-FAemb's coefficients, which sum to 1: ``(..., d)`` -> ``(..., k)``.

    The minimum of ``1/2 |B g - x|^2 + mu/2 |g|^2 sum_j |x - c_j|_1^3`` under ``sum g = 1``, B the
    centroids as columns; one eigendecomposition of ``B^T B`` serves every feature.
    """
    values, vectors = torch.linalg.eigh(centroids @ centroids.T)
    a = (x[..., None, :] - centroids).abs().sum(-1).pow(3).sum(-1, keepdim=True)
    inverse = (values.clamp_min(0) + mu * a).clamp_min(1e-8).reciprocal()
    ones = vectors.sum(0)
    fit = (x @ centroids.T) @ vectors
    lam = ((ones * inverse * fit).sum(-1, keepdim=True) - 1) / (ones.square() * inverse).sum(-1, keepdim=True)
    return cast(Tensor, (inverse * (fit - lam * ones)) @ vectors.T)


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

    def __init__(self, d: int, k: int, dim: int) -> None:
        super().__init__()
        if dim <= 0:
            raise RecipeError(f"embedding {self.kind!r} has nothing left: {k} x {d} is too small")
        self.d, self.k, self.dim = d, k, dim

    def fit(self, x: Tensor, seed: int = 0) -> Embedding:
        """Learn the codebook from features ``(n, d)``; ReseenError when they are too few."""
        raise NotImplementedError


class VLAD(Embedding):
    """See :func:`vlad`."""

    kind = "vlad"
    centroids: Tensor

    def __init__(self, d: int, k: int) -> None:
        super().__init__(d, k, d * k)
        self.register_buffer("centroids", torch.zeros(k, d))

    def fit(self, x: Tensor, seed: int = 0) -> VLAD:
        """K-means."""
        self.centroids.copy_(kmeans(x, self.k, seed))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., k d)``."""
        return vlad(x, self.centroids)


class FV(Embedding):
    """See :func:`fisher`."""

    kind = "fv"
    weights: Tensor
    means: Tensor
    sigmas: Tensor

    def __init__(self, d: int, k: int) -> None:
        super().__init__(d, k, 2 * d * k)
        self.register_buffer("weights", torch.full((k,), 1 / k))
        self.register_buffer("means", torch.zeros(k, d))
        self.register_buffer("sigmas", torch.ones(k, d))

    def fit(self, x: Tensor, seed: int = 0) -> FV:
        """Expectation maximisation of a diagonal mixture."""
        from sklearn.mixture import GaussianMixture

        if len(x) < self.k:
            raise ReseenError(f"{self.k} Gaussians need at least {self.k} features, {len(x)} were given")
        model = GaussianMixture(self.k, covariance_type="diag", random_state=seed).fit(x.cpu().double().numpy())
        self.weights.copy_(torch.from_numpy(model.weights_))
        self.means.copy_(torch.from_numpy(model.means_))
        self.sigmas.copy_(torch.from_numpy(np.sqrt(model.covariances_)))
        return self

    def forward(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., 2 k d)``."""
        return fisher(x, self.weights, self.means, self.sigmas)


class _Whitened(Embedding):
    """K-means, an embedding, then centring, whitening, truncation of the first axes and L2."""

    centroids: Tensor
    mean: Tensor
    axes: Tensor

    def __init__(self, d: int, k: int, raw: int, dropped: int, floored: int) -> None:
        super().__init__(d, k, raw - dropped)
        self.dropped, self.floored = dropped, floored
        self.register_buffer("centroids", torch.zeros(k, d))
        self.register_buffer("mean", torch.zeros(raw))
        self.register_buffer("axes", torch.zeros(raw - dropped, raw))

    def embed(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def fit(self, x: Tensor, seed: int = 0) -> _Whitened:
        """K-means, then the whitening of the embedded features, smallest eigenvalues floored."""
        self.centroids.copy_(kmeans(x, self.k, seed))
        raw = len(self.mean)
        count, total = 0, torch.zeros(raw, dtype=torch.float64, device=x.device)
        products = torch.zeros(raw, raw, dtype=torch.float64, device=x.device)
        for block in torch.split(x, 2048):
            embedded = self.embed(block)
            count += len(block)
            total += embedded.sum(0, dtype=torch.float64)
            products += (embedded.T @ embedded).double()
        mean = total / count
        values, vectors = torch.linalg.eigh(products / count - mean.outer(mean))
        values, vectors = values.flip(0), vectors.T.flip(0)
        floor = values[-min(self.floored, raw)].clamp_min(1e-6 * values[0].clamp_min(1e-12))
        scale = values.clamp_min(floor).rsqrt()
        self.mean.copy_(mean)
        self.axes.copy_((vectors * scale[:, None])[self.dropped :])
        return self

    def forward(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., dim)``, unit length."""
        return l2((self.embed(x) - self.mean) @ self.axes.T)


class TEmb(_Whitened):
    """See :func:`triangulate`; drops the first 128 axes, floors the last 33 eigenvalues."""

    kind = "temb"

    def __init__(self, d: int, k: int, dropped: int = 128) -> None:
        super().__init__(d, k, d * k, dropped, 33)

    def embed(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., k d)``."""
        return triangulate(x, self.centroids)


class FFAemb(_Whitened):
    """See :func:`ffaemb`; drops the first d (d + 1) axes, floors the last 129 eigenvalues."""

    kind = "faemb"

    def __init__(self, d: int, k: int, unit: bool = True) -> None:
        super().__init__(d, k, k * d * (d + 1) // 2, d * (d + 1), 129)
        self.unit = unit

    def embed(self, x: Tensor) -> Tensor:
        """``(..., d)`` -> ``(..., k d(d+1)/2)``."""
        return ffaemb(x, self.centroids, unit=self.unit)


EMBEDDINGS: dict[str, type[VLAD] | type[FV] | type[TEmb] | type[FFAemb]] = {
    cls.kind: cls for cls in (VLAD, FV, TEmb, FFAemb)
}

__all__ = [
    "EMBEDDINGS",
    "Embedding",
    "coefficients",
    "ffaemb",
    "fisher",
    "kmeans",
    "posterior",
    "triangulate",
    "vlad",
]
