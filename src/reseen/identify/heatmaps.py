"""Where in a photo an instance is seen, and which: the heat map and the label map of Figure 3.1."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from reseen.collections import Asked
from reseen.descriptor import Descriptor
from reseen.descriptor.recipes import ImageSettings
from reseen.heads.museum.regions import InstanceRegions, Logits
from reseen.identify.identifier import Identifier
from reseen.identify.objects import photo_windows
from reseen.images import placed
from reseen.search import Query
from reseen.types import Pixels

LONGEST = 640
"""Of the pictures, in pixels."""
CELLS = 24
"""Cells along the longest side of a heat map made of windows."""
STRIDED = 2
"""Side of the photo over the side of the squares that a classifier of squares was trained on (448 over 224)."""


@dataclass(frozen=True)
class HeatMap:
    """Maximal activation and the instance that has it, on a grid over the photo.

    Attributes:
        activation: ``(h, w)`` float32.
        instance: ``(h, w)`` int64, numbers into ``names``.
        names: of the instances.
        first: ``(x, y)`` where the first cell is, in shares of the photo's sides.
        step: ``(x, y)`` from one cell to the next, likewise.
    """

    activation: NDArray[np.float32]
    instance: NDArray[np.int64]
    names: tuple[str, ...]
    first: tuple[float, float]
    step: tuple[float, float]

    @property
    def hottest(self) -> tuple[float, float]:
        """``(x, y)`` of the highest activation, in shares of the photo's sides."""
        row, column = np.unravel_index(int(self.activation.argmax()), self.activation.shape)
        return self.first[0] + float(column) * self.step[0], self.first[1] + float(row) * self.step[1]

    def cells(self, width: int, height: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """For each pixel of the photo at that size its place in the grid: columns ``(width,)``, rows ``(height,)``.

        Pixels beyond the outermost cells take these.
        """
        found = []
        cells = reversed(self.instance.shape)
        for count, first, step, most in zip((width, height), self.first, self.step, cells, strict=True):
            places = ((np.arange(count) + 0.5) / count - first) / step
            found.append(np.clip(places, 0, most - 1).astype(np.float32))
        return found[0], found[1]


def classifier_heat(descriptor: Descriptor, query: Query) -> HeatMap:
    """Of a descriptor with a class activation per place (Section 3.3.1): one cell per window of its network.

    Each cell stands in the middle of what its window sees. A descriptor of squares (IM, FT) is applied to the photo at
    :data:`STRIDED` times their side, as in Figure 3.1.
    """
    head = descriptor.head_on("cpu")
    if not isinstance(head, InstanceRegions | Logits):
        raise TypeError(f"head {head.kind!r} has no classes")
    descriptor = _strided(descriptor)
    maps = query.maps(descriptor)
    with torch.inference_mode():
        activations = head.activations([torch.from_numpy(m)[None] for m in maps])[0]
    highest, which = activations.max(0)
    names = head.labels or tuple(str(i) for i in range(head.classes))
    (left, top, right, bottom), _ = placed(descriptor.recipe.images.rule, query.photo().size)
    (layer,) = descriptor.backbone.layers
    centre = layer.centre if layer.centre is not None else layer.stride / 2
    first, step = [], []
    for cells, low, high in zip(reversed(maps[0].shape[-2:]), (left, top), (right, bottom), strict=True):
        repeated = max(0, head.grid - cells) // 2  # cells of a small map that were filled up before its first one
        middle = centre + ((head.grid - 1) / 2 - repeated) * layer.stride
        first.append((middle - low) / (high - low))
        step.append(layer.stride / (high - low))
    return HeatMap(highest.numpy(), which.numpy(), names, (first[0], first[1]), (step[0], step[1]))


@lru_cache(maxsize=1)
def _strided(descriptor: Descriptor) -> Descriptor:
    """The descriptor itself, or, where its photos are squares of the training size, one of whole and larger photos."""
    images = descriptor.recipe.images
    if images.exact is None:
        return descriptor
    larger = ImageSettings(shortest=STRIDED * min(images.exact), aspect=2.0, fill="noise")
    return descriptor.replace(recipe=replace(descriptor.recipe, images=larger))


def window_heat(identifier: Identifier, query: Query) -> HeatMap:
    """Of any descriptor: the highest similarity to an instance among the windows that cover a cell.

    Small windows are preferred where they are as good, so that the map is as fine as the evidence.
    """
    boxes, vectors = photo_windows(identifier.collection.encoder, query)
    scores, _ = identifier.judge(vectors)
    best, which = scores.max(1), scores.argmax(1)
    width, height = boxes[0, 2], boxes[0, 3]
    cell = max(width, height) / CELLS
    grid = (max(1, round(height / cell)), max(1, round(width / cell)))
    total, weight = np.zeros(grid), np.zeros(grid)
    winner, named = np.full(grid, -np.inf), np.zeros(grid, np.int64)
    for box, score, name in zip(boxes, best, which, strict=True):
        x0, y0, x1, y1 = (
            round(v) for v in box * np.array([grid[1] / width, grid[0] / height, grid[1] / width, grid[0] / height])
        )
        part = np.s_[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
        total[part] += score
        weight[part] += 1
        better = score > winner[part]
        winner[part] = np.where(better, score, winner[part])
        named[part] = np.where(better, name, named[part])
    step = (1 / grid[1], 1 / grid[0])
    activation = (total / np.maximum(weight, 1)).astype(np.float32)
    return HeatMap(activation, named, identifier.gallery.names, (step[0] / 2, step[1] / 2), step)


def heat(identifier: Identifier, photo: Asked) -> HeatMap:
    """The classifier's heat map where the collection's descriptor has one, else that of its windows."""
    query = identifier.collection.query(photo).whole()
    descriptor = identifier.collection.encoder
    if isinstance(descriptor, Descriptor) and isinstance(descriptor.head, InstanceRegions | Logits):
        return classifier_heat(descriptor, query)
    return window_heat(identifier, query)


def picture(identifier: Identifier, photo: Asked) -> Pixels:
    """Photo, heat map over it, and label map over it, side by side: ``uint8 (H, 3 W + gaps, 3)``."""
    query = identifier.collection.query(photo)
    query.looked_at(LONGEST)
    found = heat(identifier, query)
    return draw(query.photo().pixels, found)


def draw(pixels: Pixels, found: HeatMap) -> Pixels:
    """Photo, heat map and label map side by side.

    The label map shows the places whose activation is above the mean, as the paper's figure does; each instance
    has a colour and its name stands on its largest patch.
    """
    factor = LONGEST / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor)))
    pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    activation = found.activation
    span = max(float(np.ptp(activation)), 1e-6)
    level = ((activation - activation.min()) / span * 255).astype(np.uint8)
    columns, rows = found.cells(*size)
    level = np.asarray(cv2.remap(level, *np.meshgrid(columns, rows), cv2.INTER_LINEAR), np.uint8)
    colours = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    hot = cv2.addWeighted(pixels, 0.45, np.asarray(colours, np.uint8), 0.55, 0)
    gap = np.full((size[1], 8, 3), 255, np.uint8)
    return np.concatenate([pixels, gap, np.asarray(hot, np.uint8), gap, _labelled(pixels, found)], 1)


