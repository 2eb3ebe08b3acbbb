"""REMAP: regions of several layers, weighted by how well they tell matching photos from others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.errors import RecipeError, TrainingError
from reseen.heads.base import Head, Material, l2
from reseen.heads.divergence import kl_weights
from reseen.heads.pooling import Signed
from reseen.heads.regions import extra_regions, region_max

Weighting = Literal["kl", "ones"]
Regions = list[NDArray[np.float32]]
"""Of one photo: ``(R, C_l)`` for each layer."""


def landscape(maps: Tensor) -> Tensor:
    """Portrait maps turned on their diagonal, so that every map's long side is its width."""
    return maps.transpose(-2, -1) if maps.shape[-2] > maps.shape[-1] else maps


def remap_regions(maps: Tensor, levels: int = 4, valid: Tensor | None = None, *, signed: Signed = "clamp") -> Tensor:
    """Unit vectors of the regions of R-MAC's grid, laid out as for landscape: ``(B, C, H, W)`` -> ``(B, R, C)``.

    REMAP Section III: 40 regions at 4 levels on a 32 x 24 map (Table I). A portrait's regions come in the order
    of the landscape grid, transposed.
    """
    regions = region_max(landscape(maps), levels, landscape(valid) if valid is not None else None)
    return l2(regions.clamp_min(0) if signed == "clamp" else regions)


def region_weights(alpha: Tensor, height: int, width: int, levels: int) -> Tensor:
    """Weights of the grid of a map from those of the landscape grid with one extra region per row: ``(R,)``.

    ``alpha`` ``(levels (levels + 1) (levels + 2) / 3,)`` holds l x (l + 1) weights for each level l, row by row, what
    maps of aspects up to 1.8 have. For other aspects each row is stretched over its regions linearly.
    """
    short, extra = min(height, width), extra_regions(height, width)
    rows = []
    start = 0
    for level in range(1, levels + 1):
        table = alpha[start : start + level * (level + 1)].view(level, level + 1)
        start += level * (level + 1)
        if 2 * short // (level + 1) == 0:
            break
        across = level + extra
        if across == 1:
            table = table.mean(1, keepdim=True)
        elif across != level + 1:
            table = F.interpolate(table[None], across, mode="linear", align_corners=True)[0]
        rows.append(table.flatten())
    return torch.cat(rows)


class REMAP(Head):
    """Per layer: region maxima, L2, sum weighted by alpha; the layers concatenated (REMAP Section III-C).

    Args:
        channels: of the layers read, the last one first ("layer 1" of the paper).
        levels: of the region grid; 4 gives 40 regions at 1024 x 768.
        weighting: what alpha starts from when it is trained: ``kl`` (measured on pairs) or ``ones``.
        train_alpha: whether training moves alpha; it stays non-negative.
        signed: ``clamp`` sets a signed layer's negatives to 0.
        normalise: whether the concatenation is made unit length before ``fc``; Section III-C passes it on as it is.
        fc: the fully connected layer, which starts as PCA whitening.
    """

    kind = "remap"
    undecayed = frozenset({"alpha"})
    layers = None

    def __init__(
        self,
        channels: Sequence[int],
        *,
        levels: int = 4,
        weighting: Weighting = "kl",
        train_alpha: bool = True,
        signed: Signed = "clamp",
        normalise: bool = True,
        fc: int | None = None,
    ) -> None:
        super().__init__(
            channels, fc=fc, levels=levels, weighting=weighting, train_alpha=train_alpha, signed=signed,
            normalise=normalise,
        )  # fmt: skip
        if weighting not in ("kl", "ones"):
            raise RecipeError(f"weighting {weighting!r} is not one of kl, ones")
        self.levels, self.weighting, self.signed, self.normalise = levels, weighting, signed, normalise
        count = levels * (levels + 1) * (levels + 2) // 3
        self.alpha = nn.Parameter(torch.ones(len(self.channels), count), requires_grad=train_alpha)
        self._add_fc()

    def regions(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> list[Tensor]:
        """Region vectors of each layer, ``(B, R, C_l)``, unit length; see :func:`remap_regions`."""
        return [remap_regions(m, self.levels, _on_grid(valid, m), signed=self.signed) for m in maps]

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C_l, H_l, W_l)]`` -> ``(B, sum of C_l)``."""
        pooled = []
        for regions, m, alpha in zip(self.regions(maps, valid), maps, self.alpha, strict=True):
            weights = region_weights(alpha, m.shape[-2], m.shape[-1], self.levels)
            pooled.append((regions * weights.to(regions.dtype)[:, None]).sum(1))
        return torch.cat(pooled, 1)

    def set_alpha(self, weights: NDArray[np.floating]) -> None:
        """Start from measured weights ``(layers, R)`` of the landscape grid (Section III-B)."""
        with torch.no_grad():
            self.alpha.copy_(torch.from_numpy(np.asarray(weights, np.float32)).clamp_min(0))

    def initialise(self, material: Material, *, seed: int = 0) -> None:
        """Measure alpha's KL weights, where ``weighting`` says so (Section III-B).

        TrainingError when no pair of photos has the grid of :attr:`alpha`.
        """
        if self.weighting != "kl":
            return
        matching: list[list[NDArray[np.float32]]] = [[] for _ in self.channels]
        other: list[list[NDArray[np.float32]]] = [[] for _ in self.channels]
        for alike, unlike in material.pairs(self._comparable):
            for distances, pairs in ((matching, alike), (other, unlike)):
                for layer, rows in enumerate(distances):
                    rows += [np.linalg.norm(a[layer] - b[layer], axis=1) for a, b in pairs]
        if not matching[0] or not other[0]:
            raise TrainingError(
                "no pairs to measure REMAP's KL weights on; their photos need an aspect of 5:4 to 1.8 "
                'at the size of [training.views], or set weighting = "ones"'
            )

        self.set_alpha(np.stack([kl_weights(np.stack(m), np.stack(o)) for m, o in zip(matching, other, strict=True)]))

    def _comparable(self, maps: Sequence[Tensor]) -> list[Regions] | None:
        """Region vectors of each layer of each photo; None for another grid (aspect above 1.8, or square)."""
        if any(extra_regions(m.shape[-2], m.shape[-1]) != 1 for m in map(landscape, maps)):
            return None
        layers = [regions.float().cpu().numpy() for regions in self.regions(maps)]
        return [[layer[i] for layer in layers] for i in range(len(maps[0]))]

    def constrain(self) -> None:
        """Alpha stays non-negative (Section III-B)."""
        with torch.no_grad():
            self.alpha.clamp_min_(0)


def _on_grid(valid: Tensor | None, maps: Tensor) -> Tensor | None:
    """The first layer's mask on another layer's grid."""
    if valid is None or valid.shape[-2:] == maps.shape[-2:]:
        return valid
    return F.interpolate(valid[:, None].float(), maps.shape[-2:], mode="nearest")[:, 0] > 0.5
