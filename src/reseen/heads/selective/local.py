"""Local features: their PCA, and the principal axes that embeddings share."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from reseen.errors import RecipeError
from reseen.heads.base import l2


def as_map(features: Tensor) -> Tensor:
    """Local features of any kind ``(n, C)``, RootSIFT say, as the map ``(1, C, 1, n)`` of a layer of C channels.

    A head with ``mask="none"`` embeds them like a network's. None at all give one feature of zeros.
    """
    rows = features if len(features) else features.new_zeros(1, features.shape[1])
    return rows.T[None, :, None]


def principal_axes(blocks: Iterable[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Blocks of rows ``(n, d)`` -> mean ``(d,)``, eigenvalues ``(d,)`` descending and axes (rows), float64.

    The blocks are taken one by one: memory is that of one block and the covariance.
    """
    count, total, products = 0, torch.zeros(0), torch.zeros(0)
    for block in blocks:
        if not count:
            pivot = block.mean(0)
            total = torch.zeros_like(pivot, dtype=torch.float64)
            products = total.new_zeros(len(pivot), len(pivot))
        centred = block - pivot
        count += len(block)
        total += centred.sum(0, dtype=torch.float64)
        products += centred.T @ centred
    shift = total / count
    covariance = products.div_(count).sub_(shift.outer(shift))
    values, vectors = torch.linalg.eigh(covariance)
    return pivot.double() + shift, values.flip(0).clamp_min(0), vectors.T.flip(0)


class LocalPCA(nn.Module):
    """Centre, keep the first ``dim`` principal axes, L2: ``(..., C)`` -> ``(..., dim)`` (Section 4.1)."""

    mean: Tensor
    axes: Tensor

    def __init__(self, channels: int, dim: int) -> None:
        super().__init__()
        if not 0 < dim <= channels:
            raise RecipeError(f"local PCA keeps 1 to {channels} dimensions of this layer, not {dim}")
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("axes", torch.zeros(dim, channels))

    def fit(self, x: Tensor) -> LocalPCA:
        """Learn from local features ``(n, C)``."""
        mean, _, axes = principal_axes(torch.split(x, 8192))
        self.mean.copy_(mean)
        self.axes.copy_(axes[: len(self.axes)])
        return self

    def forward(self, x: Tensor) -> Tensor:
        """``(..., C)`` -> ``(..., dim)``, unit length (zero stays zero)."""
        return l2((x - self.mean) @ self.axes.T)
