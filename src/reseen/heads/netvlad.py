"""NetVLAD: a trainable VLAD with soft assignment (Arandjelovic et al., 2016)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reseen.errors import NotFitted
from reseen.heads.base import EPS, Head, l2
from reseen.heads.codebooks import kmeans, local_features, sample_features

RATIO = 100.0
"""How much larger the first soft assignment is than the second, in the mean, at the start (its Appendix A)."""


def netvlad(x: Tensor, weight: Tensor, bias: Tensor, centres: Tensor, valid: Tensor | None = None) -> Tensor:
    """Local features ``(B, N, C)`` -> ``(B, K C)``: residuals per cluster, each of unit length.

    NetVLAD Eqs. 2 to 4: assignment ``softmax(weight x + bias)`` with ``weight (K, C)`` and ``bias (K,)`` free of
    the ``centres (K, C)``; intra-normalisation. ``valid (B, N)`` bool leaves features out.
    """
    share = (x @ weight.T + bias).softmax(-1)
    if valid is not None:
        share = share * valid[..., None].to(share.dtype)
    residuals = share.transpose(1, 2) @ x - share.sum(1)[..., None] * centres
    return l2(residuals).flatten(1)


class NetVLAD(Head):
    """See :func:`netvlad`; local features are brought to unit length first.

    Args:
        channels: of the one layer read.
        k: clusters.
        sample: the most local features that ``fit`` keeps.
        fc: a trainable linear layer afterwards.
    """

    kind = "netvlad"
    learned: Tensor

    @classmethod
    def learns(cls, settings: Mapping[str, Any]) -> bool:
        """Always."""
        return True

    def __init__(self, channels: Sequence[int], *, k: int = 64, sample: int = 50_000, fc: int | None = None) -> None:
        super().__init__(channels, fc=fc, k=k, sample=sample)
        self.k, self.sample = k, sample
        c = self.channels[0]
        self.assign = nn.Linear(c, k)
        self.centres = nn.Parameter(torch.randn(k, c))
        self.register_buffer("learned", torch.tensor(False))
        self._add_fc()

    @classmethod
    def raw_dim_of(cls, settings: Mapping[str, Any], channels: Sequence[int]) -> int:
        """K times the layer's channels."""
        return int(settings["k"]) * sum(channels)

    @property
    def fitted(self) -> bool:
        """Whether the clusters have been learned."""
        return bool(self.learned)

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, K C)``."""
        with torch.autocast(maps[0].device.type, enabled=False):
            x = l2(local_features(maps[0]))
            seen = valid.flatten(1) if valid is not None else None
            return netvlad(x, self.assign.weight, self.assign.bias, self.centres, seen)

    def fit(self, maps: Iterable[tuple[Sequence[Tensor], Tensor | None]], *, seed: int = 0) -> NetVLAD:
        """Centres by k-means; the assignment starts as ``2 a c`` and ``-a |c|^2`` with a chosen by :data:`RATIO`."""
        x = l2(sample_features(maps, self.sample, seed))
        if len(x) < 2:
            raise NotFitted(f"{self.k} clusters need at least 2 local features, there are {len(x)}; add photos")
        centres = kmeans(x, self.k, seed)
        gap = 0.0
        if self.k > 1:
            nearest = torch.cdist(x, centres).square().topk(2, largest=False).values
            gap = float((nearest[:, 1] - nearest[:, 0]).mean())
        sharpness = math.log(RATIO) / max(gap, EPS)
        with torch.no_grad():
            self.centres.copy_(centres)
            self.assign.weight.copy_(2 * sharpness * centres)
            self.assign.bias.copy_(-sharpness * centres.square().sum(1))
            self.learned.fill_(True)
        return self
