"""Global pooling of one map: MAC, SPoC, GeM and CroW."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from reseen.heads.base import EPS, Head

Signed = Literal["clamp", "keep"]
"""What happens to values below 0 of a signed layer: set to 0, or left as they are."""


def full(maps: Tensor) -> Tensor:
    """Half-precision maps in float32; powers and sums need its range. Others as they are."""
    return maps.float() if maps.dtype in (torch.float16, torch.bfloat16) else maps


def hide(maps: Tensor, valid: Tensor | None) -> Tensor:
    """Maps ``(B, C, H, W)`` with the cells that are not ``valid (B, H, W)`` below every value."""
    return maps if valid is None else maps.masked_fill(~valid[:, None], torch.finfo(maps.dtype).min)


def shown(maxima: Tensor) -> Tensor:
    """Maxima of hidden maps, with 0 where every cell was hidden."""
    return maxima.masked_fill(maxima == torch.finfo(maxima.dtype).min, 0)


def mac(maps: Tensor, valid: Tensor | None = None, *, signed: Signed = "clamp") -> Tensor:
    """Maximum activations of convolutions: maps ``(B, C, H, W)`` -> ``(B, C)``.

    siaMAC, Eq. 1: the maximum of each channel, over non-negative activations (``signed="clamp"``).
    """
    v = shown(hide(maps, valid).amax((-2, -1)))
    return v.clamp_min(0) if signed == "clamp" else v


def _mean(maps: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        return maps.mean((-2, -1))
    mask = valid[:, None].to(maps.dtype)
    return (maps * mask).sum((-2, -1)) / mask.sum((-2, -1)).clamp_min(1)


def spoc(maps: Tensor, valid: Tensor | None = None) -> Tensor:
    """Sum-pooled convolutions, as a mean over places: ``(B, C, H, W)`` -> ``(B, C)``.

    Babenko and Lempitsky, 2015, Section 3, without the centring prior.
    """
    return _mean(maps, valid)


def gem(maps: Tensor, p: Tensor | float = 3.0, valid: Tensor | None = None, *, eps: float = EPS) -> Tensor:
    """Generalised mean: ``(B, C, H, W)`` -> ``(B, C)``, values below ``eps`` raised to it.

    Radenovic et al., 2019, Eq. 3; ``p`` is a number, or a tensor ``(1,)`` or ``(C,)`` that gradients reach.
    """
    x = full(maps).clamp_min(eps)
    if not isinstance(p, Tensor):
        return _mean(x**p, valid) ** (1 / p)
    p = p.to(x.dtype)
    return _mean(x ** p.view(-1, 1, 1), valid) ** (1 / p)


def crow(
    maps: Tensor, valid: Tensor | None = None, *, a: float = 2.0, b: float = 2.0, signed: Signed = "clamp"
) -> Tensor:
    """Cross-dimensional weighting: ``(B, C, H, W)`` -> ``(B, C)``.

    Kalantidis et al., 2016, Sections 4.1 and 4.2: places weighted by ``(S' / |S'|_a)^(1/b)`` with S' the sum
    over channels, channels by the logarithm of the inverse of their share of non-zero places.
    """
    x = full(maps)
    if signed == "clamp":
        x = x.clamp_min(0)
    if valid is not None:
        x = x * valid[:, None]
    places = x.sum(1).clamp_min(0)
    norm = (places**a).sum((-2, -1), keepdim=True).clamp_min(EPS) ** (1 / a)
    # the root's slope at 0 is infinite: an empty place stands apart, with weight 0
    weight = torch.where(places > 0, (places.clamp_min(EPS) / norm) ** (1 / b), torch.zeros_like(places))
    cells = valid.sum((-2, -1)).clamp_min(1) if valid is not None else x.new_tensor(x.shape[-2] * x.shape[-1])
    share = (x != 0).sum((-2, -1)) / cells.view(-1, 1)
    total = share.sum(1, keepdim=True)
    rarity = torch.where(share > 0, torch.log(total.clamp_min(EPS) / share.clamp_min(EPS)), torch.zeros_like(share))
    return (x * weight[:, None]).sum((-2, -1)) * rarity


class _OneLayer(Head):
    """A head that pools a single map.

    Args:
        channels: of the layer.
        fc: see :class:`Head`.
        normalise: whether the pooled vector is made unit length before ``fc``; deep image retrieval does not.
        options: of the subclass.
    """

    def __init__(
        self, channels: Sequence[int], *, fc: int | None = None, normalise: bool = True, **options: object
    ) -> None:
        super().__init__(channels, fc=fc, normalise=normalise, **options)
        self.normalise = normalise
        self._add_fc()


class MAC(_OneLayer):
    """See :func:`mac`."""

    kind = "mac"

    def __init__(
        self, channels: Sequence[int], *, signed: Signed = "clamp", fc: int | None = None, normalise: bool = True
    ) -> None:
        super().__init__(channels, fc=fc, normalise=normalise, signed=signed)
        self.signed = signed

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, C)``."""
        return mac(maps[0], valid, signed=self.signed)


class SPoC(_OneLayer):
    """See :func:`spoc`."""

    kind = "spoc"

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, C)``."""
        return spoc(maps[0], valid)


class GeM(_OneLayer):
    """See :func:`gem`; ``p`` is a parameter that training moves."""

    kind = "gem"

    def __init__(
        self, channels: Sequence[int], *, p: float = 3.0, fc: int | None = None, normalise: bool = True
    ) -> None:
        super().__init__(channels, fc=fc, normalise=normalise, p=p)
        self.p = nn.Parameter(torch.tensor([float(p)]))

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, C)``."""
        return gem(maps[0], self.p, valid)


class CroW(_OneLayer):
    """See :func:`crow`."""

    kind = "crow"

    def __init__(
        self,
        channels: Sequence[int],
        *,
        a: float = 2.0,
        b: float = 2.0,
        signed: Signed = "clamp",
        fc: int | None = None,
        normalise: bool = True,
    ) -> None:
        super().__init__(channels, fc=fc, normalise=normalise, a=a, b=b, signed=signed)
        self.a, self.b, self.signed = a, b, signed

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, C)``."""
        return crow(maps[0], valid, a=self.a, b=self.b, signed=self.signed)
