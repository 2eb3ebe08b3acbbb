"""PCA of local features, and the decorrelation that embeddings share."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from reseen.errors import RecipeError
from reseen.heads.base import l2


def principal_axes(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows ``(n, d)`` -> mean ``(d,)``, eigenvalues ``(d,)`` descending and axes (rows), float64."""
    x = x.double()
    mean = x.mean(0)
    values, vectors = torch.linalg.eigh((x - mean).T @ (x - mean) / max(len(x) - 1, 1))
    return mean, values.flip(0).clamp_min(0), vectors.T.flip(0)


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
        mean, _, axes = principal_axes(x)
        self.mean.copy_(mean)
        self.axes.copy_(axes[: len(self.axes)])
        return self

    def forward(self, x: Tensor) -> Tensor:
        """``(..., C)`` -> ``(..., dim)``, unit length (zero stays zero)."""
        return l2((x - self.mean) @ self.axes.T)
