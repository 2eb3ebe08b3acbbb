"""What every extractor of local features gives, and its bytes."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from reseen.errors import CollectionDamaged
from reseen.registry import LOCAL

_HEADER = struct.Struct("<4sIIIfHHH")
_MAGIC = b"RLF2"


@dataclass(frozen=True)
class LocalFeatures:
    """Keypoints and descriptors of one photo.

    Attributes:
        points: ``(n, 2)`` float16, x and y from the photo's centre in pixels of the photo as it was
            extracted: near the centre float16 is finest (at most 0.13 pixel of error in 1,000).
        codes: ``(n, d)`` uint8; less ``zero`` and divided by their norm they are unit descriptors.
        size: width and height of the full upright photo.
        scale: extracted pixels per pixel of the full photo.
        frames: ``(n, 2)`` uint8, each keypoint's direction in 256ths of a turn and its size in 16ths of an octave,
            for extractors that know them; None for others.
        zero: the code that stands for 0: 0 for descriptors without negative values, else 128.
    """

    points: NDArray[np.float16]
    codes: NDArray[np.uint8]
    size: tuple[int, int]
    scale: float
    frames: NDArray[np.uint8] | None = None
    zero: int = 0

    def __post_init__(self) -> None:
        if self.points.shape != (len(self.codes), 2) or self.codes.ndim != 2 or self.scale <= 0:
            raise ValueError(f"points {self.points.shape} and codes {self.codes.shape} do not fit together")
        if self.frames is not None and self.frames.shape != self.points.shape:
            raise ValueError(f"points {self.points.shape} and frames {self.frames.shape} do not fit together")

    def __len__(self) -> int:
        return len(self.codes)

    def vectors(self) -> NDArray[np.float32]:
        """Unit descriptors, ``(n, d)`` float32; a code of zeros stays zero."""
        x = self.codes.astype(np.float32) - self.zero
        norms = np.sqrt(np.einsum("nd,nd->n", x, x))
        return np.asarray(x / np.maximum(norms, 1.0)[:, None], np.float32)

    def pixels(self) -> NDArray[np.float32]:
        """The points in pixels of the full upright photo, ``(n, 2)`` float32."""
        return np.asarray(self.points.astype(np.float32) / self.scale + np.array(self.size) / 2, np.float32)

    def inside(self, box: tuple[float, float, float, float] | None) -> LocalFeatures:
        """Only the features inside a box ``(x0, y0, x1, y1)`` of the full photo (all of them for None)."""
        if box is None:
            return self
        xy = self.pixels()
        return self.only((xy >= box[:2]).all(1) & (xy <= box[2:]).all(1))

    def only(self, rows: Any) -> LocalFeatures:
        """Some of the features: a mask, row numbers or a slice."""
        frames = None if self.frames is None else self.frames[rows]
        return replace(self, points=self.points[rows], codes=self.codes[rows], frames=frames)

    def to_bytes(self) -> bytes:
        """A header of 26 bytes, and ``4 + d`` for each keypoint, 2 more with its frame (134 with SIFT)."""
        n, d = self.codes.shape
        header = _HEADER.pack(_MAGIC, n, *self.size, self.scale, d, self.zero, self.frames is not None)
        frames = b"" if self.frames is None else self.frames.tobytes()
        return header + self.points.astype("<f2").tobytes() + self.codes.tobytes() + frames

    @classmethod
    def from_bytes(cls, data: bytes) -> LocalFeatures:
        """The inverse of :meth:`to_bytes`; :class:`CollectionDamaged` for anything else."""
        if len(data) < _HEADER.size or data[:4] != _MAGIC:
            raise CollectionDamaged("local features of a photo are not readable; index it again")
        _, n, width, height, scale, d, zero, framed = _HEADER.unpack_from(data)
        if len(data) != _HEADER.size + n * (4 + d + 2 * framed) or not scale > 0:
            raise CollectionDamaged("local features of a photo are torn; index it again")
        points = np.frombuffer(data, "<f2", 2 * n, _HEADER.size).reshape(n, 2)
        codes = np.frombuffer(data, np.uint8, n * d, _HEADER.size + 4 * n).reshape(n, d)
        frames = np.frombuffer(data, np.uint8, 2 * n, _HEADER.size + n * (4 + d)).reshape(n, 2) if framed else None
        return cls(points.astype(np.float16, copy=False), codes, (width, height), scale, frames, zero)


class Extractor(Protocol):
    """What stands in SIFT's place: anything with a name, a size and a function of pixels."""

    @classmethod
    def from_name(cls, name: str) -> Self:
        """One with the settings of a name: its kind alone, or what :attr:`name` said; ValueError for another name."""

    @property
    def name(self) -> str:
        """Name and settings, from which ``create_extractor`` makes the same one; others' features do not match its."""

    @property
    def side(self) -> int:
        """Pixels of the longest side at which photos are looked at; a larger photo tells it nothing more."""

    def extract(self, pixels: NDArray[np.uint8], size: tuple[int, int] | None = None) -> LocalFeatures:
        """Features of upright RGB ``uint8 (H, W, 3)``; ``size`` is the full photo's ``(W, H)`` if larger."""


def create_extractor(text: str) -> Extractor:
    """An extractor from ``sift``, ``disk:FILE`` or ``aliked:FILE``, or from the name of one.

    The kind is what stands before a colon, and settings may follow it after dashes. The learned ones are kornia's
    networks with weights from a file, and need kornia.

    Raises:
        RecipeError: it is not known. WeightsMissing: kornia or the file is not there.
    """
    named, colon, argument = text.partition(":")
    kind = named if named in LOCAL else named.partition("-")[0]
    try:
        return LOCAL.find(kind + colon + argument).from_name(text)  # type: ignore[no-any-return]
    except ValueError:
        raise LOCAL.unknown(text) from None
