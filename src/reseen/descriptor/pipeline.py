"""Photos on disk -> feature maps, decoded in threads, batched by equal size, in the order they came."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from reseen.descriptor.runtime.engines import Engine
from reseen.descriptor.runtime.threads import network_threads
from reseen.encoder import Task
from reseen.errors import PhotoRejected
from reseen.images import PhotoLike, ResizeRule, check_box, load_photo, ordered_map, placed, prepare
from reseen.types import Box, Pixels

WINDOW = 48
"""Photos that may wait for others of their size before they are run."""


@dataclass(frozen=True)
class Plan:
    """How photos become inputs: the resize rule, what a box means, one input per scale.

    ``receptive_field`` in pixels is what the ``padded`` box rule enlarges a box by, ``tasks_side`` the pixels of the
    longest side that the tasks need.
    """

    rule: ResizeRule
    crop: str
    factors: tuple[float, ...]
    tasks: Mapping[str, Task] = field(default_factory=dict)
    pixel_task: Callable[[Pixels], Any] | None = None
    receptive_field: int = 0
    tasks_side: int = 0

    @property
    def at_least(self) -> int:
        """Longest side that decoding must keep."""
        return max(self.tasks_side, int(np.ceil(self.rule.longest_side * max(1.0, *self.factors))))


@dataclass
class Prepared:
    """One photo, decoded: an input per scale, or why there is none."""

    index: int
    size: tuple[int, int] = (0, 0)
    inputs: list[Pixels] = field(default_factory=list)
    window: tuple[float, float, float, float] | None = None
    pixel_results: list[Any] = field(default_factory=list)
    tasks: dict[str, Any] = field(default_factory=dict)
    rejected: PhotoRejected | None = None


@dataclass(frozen=True)
class Mapped:
    """One input of one photo after the backbone: maps ``(1, C, h, w)`` per layer."""

    index: int
    scale: int
    maps: list[Tensor]
    pixels_size: tuple[int, int]
    pixel_result: Any


def prepare_photo(index: int, source: PhotoLike, box: Box | None, plan: Plan) -> Prepared:
    """Decode, crop and resize one photo; a bad one comes back with its rejection.

    With ``crop="activations"`` the whole photo is prepared and ``window`` is the box in shares of the input's sides.
    """
    try:
        # a box may need all the pixels of its part of the photo, and tasks may look closer than the network
        photo = load_photo(source, at_least=None if box is not None else plan.at_least)
        window = None
        if box is not None:
            box = check_box(box, photo.size)
            if plan.crop == "activations":
                window = shares(box, plan.rule, photo.size)
        crop_box = None if window is not None else box
        crop = "relative" if window is not None else plan.crop
        inputs = [prepare(photo, plan.rule, crop_box, crop, f, plan.receptive_field) for f in plan.factors]
        return Prepared(
            index,
            photo.size,
            inputs,
            window,
            [plan.pixel_task(pixels) if plan.pixel_task else None for pixels in inputs],
            {name: task(photo) for name, task in plan.tasks.items()},
        )
    except PhotoRejected as error:
        return Prepared(index, rejected=error)


def shares(box: Box, rule: ResizeRule, size: tuple[int, int]) -> Box:
    """A box in pixels of a photo of ``size`` (W, H) -> in shares of the sides of its input."""
    (left, top, right, bottom), (width, height) = placed(rule, size)
    sx, sy = (right - left) / size[0], (bottom - top) / size[1]
    x0, y0, x1, y1 = box
    return (left + x0 * sx) / width, (top + y0 * sy) / height, (left + x1 * sx) / width, (top + y1 * sy) / height


def prepared_photos(
    photos: Iterable[PhotoLike], boxes: Iterable[Box | None], plan: Plan, workers: int
) -> Iterator[Prepared]:
    """Every photo, prepared in ``workers`` threads, in order."""
    jobs = ((i, photo, box) for i, (photo, box) in enumerate(zip(photos, boxes, strict=False)))
    return ordered_map(lambda job: prepare_photo(*job, plan), jobs, workers=workers)


def run_batches(
    stream: Iterable[Prepared], engine: Engine, batch_size: int | None, threads: int
) -> Iterator[Prepared | list[Mapped]]:
    """Prepared photos pass through as they come; batches of equal-sized inputs come back mapped.

    A photo's inputs follow it in any order, never later than :data:`WINDOW` photos after it. The network has
    ``threads`` of torch's threads while it runs, and no longer: other streams may run between two batches.
    """
    waiting: dict[tuple[int, int], list[tuple[Prepared, int]]] = {}
    pending = 0

    def run(shape: tuple[int, int]) -> list[Mapped]:
        group = waiting.pop(shape)
        with network_threads(threads):
            maps = engine(np.stack([photo.inputs[scale] for photo, scale in group]))
        found = []
        for i, (photo, scale) in enumerate(group):
            photo.inputs[scale] = photo.inputs[scale][:0]
            found.append(Mapped(photo.index, scale, [m[i : i + 1] for m in maps], shape, photo.pixel_results[scale]))
        return found

    for photo in stream:
        yield photo
        for scale, pixels in enumerate(photo.inputs):
            shape = (int(pixels.shape[0]), int(pixels.shape[1]))
            waiting.setdefault(shape, []).append((photo, scale))
            pending += 1
            if len(waiting[shape]) >= (batch_size or best_batch(shape, engine)):
                pending -= len(waiting[shape])
                yield run(shape)
        if pending >= WINDOW:
            oldest = min(waiting, key=lambda s: waiting[s][0][0].index)
            pending -= len(waiting[oldest])
            yield run(oldest)
    for shape in list(waiting):
        yield run(shape)


def best_batch(shape: tuple[int, int], engine: Engine) -> int:
    """Photos of ``shape`` per batch: small ones share a batch, large ones fill the cores alone."""
    budget = 8 * 512 * 512 if engine.device.type == "cpu" else 32 * 1024 * 768
    return int(np.clip(budget // (shape[0] * shape[1]), 1, 8 if engine.device.type == "cpu" else 64))


def cells_inside(window: tuple[float, float, float, float], grid: tuple[int, int]) -> tuple[int, int, int, int]:
    """Cells ``(x0, y0, x1, y1)`` of a grid ``(h, w)`` whose centres lie in a box given in shares of the sides.

    A box that holds no centre takes the one cell nearest to its own.
    """
    x0, x1 = _span(window[0], window[2], grid[1])
    y0, y1 = _span(window[1], window[3], grid[0])
    return x0, y0, x1, y1


def _span(low: float, high: float, cells: int) -> tuple[int, int]:
    first, last = int(np.ceil(low * cells - 0.5)), int(np.floor(high * cells - 0.5))
    if first > last:
        first = last = int(np.clip((low + high) / 2 * cells, 0, cells - 1))
    return max(first, 0), min(last, cells - 1) + 1
