"""What makes vectors and maps of photos, as everything that searches knows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from reseen.errors import PhotoRejected, ReseenError
from reseen.images import Photo, PhotoLike
from reseen.types import Box, Cells, FeatureMaps, Vectors

Task = Callable[[Photo], Any]
"""Further work on a photo that is decoded anyway."""


@dataclass(frozen=True)
class Encoded:
    """One photo of a stream: its vector ``(dim,)`` or the reason why it has none.

    Attributes:
        index: its place in the stream.
        vector: None for a rejected photo.
        size: (width, height) of the upright photo.
        rejected: why there is no vector.
        tasks: results of the caller's own tasks.
    """

    index: int
    vector: Vectors | None
    size: tuple[int, int] = (0, 0)
    rejected: PhotoRejected | None = None
    tasks: Mapping[str, Any] = field(default_factory=dict)


class Encoder(Protocol):
    """What search and collections ask of a descriptor; ``reseen.Descriptor`` is one.

    A class that inherits from it only has to give the four properties without a default, :meth:`save` and
    :meth:`stream`; :attr:`gives` says which of the others it has.
    """

    @property
    def name(self) -> str:
        """Of the recipe."""

    @property
    def fingerprint(self) -> str:
        """Vectors of one fingerprint can be compared."""

    @property
    def dim(self) -> int:
        """Dimensions of the vectors."""

    @property
    def side(self) -> int:
        """Pixels of the longest side at which photos are looked at; a larger photo tells nothing more."""

    @property
    def gives(self) -> frozenset[Literal["maps"]]:
        """What it gives beside vectors: ``maps`` of a photo and vectors of their parts."""
        return frozenset()

    def save(self, folder: Path) -> Path:
        """Write what :func:`reseen.load` reads; returns the folder."""

    def stream(
        self,
        photos: Iterable[PhotoLike],
        boxes: Iterable[Box | None] | None = None,
        *,
        crop: str | None = None,
        tasks: Mapping[str, Task] | None = None,
        at_least: int = 0,
    ) -> Iterator[Encoded]:
        """Each photo (or the part of it in its box), in order, in flat memory; bad ones come with their reason.

        Args:
            photos: are asked for one by one.
            boxes: one ``(x0, y0, x1, y1)`` or None per photo.
            crop: what a box means, instead of the recipe's rule.
            tasks: run on each decoded photo; a PhotoRejected there rejects the photo.
            at_least: the longest side in pixels that the tasks need.
        """

    def encode(
        self, photos: Sequence[PhotoLike], boxes: Sequence[Box | None] | None = None, *, crop: str | None = None
    ) -> Vectors:
        """``(n, dim)`` float32, rows of unit length; PhotoRejected for a photo that cannot be used."""
        vectors = np.zeros((len(photos), self.dim), np.float32)
        for item in self.stream(photos, boxes, crop=crop):
            if item.rejected is not None:
                raise item.rejected
            vectors[item.index] = item.vector
        return vectors

    def photo_maps(self, photo: PhotoLike, box: Box | None = None, *, crop: str | None = None) -> FeatureMaps:
        """Feature maps ``(C, h, w)`` of each layer at scale 1, cut to the box; PhotoRejected as in :meth:`encode`."""
        raise ReseenError(f"{self.name!r} gives no feature maps")

    def shown(self, size: tuple[float, float]) -> Box:
        """The part of its maps, in shares of their sides, that shows a photo of ``size`` (W, H); all of them."""
        return (0.0, 0.0, 1.0, 1.0)

    def pool_parts(self, maps: FeatureMaps, parts: Sequence[Cells]) -> Vectors:
        """Unit vectors ``(n, dim)`` of parts of a photo's maps, in cells of the first map."""
        raise ReseenError(f"{self.name!r} gives no vectors of parts")
