"""The region grid that R-MAC and REMAP share, and the maximum over every region at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.heads.pooling import hide, shown

Windows = tuple[tuple[int, int], ...]


def extra_regions(height: int, width: int) -> int:
    """Regions that the long side has more than the short one at each level (0 for a square).

    R-MAC takes the n in 2..7 whose neighbours at level 1 overlap closest to 40 %. With w the short and W
    the long side that is the least ``|3w(n-1) - 5(W-w)| / (n-1)``, compared in integers; ties go to the
    smaller n, and n - 1 is returned.
    """
    short, long = sorted((height, width))
    if short == long:
        return 0
    best = min(range(2, 8), key=lambda n: (_overlap_error(short, long, n), n))
    return best - 1


def _overlap_error(short: int, long: int, n: int) -> int:
    """The error of n as an integer: multiplied by 60, which every n - 1 in 1..6 divides."""
    return abs(3 * short * (n - 1) - 5 * (long - short)) * (60 // (n - 1))


def region_grid(height: int, width: int, levels: int) -> NDArray[np.int64]:
    """The regions of a map as ``(R, 4)`` rows ``x0, y0, x1, y1`` (ends excluded), level by level, row by row.

    siaMAC, Section 5.3 (R-MAC of Tolias et al., 2016); a 32 x 24 map has 8, 20, 40, 70 regions at
    2, 3, 4, 5 levels (REMAP, Table I). Levels whose squares vanish are left out.
    """
    short, extra = min(height, width), extra_regions(height, width)
    rows = []
    for level in range(1, levels + 1):
        side = 2 * short // (level + 1)
        if side:
            down = _starts(height, side, level + (extra if height > width else 0))
            across = _starts(width, side, level + (extra if width > height else 0))
            rows += [(x, y, x + side, y + side) for y in down for x in across]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def _starts(length: int, side: int, count: int) -> list[int]:
    return [i * (length - side) // (count - 1) if count > 1 else 0 for i in range(count)]


def region_max(maps: Tensor, levels: int, valid: Tensor | None = None, *, whole: bool = False) -> Tensor:
    """Maximum of every region: maps ``(B, C, H, W)`` -> ``(B, R (+ 1), C)``, in the order of :func:`region_grid`.

    A region is a window of rows and a window of columns: all windows of rows are pooled in one pass over the map, then
    all windows of columns of what is left. Regions with no valid cell give 0. ``whole`` adds the whole map at the end.
    """
    x = hide(maps, valid).permute(0, 2, 3, 1)  # (B, H, W, C): whole cells are moved and compared
    down, across, chosen = _windows(x.shape[1], x.shape[2], levels, whole)
    if not chosen:
        return maps.new_zeros(maps.shape[0], 0, maps.shape[1])
    cells = _window_max(_window_max(x, down, 1), across, 2).flatten(1, 2)
    regions = cells.index_select(1, torch.tensor(chosen, device=maps.device))
    return regions if valid is None else shown(regions)


@lru_cache(maxsize=512)
def _windows(height: int, width: int, levels: int, whole: bool) -> tuple[Windows, Windows, tuple[int, ...]]:
    """The distinct windows of rows and of columns, and each region's number among all their pairs."""
    regions = [*region_grid(height, width, levels).tolist(), *([(0, 0, width, height)] if whole else [])]
    down = sorted({(y0, y1) for _, y0, _, y1 in regions})
    across = sorted({(x0, x1) for x0, _, x1, _ in regions})
    chosen = [down.index((y0, y1)) * len(across) + across.index((x0, x1)) for x0, y0, x1, y1 in regions]
    return tuple(down), tuple(across), tuple(chosen)


def _window_max(x: Tensor, windows: Windows, dim: int) -> Tensor:
    """Maxima over windows ``[start, end)`` along ``dim``, stacked in its place.

    ``x`` is read once: a window is the maximum of the stretches between two of the windows' edges.
    """
    edges = sorted({edge for window in windows for edge in window})
    stretches = _maxima(x, list(itertools.pairwise(edges)), dim)
    return _maxima(stretches, [(edges.index(start), edges.index(end)) for start, end in windows], dim)


def _maxima(x: Tensor, spans: Sequence[tuple[int, int]], dim: int) -> Tensor:
    return torch.stack([x.narrow(dim, start, end - start).amax(dim) for start, end in spans], dim)
