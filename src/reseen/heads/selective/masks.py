"""Masks: which cells of a feature map are kept (Selective deep convolutional features, Section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.heads.pooling import Signed, hide


def sum_mask(maps: Tensor, valid: Tensor | None = None, *, signed: Signed = "clamp") -> Tensor:
    """Cells whose sum over channels is at least the median (Eq. 3): ``(B, C, H, W)`` -> ``(B, H, W)`` bool.

    The median averages the two middle values. Cells that are not ``valid (B, H, W)`` take no part.
    """
    sums = (maps.clamp_min(0) if signed == "clamp" else maps).float().sum(1)
    if valid is not None:
        sums = sums.masked_fill(~valid, torch.nan)
    return sums >= sums.flatten(1).nanquantile(0.5, 1).view(-1, 1, 1)


def max_mask(maps: Tensor, valid: Tensor | None = None, *, signed: Signed = "clamp") -> Tensor:
    """Cells where a channel has its maximum (Eq. 2): ``(B, C, H, W)`` -> ``(B, H, W)`` bool.

    With ``signed="clamp"`` a channel that is nowhere positive selects no cell.
    """
    peak, cell = hide(maps, valid).flatten(2).max(-1)
    votes = (peak > 0 if signed == "clamp" else torch.ones_like(peak)).float()
    mask = maps.new_zeros(len(maps), maps[0, 0].numel(), dtype=torch.float32).scatter_add(1, cell, votes) > 0
    mask = mask.view(-1, *maps.shape[2:])
    return mask if valid is None else mask & valid


def sift_points(pixels: NDArray[np.uint8], contrast: float = 0.008) -> NDArray[np.float32]:
    """SIFT keypoints of ``uint8 (H, W, 3)`` pixels as rows ``x, y``: ``(n, 2)``, n may be 0.

    ``contrast`` is the detector's threshold. The paper's detector is VLFeat's; this value keeps about as many cells as
    it does, 71 % on landmarks at 1024 px where the paper has 75 %. SIFT's own 0.04 keeps 44 %.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    detector = cv2.SIFT.create(contrastThreshold=contrast)
    return np.array([k.pt for k in detector.detect(grey, None)], np.float32).reshape(-1, 2)


def sift_mask(points: Sequence[NDArray[np.float32]], grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Cells of SIFT keypoints (Eq. 1): B arrays ``(n, 2)`` -> ``(B, h, w)`` bool on the CPU.

    ``grid`` is ``(h, w)`` of the map and ``size`` ``(H, W)`` of the network's input; points are rounded to the grid,
    both counted from 1 as in the text, and clipped to it. A photo without keypoints keeps every cell (Section 5.1).
    """
    mask = torch.zeros(len(points), *grid, dtype=torch.bool)
    limit = np.array([grid[1], grid[0]])
    for row, found in zip(mask, points, strict=True):
        if len(found) == 0:
            row[:] = True
            continue
        xy = np.floor((found + 1) * (limit / np.array([size[1], size[0]])) + 0.5).astype(np.int64)
        x, y = np.clip(xy, 1, limit).T - 1
        row[torch.from_numpy(y), torch.from_numpy(x)] = True
    return mask


def select(maps: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
    """Kept cells as local features: ``(B, C, H, W)`` -> ``(B, n, C)`` and their validity ``(B, n)``.

    n is the largest number that a photo keeps; a photo that keeps none keeps all.
    """
    cells = maps.flatten(2).transpose(1, 2)
    mask = (torch.ones_like(maps[:, 0], dtype=torch.bool) if keep is None else keep).flatten(1)
    mask = mask | ~mask.any(1, keepdim=True)
    counts = mask.sum(1)
    n = int(counts.max())
    order = (~mask).to(torch.uint8).argsort(dim=1, stable=True)[:, :n]
    valid = torch.arange(n, device=maps.device)[None] < counts[:, None]
    return cells.gather(1, order[..., None].expand(-1, -1, cells.shape[2])), valid
