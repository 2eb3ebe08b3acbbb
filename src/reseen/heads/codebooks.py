"""What heads with a trainable codebook share: local features of maps, a sample of them to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from reseen.errors import NotFitted


def local_features(maps: Tensor) -> Tensor:
    """Maps ``(B, C, H, W)`` -> their cells ``(B, H W, C)``, row by row, in float32 (float64 stays)."""
    x = maps.flatten(2).transpose(1, 2)
    return x if x.dtype == torch.float64 else x.float()


def sample_features(stream: Iterable[tuple[Sequence[Tensor], Tensor | None]], count: int, seed: int) -> Tensor:
    """At most ``count`` valid cells of the first map of a stream, ``(n, C)`` on the CPU, drawn evenly.

    NotFitted when the stream holds none.
    """
    random = torch.Generator().manual_seed(seed)
    kept, keys = torch.zeros(0), torch.zeros(0)
    for maps, valid in stream:
        x = local_features(maps[0].detach()).cpu()
        rows = x[valid.flatten(1).cpu()] if valid is not None else x.flatten(0, 1)
        key = torch.rand(len(rows), generator=random)
        kept, keys = (rows, key) if not len(kept) else (torch.cat([kept, rows]), torch.cat([keys, key]))
        if len(kept) > count:
            keys, best = keys.topk(count)
            kept = kept[best]
    if not len(kept):
        raise NotFitted("no photo could be used to learn the codebook from")
    return kept