def _labelled(pixels: Pixels, found: HeatMap) -> Pixels:
    """The label map over a photo."""
    shown = found.activation > found.activation.mean()
    if not shown.any():
        shown[:] = True
    labels = np.where(shown, found.instance, -1)
    columns, rows = (np.rint(places).astype(np.int64) for places in found.cells(pixels.shape[1], pixels.shape[0]))
    large = labels[rows[:, None], columns]
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    result = np.asarray(grey, np.uint8).copy()
    present = np.unique(labels[labels >= 0])
    for order, instance in enumerate(present.tolist()):
        tint = np.array(colorsys.hsv_to_rgb((order * 0.618) % 1, 0.75, 1.0)) * 255
        mask = large == instance
        result[mask] = (0.5 * result[mask] + 0.5 * tint).astype(np.uint8)
    for instance in present.tolist():
        _name(result, large == instance, found.names[instance])
    return result


def _name(picture: Pixels, mask: NDArray[np.bool_], name: str) -> None:
    """Write an instance's name in the middle of its largest patch."""
    _, _, stats, centres = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if len(stats) < 2:
        return
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    text = name[:18].encode("ascii", "replace").decode()
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.5, 1)
    x = int(np.clip(centres[largest][0] - width / 2, 0, max(0, picture.shape[1] - width)))
    y = int(np.clip(centres[largest][1] + height / 2, height + 2, picture.shape[0] - 4))
    cv2.rectangle(picture, (x - 3, y - height - 4), (x + width + 3, y + 4), (255, 255, 255), -1)
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 0, 0), 1, cv2.LINE_AA)


def save_picture(pixels: Pixels, path: Path) -> None:
    """Write a picture as a file."""
    from PIL import Image

    Image.fromarray(pixels).save(path)
