"""Aggregation of embedded local features into one vector per photo (Section 4.3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal["sum", "average", "max", "democratic"]


def gram(x: Tensor) -> Tensor:
    """Inner products of features: ``(B, N, D)`` -> ``(B, N, N)``.

    On a CPU, where no gradient is wanted, NumPy's product of a matrix with itself does half of the work.
    """
    if x.device.type != "cpu" or x.requires_grad:
        return x @ x.mT
    rows = x.numpy()
    return torch.from_numpy(rows @ rows.swapaxes(-1, -2))


def sinkhorn(products: Tensor, iterations: int = 10) -> Tensor:
    """Weights ``(B, N)`` under which every row of the clipped Gram matrix ``(B, N, N)`` has the same sum.

    Jegou and Zisserman, 2014, Section 4: the matrix is scaled by ``(column sums)^-1/2`` on both sides, ten times. Rows
    that are zero weigh 0.
    """
    zero = products.sum(-1) == 0
    dead = zero.to(products.dtype)
    weights = products.new_ones(products.shape[:2])
    for _ in range(iterations):
        sums = (products @ weights[..., None])[..., 0]
        weights = weights * torch.addcmul(dead, weights, sums).rsqrt()
    return weights.masked_fill(zero, 0)


def democratic_weights(x: Tensor, valid: Tensor | None = None, *, iterations: int = 10) -> Tensor:
    """Weights that make every feature contribute alike: ``(B, N, D)`` -> ``(B, N)``.

    :func:`sinkhorn` on the Gram matrix with its negatives set to 0. Features that are not ``valid (B, N)``, and zero
    features, weigh 0.
    """
    kept = x if valid is None else x * valid[..., None]
    return sinkhorn(gram(kept).clamp_(min=0), iterations)


def aggregate(x: Tensor, kind: Aggregation, valid: Tensor | None = None) -> Tensor:
    """Embedded features ``(B, N, D)`` -> ``(B, D)``; those that are not ``valid (B, N)`` take no part."""
    if valid is not None and x.device.type == "cpu":  # photo by photo, so that padding is not multiplied
        return torch.cat([aggregate(_only(photo, keep), kind) for photo, keep in zip(x, valid, strict=True)])
    mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if valid is None else valid
    if kind == "max":
        peaks = x.masked_fill(~mask[..., None], -torch.inf).amax(1) if x.shape[1] else x.new_zeros(len(x), x.shape[2])
        return torch.where(mask.any(1, keepdim=True), peaks, torch.zeros_like(peaks))
    weights = democratic_weights(x, valid) if kind == "democratic" else mask.to(x.dtype)
    total = (weights[:, None] @ x)[:, 0]
    return total / mask.sum(1, keepdim=True).clamp_min(1) if kind == "average" else total


def _only(x: Tensor, keep: Tensor) -> Tensor:
    """The rows ``(1, n, D)`` of ``(N, D)`` that are kept; no copy is made when they come first."""
    n = int(keep.sum())
    return (x[:n] if bool(keep[:n].all()) else x[keep])[None]
