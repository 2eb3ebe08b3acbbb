"""Several objects in one photo: windows over its feature maps, each compared with the instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.descriptor import Descriptor, Maps
from reseen.heads.regions import region_grid
from reseen.images import PhotoLike
from reseen.types import Box, Vectors

Boxes = NDArray[np.float64]

LEVELS = 4
"""Of the grid of windows: 30 on a square map, 40 on one of 4:3."""
OVERLAP = 0.3
"""Intersection over union above which two windows are taken for the same object."""


class Judge(Protocol):
    """Scores and confidences of vectors against instances."""

    def __call__(self, vectors: Vectors, /) -> tuple[Vectors, Vectors | None]:
        """``(w, dim)`` -> scores ``(w, I)`` and confidences ``(w, I)`` or None."""


@dataclass(frozen=True)
class FoundObject:
    """An instance in a photo: its number, its window's vector, score, confidence, and box in the photo's pixels."""

    instance: int
    vector: Vectors
    score: float
    confidence: float | None
    box: Box


def find_objects(
    descriptor: Descriptor,
    photo: PhotoLike,
    judge: Judge,
    *,
    box: Box | None = None,
    most: int = 5,
    threshold: float | None = None,
) -> list[FoundObject]:
    """The instances that windows of a photo show, surest first, each with the window where it is highest.

    The place of the highest activation is taken, windows that overlap it and its instance are left out, and so
    on while the confidence reaches the threshold. At least the best is given; without a threshold only that.

    Raises:
        PhotoRejected: the photo cannot be used.
    """
    boxes, vectors = photo_windows(descriptor, photo, box)
    scores, confidences = judge(vectors)
    worth = scores if confidences is None else confidences
    left = np.ones(scores.shape, bool)
    found: list[FoundObject] = []
    while len(found) < most and left.any():
        # among equally sure windows the most alike decides
        order = np.where(left, worth.astype(np.float64) + 1e-6 * scores, -np.inf)
        window, instance = np.unravel_index(int(order.argmax()), order.shape)
        sure = None if confidences is None else float(confidences[window, instance])
        if found and (threshold is None or sure is None or sure < threshold):
            break
        place = tuple(float(v) for v in boxes[window])
        found.append(FoundObject(int(instance), vectors[window], float(scores[window, instance]), sure, place))  # type: ignore[arg-type]
        left[overlaps(boxes, boxes[window]) > OVERLAP] = False
        left[:, instance] = False
    return found


def photo_windows(descriptor: Descriptor, photo: PhotoLike, box: Box | None = None) -> tuple[Boxes, Vectors]:
    """Windows of a photo as boxes ``(w, 4)`` in its pixels and their vectors ``(w, dim)``; the whole comes first."""
    item = next(iter(descriptor.maps([photo], [box])))
    if item.rejected is not None:
        raise item.rejected
    cells, vectors = map_windows(descriptor, item)
    height, width = item.maps[0].shape[-2:]
    x0, y0, x1, y1 = box if box is not None else (0.0, 0.0, float(item.size[0]), float(item.size[1]))
    scale = np.array([(x1 - x0) / width, (y1 - y0) / height] * 2)
    return cells * scale + np.array([x0, y0, x0, y0]), vectors


def map_windows(descriptor: Descriptor, item: Maps) -> tuple[Boxes, Vectors]:
    """Windows of feature maps as boxes ``(w, 4)`` in cells of the first map and their vectors ``(w, dim)``."""
    height, width = (int(n) for n in item.maps[0].shape[-2:])
    grid = region_grid(height, width, LEVELS)
    cells = np.unique(np.concatenate([[[0, 0, width, height]], grid]), axis=0)
    whole = (cells == [0, 0, width, height]).all(1)
    cells = np.concatenate([cells[whole], cells[~whole]])
    vectors: list[Vectors] = [np.zeros(0, np.float32)] * len(cells)
    sizes = cells[:, 2:] - cells[:, :2]
    head = descriptor.head_on("cpu")
    with torch.inference_mode():
        for size in np.unique(sizes, axis=0):
            members = np.flatnonzero((sizes == size).all(1))
            maps = [torch.stack([_cut(m, cells[i], (height, width)) for i in members]) for m in item.maps]
            for i, vector in zip(members, descriptor.project(head(maps).numpy()), strict=True):
                vectors[i] = vector
    return cells.astype(np.float64), np.stack(vectors)


def _cut(maps: Tensor, cell: Sequence[int] | NDArray[np.int64], grid: tuple[int, int]) -> Tensor:
    """A window, given in cells of the first map's ``grid`` (h, w), of a layer ``(C, H, W)``."""
    sy, sx = maps.shape[-2] / grid[0], maps.shape[-1] / grid[1]
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(cell, (sx, sy, sx, sy), strict=True))
    return maps[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]


def overlaps(boxes: Boxes, box: Boxes) -> NDArray[np.float64]:
    """Intersection over union of boxes ``(w, 4)`` with one ``(4,)``: ``(w,)``."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / (areas - shared), np.float64)
