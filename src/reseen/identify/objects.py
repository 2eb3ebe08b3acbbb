"""Several objects in one photo: windows over its feature maps, each compared with the instances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reseen.encoder import Encoder
from reseen.heads.regions import region_grid
from reseen.search import Query
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
    encoder: Encoder, query: Query, judge: Judge, *, most: int = 5, threshold: float | None = None
) -> list[FoundObject]:
    """The instances that windows of a photo show, surest first, each with the window where it is highest.

    The place of the highest activation is taken, windows that overlap it and its instance are left out, and so
    on while the confidence reaches the threshold. At least the best is given; without a threshold only that.

    Raises:
        PhotoRejected: the photo cannot be used.
    """
    boxes, vectors = photo_windows(encoder, query)
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


def photo_windows(encoder: Encoder, query: Query) -> tuple[Boxes, Vectors]:
    """Windows of a photo as boxes ``(w, 4)`` in its pixels and their vectors ``(w, dim)``; the whole comes first."""
    maps = query.maps(encoder)
    height, width = maps[0].shape[-2:]
    cells = np.unique(np.concatenate([[[0, 0, width, height]], region_grid(height, width, LEVELS)]), axis=0)
    whole = (cells == [0, 0, width, height]).all(1)
    cells = np.concatenate([cells[whole], cells[~whole]])
    vectors = encoder.pool_parts(maps, [(int(a), int(b), int(c), int(d)) for a, b, c, d in cells])
    full = query.photo().size
    x0, y0, x1, y1 = query.box if query.box is not None else (0.0, 0.0, float(full[0]), float(full[1]))
    left, top, right, bottom = encoder.shown((x1 - x0, y1 - y0))
    within = cells / [width, height, width, height] - [left, top, left, top]
    boxes = within * ([(x1 - x0) / (right - left), (y1 - y0) / (bottom - top)] * 2) + [x0, y0, x0, y0]
    boxes = boxes.clip([x0, y0, x0, y0], [x1, y1, x1, y1])
    seen = (boxes[:, 2:] > boxes[:, :2]).all(1)  # others show nothing but what fills the photo up
    return boxes[seen], vectors[seen]


def overlaps(boxes: Boxes, box: Boxes) -> NDArray[np.float64]:
    """Intersection over union of boxes ``(w, 4)`` with one ``(4,)``: ``(w,)``."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return np.asarray(shared / (areas - shared), np.float64)
