"""What a collection asks of a descriptor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from reseen.images import Photo, PhotoLike
from reseen.types import Box, Vectors


class Encoder(Protocol):
    """What a collection asks of a descriptor; ``reseen.Descriptor`` is one."""

    @property
    def name(self) -> str:
        """Of the recipe."""

    @property
    def fingerprint(self) -> str:
        """Vectors of one fingerprint can be compared."""

    @property
    def dim(self) -> int:
        """Dimensions of the vectors."""

    def save(self, folder: Path) -> Path:
        """Write what :func:`reseen.load` reads."""

    def encode(self, photos: Sequence[PhotoLike], boxes: Sequence[Box | None] | None = None) -> Vectors:
        """``(n, dim)`` float32, rows of unit length."""

    def stream(
        self, photos: Iterable[PhotoLike], *, tasks: Mapping[str, Callable[[Photo], Any]] | None = None
    ) -> Iterator[Any]:
        """One ``Encoded`` per photo, in order; bad photos come with their reason."""
