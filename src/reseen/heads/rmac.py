"""R-MAC: regional maximum activations of convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from reseen.errors import RecipeError
from reseen.heads.base import Head, l2, register
from reseen.heads.pooling import Signed
from reseen.heads.regions import region_max


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
    """Sum of the L2-normalised region maxima: ``(B, C, H, W)`` -> ``(B, C)`` (siaMAC, Section 3.2)."""
    return rmac_regions(maps, levels, valid, whole=whole, signed=signed).sum(1)


@register
class RMAC(Head):
    """R-MAC; with ``local`` each region passes a shift and a matrix to ``local`` dimensions before the sum.

    That layer is PCA whitening per region when it is learned from region vectors (siaMAC, Section 5.2), and
    trainable (the deep image retrieval baseline of REMAP and of the museum paper).
    """

    kind = "rmac"

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
        if len(self.channels) != 1:
            raise RecipeError(f"head 'rmac' reads one layer, not {len(self.channels)}")
        self.levels, self.whole, self.signed = levels, whole, signed
        self.local = nn.Linear(self.channels[0], local) if local else None
        self._add_fc()

    @property
    def raw_dim(self) -> int:
        """``local`` when it is set, else the layer's channels."""
        return self.local.out_features if self.local is not None else self.channels[0]

    def regions(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """Region vectors before :attr:`local`: ``(B, R, C)``, unit length."""
        return rmac_regions(maps[0], self.levels, valid, whole=self.whole, signed=self.signed)

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, raw_dim)``."""
        regions = self.regions(maps, valid)
        return (l2(self.local(regions)) if self.local is not None else regions).sum(1)
