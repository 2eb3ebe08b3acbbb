"""A picture of what the masks keep, as in Figure 1."""

from __future__ import annotations

import cv2
import numpy as np
from torch import Tensor

from reseen.heads.pooling import Signed
from reseen.heads.selective.masks import max_mask, sift_mask, sift_points, sum_mask
from reseen.types import Pixels


def shade(pixels: Pixels, keep: Tensor) -> Pixels:
    """The photo ``uint8 (H, W, 3)`` with the cells that a mask ``(h, w)`` bool leaves out in the dark."""
    height, width = pixels.shape[:2]
    rows = np.arange(height) * keep.shape[0] // height
    columns = np.arange(width) * keep.shape[1] // width
    shown = keep.cpu().numpy()[rows][:, columns]
    return np.where(shown[..., None], pixels, pixels // 4)


def mask_picture(pixels: Pixels, maps: Tensor, *, signed: Signed = "clamp", gap: int = 8) -> Pixels:
    """Five panels side by side: the photo, its SIFT keypoints, and the SIFT, SUM and MAX masks over it.

    Args:
        pixels: what the network saw, ``uint8 (H, W, 3)``.
        maps: of one layer, ``(1, C, h, w)``.
        signed: see :func:`~reseen.heads.selective.masks.sum_mask`.
        gap: white pixels between panels.

    Returns:
        ``uint8 (H, 5 W + 4 gap, 3)``.
    """
    height, width = pixels.shape[:2]
    points = sift_points(pixels)
    keypoints = pixels.copy()
    for x, y in points:
        cv2.circle(keypoints, (round(float(x)), round(float(y))), max(2, width // 200), (255, 220, 0), -1)
    masks = (
        sift_mask([points], (int(maps.shape[2]), int(maps.shape[3])), (height, width))[0],
        sum_mask(maps, signed=signed)[0],
        max_mask(maps, signed=signed)[0],
    )
    panels = [pixels, keypoints, *(shade(pixels, mask) for mask in masks)]
    white = np.full((height, gap, 3), 255, np.uint8)
    return np.concatenate([part for panel in panels for part in (panel, white)][:-1], axis=1)
