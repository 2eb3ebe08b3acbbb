"""Virtual photos of a collection's references: what visitors' phones would have seen of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from reseen.errors import PhotoRejected
from reseen.images import load_photo, ordered_map
from reseen.scenes import VIRTUAL, VISIT, paint, virtual_photo, visit
from reseen.types import Pixels

How = Literal["virtual", "visit"]

REFERENCE_SIDE = 640
"""Longest side at which references are kept for virtual photos."""
PHOTO = (640, 480)
"""Width and height of a virtual photo that is encoded as a query; upright references turn it."""
PAINTED = 50_000
"""Number of the first painted picture; lower ones may hang in a painted museum."""
STRANGERS = 64
"""Painted pictures that stand behind objects."""
VISITOR = replace(
    VIRTUAL,
    roll=45.0,
    tilt=45.0,
    scale=(0.35, 1.3),
    cast=0.3,
    exposure=(0.5, 1.8),
    glare=0.5,
    frame=0.2,
    photo_behind=0.6,
)
"""A careless visitor: objects lie askew, small, under bad light, behind glass."""
TURNED = 0.25
"""How often a virtual photo lies on its side: a phone that looks down does not know which way is up."""
_KEPT = 600
_HOWS: tuple[How, ...] = ("virtual", "visit")


class Wish(NamedTuple):
    """A virtual photo to make: of which row, how, which draw of the chances, how large (width, height)."""

    row: int
    how: How
    draw: int
    size: tuple[int, int] | None = None


class Studio:
    """Makes virtual photos of reference photos; the same wish gives the same pixels.

    Args:
        paths: of the references, as bytes, read when they are needed; empty for a photo that has no file.
        seed: of all chances.
        workers: threads of :meth:`stream`.

    Files that are gone or cannot be read are in :attr:`rejected` (row number -> reason).
    """

    def __init__(self, paths: Sequence[bytes], *, seed: int = 0, workers: int = 1) -> None:
        self.paths, self.seed, self.workers = paths, seed, workers
        self.rejected: dict[int, str] = {}
        self.reference = lru_cache(maxsize=_KEPT)(self._reference)
        self._painting = lru_cache(maxsize=STRANGERS)(lambda number: paint(PAINTED + number, longest=320).pixels)

    def _reference(self, row: int) -> Pixels | None:
        """A reference's pixels, or None when it cannot be used."""
        path = self.paths[row]
        if not path:
            self.rejected[row] = "was given as an upload: there is no file to read again"
            return None
        try:
            photo = load_photo(os.fsdecode(path), at_least=REFERENCE_SIDE)
        except PhotoRejected as error:
            self.rejected[row] = error.reason
            return None
        height, width = photo.pixels.shape[:2]
        factor = REFERENCE_SIDE / max(height, width)
        if factor >= 1:
            return photo.pixels
        import cv2

        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        return np.asarray(cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

    def make(self, wish: Wish) -> Pixels | None:
        """The virtual photo, ``uint8 (H, W, 3)``; None when its reference cannot be used.

        Behind and beside the object are painted walls and pictures, never another reference: a photo of two
        objects of the collection would have two right answers.
        """
        reference = self.reference(wish.row)
        if reference is None:
            return None
        rng = np.random.default_rng((self.seed, _HOWS.index(wish.how), wish.row, wish.draw))
        size = wish.size
        if size is None:
            size = PHOTO if reference.shape[1] >= reference.shape[0] else (PHOTO[1], PHOTO[0])
        others = [self._painting(int(number)) for number in rng.integers(0, STRANGERS, 2)]
        if wish.how == "visit":
            return visit(reference, rng, replace(VISIT, sizes=(size,)), others).pixels
        turned = rng.random() < TURNED
        upright = size[::-1] if turned else size
        pixels = virtual_photo(reference, rng, replace(VISITOR, size=upright), others).pixels
        return np.ascontiguousarray(np.rot90(pixels, int(rng.choice((1, 3))))) if turned else pixels

    def stream(self, wishes: Iterable[Wish]) -> Iterator[tuple[Wish, Pixels]]:
        """Virtual photos in order, made ahead in threads; those that cannot be made are left out."""
        for wish, pixels in ordered_map(lambda w: (w, self.make(w)), wishes, workers=self.workers):
            if pixels is not None:
                yield wish, pixels
