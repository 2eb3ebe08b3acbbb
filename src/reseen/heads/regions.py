"""The region grid that R-MAC and REMAP share, and the maximum over every region at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.heads.pooling import hide, shown

Axis = tuple[int, ...]


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


@lru_cache(maxsize=512)
def level_starts(height: int, width: int, levels: int) -> tuple[tuple[int, Axis, Axis], ...]:
    """Per level ``(side, starts down, starts across)``; levels whose squares vanish are left out."""
    short, extra = min(height, width), extra_regions(height, width)
    found = []
    for level in range(1, levels + 1):
        side = 2 * short // (level + 1)
        if side == 0:
            continue
        found.append(
            (
                side,
                _starts(height, side, level + (extra if height > width else 0)),
                _starts(width, side, level + (extra if width > height else 0)),
            )
        )
    return tuple(found)


def _starts(length: int, side: int, count: int) -> Axis:
    return tuple(i * (length - side) // (count - 1) if count > 1 else 0 for i in range(count))


def region_grid(height: int, width: int, levels: int) -> NDArray[np.int64]:
    """The regions of a map as ``(R, 4)`` rows ``x0, y0, x1, y1`` (ends excluded), level by level, row by row.

    siaMAC, Section 3.2 (R-MAC of Tolias et al., 2016); a 32 x 24 map has 8, 20, 40, 70 regions at
    2, 3, 4, 5 levels (REMAP, Table I).
    """
    rows = [
        (x, y, x + side, y + side)
        for side, down, across in level_starts(height, width, levels)
        for y in down
        for x in across
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def region_max(maps: Tensor, levels: int, valid: Tensor | None = None) -> Tensor:
    """Maximum of every region: maps ``(B, C, H, W)`` -> ``(B, R, C)``, in the order of :func:`region_grid`.

    The maxima over windows of 1, 2, 4, ... rows are taken once; a window of any side is the maximum of two
    of them, so all the regions of all levels cost a few passes over the map. Regions with no valid cell
    give 0.
    """
    x = hide(maps, valid).permute(0, 2, 3, 1)  # (B, H, W, C): whole cells are moved and compared
    height, width = x.shape[1], x.shape[2]
    starts = level_starts(height, width, levels)
    if not starts:
        return maps.new_zeros(maps.shape[0], 0, maps.shape[1])
    tables = _doubling(x, max(side for side, _, _ in starts), dim=1)
    pooled = []
    for side, down, across in starts:
        rows = _window_max(tables, side, down, dim=1)
        cells = _window_max(_doubling(rows, side, dim=2), side, across, dim=2)
        pooled.append(cells.flatten(1, 2))
    regions = torch.cat(pooled, 1)
    return regions if valid is None else shown(regions)


def _doubling(x: Tensor, side: int, dim: int) -> list[Tensor]:
    """``tables[k]`` holds at i the maximum of ``x[i : i + 2^k]`` along ``dim``, for every 2^k <= side."""
    tables = [x]
    step = 1
    while 2 * step <= side:
        last = tables[-1]
        n = last.shape[dim] - step
        tables.append(torch.maximum(last.narrow(dim, 0, n), last.narrow(dim, step, n)))
        step *= 2
    return tables


def _window_max(tables: list[Tensor], side: int, starts: Axis, dim: int) -> Tensor:
    """Maxima of the windows of ``side`` cells at ``starts`` along ``dim``: of two overlapping tables."""
    k = side.bit_length() - 1
    table = tables[k]
    first = torch.tensor(starts, device=table.device)
    left = table.index_select(dim, first)
    if side == 1 << k:
        return left
    return torch.maximum(left, table.index_select(dim, first + (side - (1 << k))))
