"""An epoch's tuples as batches: views are planned, made in threads, and handed out with who matches whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from reseen.photosets import PhotoSet
from reseen.training.distributed import Workers
from reseen.training.losses import Tuples
from reseen.training.views import View, ViewReader
from reseen.types import Pixels


@dataclass(frozen=True)
class Stretch:
    """The tuples of an epoch from one mining of negatives to the next.

    Attributes:
        epoch: from 0.
        order: number of the pair of each tuple of the whole epoch.
        first, end: places in ``order`` of the first tuple and of the one after the last.
        negatives: ``(end - first, k)`` photo numbers, -1 for none.
    """

    epoch: int
    order: NDArray[np.int64]
    first: int
    end: int
    negatives: NDArray[np.int64]


class Batch(NamedTuple):
    """``size`` tuples of all workers together; this worker's ``photos`` and ``tuples``, None when none is usable."""

    size: int
    photos: list[Pixels]
    tuples: Tuples | None


def batches(
    data: PhotoSet, reader: ViewReader, stretch: Stretch, *, size: int, done: int, share: Workers
) -> Iterator[Batch]:
    """Batches of ``size`` tuples of a stretch, from its place ``done`` on.

    ``share`` says which tuples of each batch are this worker's: every ``share.count``-th from ``share.rank``.
    """
    plans = []
    for first in range(done, stretch.end, size):
        rows = range(first, min(first + size, stretch.end))
        number: dict[View, int] = {}
        who = [
            [number.setdefault(view, len(number)) for view in _views(data, reader, stretch, row)]
            for row in rows[share.rank :: share.count]
        ]
        plans.append((len(rows), list(number), who))
    photos = reader.stream(view for _, views, _ in plans for view in views)
    for count, views, who in plans:
        yield Batch(count, *_usable(data, views, [next(photos) for _ in views], who))


def _views(data: PhotoSet, reader: ViewReader, stretch: Stretch, row: int) -> list[View]:
    """Query, positive and negatives of the tuple at a place of the epoch."""
    query, positive = data.pairs[stretch.order[row]].tolist()
    if query == positive:
        made = stretch.epoch * len(stretch.order) + row
        views = [View(query, "mild", made), View(positive, "virtual", made)]
    else:
        views = [reader.real(query, stretch.epoch), reader.real(positive, stretch.epoch)]
    negatives = [n for n in stretch.negatives[row - stretch.first].tolist() if n >= 0]
    return views + [
        View(n, "mild", stretch.epoch) if data.virtual[n] else reader.real(n, stretch.epoch) for n in negatives
    ]


def _usable(
    data: PhotoSet, views: list[View], photos: Sequence[Pixels | None], who: list[list[int]]
) -> tuple[list[Pixels], Tuples | None]:
    """Photos that could be read and the tuples whose query and positive are among them."""
    place = np.full(len(photos), -1)
    readable = [i for i, pixels in enumerate(photos) if pixels is not None]
    place[readable] = np.arange(len(readable))
    kept = [[int(place[i]) for i in rows] for rows in who]
    kept = [[*rows[:2], *(n for n in rows[2:] if n >= 0)] for rows in kept if min(rows[:2]) >= 0]
    if not kept:
        return [], None
    negatives = torch.full((len(kept), max(map(len, kept)) - 2), -1, dtype=torch.int64)
    for i, rows in enumerate(kept):
        negatives[i, : len(rows) - 2] = torch.tensor(rows[2:], dtype=torch.int64)
    labels = torch.from_numpy(data.clusters[[views[i].photo for i in readable]])
    query, positive = torch.tensor([rows[:2] for rows in kept]).T
    return [p for p in photos if p is not None], Tuples(query, positive, negatives, labels)
