"""Log-sum-exp pooling, between the mean and the maximum (Pinheiro and Collobert, 2015, Section 3.2)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from reseen.heads import Head


class LogSumExp(Head):
    """``log(mean(exp(r x))) / r`` of each channel; ``r`` near 0 is the mean, a large one the maximum."""

    kind = "lse"

    def __init__(self, channels: Sequence[int], *, r: float = 10.0, fc: int | None = None) -> None:
        super().__init__(channels, fc=fc, r=r)
        self.r = r
        self._add_fc()

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, C)``."""
        x = maps[0].flatten(2)
        seen = torch.ones_like(x[:, 0], dtype=torch.bool) if valid is None else valid.flatten(1)
        x = (self.r * x).masked_fill(~seen[:, None], -math.inf).logsumexp(-1)
        return (x - seen.sum(1).clamp_min(1).log()[:, None]) / self.r
