"""Where virtual photos are made: of references in a collection or a folder, the same wish giving the same pixels."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import cv2
import numpy as np
from PIL import Image

from reseen.errors import PhotoRejected
from reseen.images import load_photo, ordered_map
from reseen.scenes.paintings import paint
from reseen.scenes.virtual import VIRTUAL, VirtualSettings, mild_view, virtual_photo
from reseen.scenes.visits import VISIT, visit
from reseen.types import Pixels

How = Literal["virtual", "visit", "mild"]
Behind = Literal["walls", "paintings", "references"]

PHOTO = (640, 480)
"""Width and height of a virtual photo that is encoded as a query; upright references turn it."""
PAINTED = 50_000
"""Number of the first painted picture; lower ones may hang in a painted museum."""
STRANGERS = 64
"""Painted pictures that stand behind objects."""
_HOWS: tuple[How, ...] = ("virtual", "visit", "mild")


@dataclass(frozen=True)
class Manner:
    """How a studio works.

    Attributes:
        settings: how far a virtual photo may go from its reference; its size is :attr:`size`.
        size: width and height of the photos; None for :data:`PHOTO`, turned upright for upright references.
        side: longest side at which references are kept.
        behind: what may stand behind and beside an object, beside painted walls: nothing, painted pictures, or another
            reference (two objects of one collection in a photo would have two right answers).
        turned: how often a virtual photo lies on its side: a phone that looks down does not know which way is up.
        kept: references that are held in memory.
    """

    settings: VirtualSettings = VIRTUAL
    size: tuple[int, int] | None = None
    side: int = 640
    behind: Behind = "walls"
    turned: float = 0.0
    kept: int = 32


VISITOR = Manner(
    VirtualSettings(
        roll=45.0,
        tilt=45.0,
        scale=(0.35, 1.3),
        cast=0.3,
        exposure=(0.5, 1.8),
        glare=0.5,
        frame=0.2,
        photo_behind=0.6,
    ),
    behind="paintings",
    turned=0.25,
    kept=600,
)
"""A careless visitor: objects lie askew, small, under bad light, behind glass."""


class Wish(NamedTuple):
    """A virtual photo to make: of which row, how, which draw of the chances, how large (width, height).

    ``mild`` is the reference much as it is, ``virtual`` a photo of it on a wall or before another photo, ``visit`` a
    photo of a room where it hangs.
    """

    row: int
    how: How
    draw: int = 0
    size: tuple[int, int] | None = None


class Studio:
    """Makes virtual photos of references, in any thread or order.

    Args:
        references: paths (bytes are paths too), read when they are needed; pixels; or an empty path for a photo that
            has no file.
        manner: how they are photographed.
        seed: of all chances.
        workers: threads of :meth:`stream`.
        keys: a number of each reference that its chances depend on, such as its content's; by default its row.

    Files that are gone or cannot be read are in :attr:`rejected` (row number -> reason).
    """

    def __init__(
        self,
        references: Sequence[str | bytes | os.PathLike[str] | Pixels],
        manner: Manner = VISITOR,
        *,
        seed: int = 0,
        workers: int = 1,
        keys: Sequence[int] | None = None,
    ) -> None:
        self.references, self.manner, self.seed, self.workers = references, manner, seed, workers
        self.keys = keys if keys is not None else range(len(references))
        self.rejected: dict[int, str] = {}
        self.reference = lru_cache(maxsize=manner.kept)(self._reference)
        self._painting = lru_cache(maxsize=STRANGERS)(lambda number: paint(PAINTED + number, longest=320).pixels)

    def _reference(self, row: int) -> Pixels | None:
        """A reference's pixels, or None when it cannot be used."""
        source = self.references[row]
        if not isinstance(source, np.ndarray):
            if not source:
                self.rejected[row] = "was given as an upload: there is no file to read again"
                return None
            source = os.fsdecode(source)
        try:
            pixels = load_photo(source, at_least=self.manner.side).pixels
        except PhotoRejected as error:
            self.rejected[row] = error.reason
            return None
        height, width = pixels.shape[:2]
        factor = self.manner.side / max(height, width)
        if factor >= 1:
            return pixels
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)

    def make(self, wish: Wish) -> Pixels | None:
        """The photo, ``uint8 (H, W, 3)``; None when its reference cannot be used."""
        reference = self.reference(wish.row)
        if reference is None:
            return None
        rng = np.random.default_rng((self.seed, _HOWS.index(wish.how), self.keys[wish.row], wish.draw))
        size = wish.size or self.manner.size
        if size is None:
            size = PHOTO if reference.shape[1] >= reference.shape[0] else (PHOTO[1], PHOTO[0])
        if wish.how == "mild":
            return mild_view(reference, rng, size)
        others = self._others(wish.row, rng)
        if wish.how == "visit":
            return visit(reference, rng, replace(VISIT, sizes=(size,)), others).pixels
        turned = self.manner.turned > 0 and rng.random() < self.manner.turned
        settings = replace(self.manner.settings, size=size[::-1] if turned else size)
        pixels = virtual_photo(reference, rng, settings, others).pixels
        return np.ascontiguousarray(np.rot90(pixels, int(rng.choice((1, 3))))) if turned else pixels

    def _others(self, row: int, rng: np.random.Generator) -> list[Pixels]:
        """What may stand behind and beside the object."""
        if self.manner.behind == "paintings":
            return [self._painting(int(number)) for number in rng.integers(0, STRANGERS, 2)]
        if self.manner.behind == "walls" or len(self.references) < 2:
            return []
        other = self.reference((row + int(rng.integers(1, len(self.references)))) % len(self.references))
        return [] if other is None else [other]

    def stream(self, wishes: Iterable[Wish]) -> Iterator[tuple[Wish, Pixels]]:
        """Virtual photos in order, made ahead in threads; those that cannot be made are left out."""
        for wish, pixels in ordered_map(lambda w: (w, self.make(w)), wishes, workers=self.workers):
            if pixels is not None:
                yield wish, pixels

    def files(self, wishes: Sequence[Wish], paths: Sequence[Path]) -> list[bool]:
        """Keep each wish's photo in its file (JPEG), made where it is not there yet; False where it cannot be made."""

        def made(item: tuple[Wish, Path]) -> bool:
            wish, path = item
            if not path.is_file():
                pixels = self.make(wish)
                if pixels is None:
                    return False
                part = path.with_suffix(f".{os.getpid()}.part")
                Image.fromarray(pixels).save(part, "JPEG", quality=92)
                part.replace(path)
            return True

        return list(ordered_map(made, zip(wishes, paths, strict=True), workers=self.workers))
