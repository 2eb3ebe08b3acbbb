"""Aggregation of embedded local features into one vector per photo (Section 4.3)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Aggregation = Literal["sum", "average", "max", "democratic"]


def democratic_weights(x: Tensor, valid: Tensor | None = None, *, iterations: int = 10) -> Tensor:
    """Weights that make every feature contribute alike: ``(B, N, D)`` -> ``(B, N)``.

    Sinkhorn scaling of the Gram matrix with its negatives set to 0 (Jegou and Zisserman, 2014, Section 4).
    Features that are not ``valid (B, N)``, and zero features, weigh 0.
    """
    gram = (x @ x.transpose(1, 2)).clamp_min(0)
    if valid is not None:
        gram = gram * (valid[:, :, None] & valid[:, None, :])
    weights = gram.new_ones(gram.shape[:2])
    for _ in range(iterations):
        shares = weights * (gram @ weights[..., None])[..., 0]
        weights = weights * torch.where(shares > 0, shares, torch.inf).rsqrt()
    return weights


def aggregate(x: Tensor, kind: Aggregation, valid: Tensor | None = None) -> Tensor:
    """Embedded features ``(B, N, D)`` -> ``(B, D)``; those that are not ``valid (B, N)`` take no part."""
    mask = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device) if valid is None else valid
    if kind == "max":
        peaks = x.masked_fill(~mask[..., None], -torch.inf).amax(1)
        return torch.where(mask.any(1, keepdim=True), peaks, torch.zeros_like(peaks))
    weights = democratic_weights(x, mask) if kind == "democratic" else mask.to(x.dtype)
    total = (weights[:, None] @ x)[:, 0]
    return total / mask.sum(1, keepdim=True).clamp_min(1) if kind == "average" else total
