"""R-MAC: regional maximum activations of convolutions."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reseen.errors import NotFitted
from reseen.heads.base import Head, l2
from reseen.heads.pooling import Signed
from reseen.heads.regions import region_max
from reseen.heads.selective.local import principal_axes

SHRINKAGE = 1e-3
"""Of the whitening of regions: finite with fewer regions than dimensions."""


def rmac_regions(
    maps: Tensor,
    levels: int = 3,
    valid: Tensor | None = None,
    *,
    whole: bool = True,
    signed: Signed = "clamp",
) -> Tensor:
    """Region vectors of unit length: maps ``(B, C, H, W)`` -> ``(B, R (+ 1), C)``.

    ``whole`` adds the MAC of the whole map as a last region, as the published R-MAC code does.
    """
    regions = region_max(maps, levels, valid, whole=whole)
    return l2(regions.clamp_min(0) if signed == "clamp" else regions)


def rmac(
    maps: Tensor,
    levels: int = 3,
    valid: Tensor | None = None,
    *,
    whole: bool = True,
    signed: Signed = "clamp",
) -> Tensor:
    """Sum of the L2-normalised region maxima: ``(B, C, H, W)`` -> ``(B, C)`` (siaMAC, Section 5.3)."""
    return rmac_regions(maps, levels, valid, whole=whole, signed=signed).sum(1)


class RMAC(Head):
    """R-MAC; with ``local`` each region passes a shift and a matrix to ``local`` dimensions before the sum.

    :meth:`fit` makes that layer the PCA whitening of region vectors (REMAP, Section II-B). It is trainable (the deep
    image retrieval baseline of REMAP and of the museum paper).
    """

    kind = "rmac"
    learned: Tensor

    @classmethod
    def learns(cls, settings: Mapping[str, Any]) -> bool:
        """With ``local``."""
        return bool(settings["local"])

    def __init__(
        self,
        channels: Sequence[int],
        *,
        levels: int = 3,
        whole: bool = True,
        signed: Signed = "clamp",
        local: int | None = None,
        fc: int | None = None,
    ) -> None:
        super().__init__(channels, fc=fc, levels=levels, whole=whole, signed=signed, local=local)
        self.levels, self.whole, self.signed = levels, whole, signed
        self.local = nn.Linear(self.channels[0], local) if local else None
        if local:
            self.register_buffer("learned", torch.tensor(False))
        self._add_fc()

    @classmethod
    def raw_dim_of(cls, settings: Mapping[str, Any], channels: Sequence[int]) -> int:
        """``local`` when it is set, else the layer's channels."""
        return settings["local"] or sum(channels)

    @property
    def fitted(self) -> bool:
        """Whether ``local`` has been learned, where there is one."""
        return self.local is None or bool(self.learned)

    def fit(self, maps: Iterable[tuple[Sequence[Tensor], Tensor | None]], *, seed: int = 0) -> RMAC:
        """Make ``local`` the PCA whitening of all region vectors, taken block by block (REMAP, Section II-B).

        Raises:
            NotFitted: there are no maps.
        """
        if self.local is None:
            return self
        blocks = (self.regions(layers, valid).flatten(0, 1).float().cpu() for layers, valid in maps)
        first = next(blocks, None)
        if first is None:
            raise NotFitted("no photo could be used to learn the whitening of regions from")
        mean, values, axes = principal_axes(itertools.chain([first], blocks))
        shrunk = (1 - SHRINKAGE) * values + SHRINKAGE * values.mean()
        matrix = (axes / shrunk.clamp_min(1e-12).sqrt()[:, None])[: self.local.out_features]
        with torch.no_grad():
            self.local.weight.copy_(matrix)
            self.local.bias.copy_(-matrix @ mean)
            self.learned.fill_(True)
        return self

    def regions(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """Region vectors before :attr:`local`: ``(B, R, C)``, unit length."""
        return rmac_regions(maps[0], self.levels, valid, whole=self.whole, signed=self.signed)

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, raw_dim)``."""
        regions = self.regions(maps, valid)
        return (l2(self.local(regions)) if self.local is not None else regions).sum(1)
