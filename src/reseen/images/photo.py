"""A photo from wherever it comes: path, bytes, PIL image or array -> upright RGB."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from reseen.errors import PhotoRejected
from reseen.images.decode import Decoded, decode, rgb
from reseen.images.limits import LIMITS, Limits
from reseen.types import Pixels

PREPROCESSING_VERSION = 1
"""Enters every fingerprint; raised when the same photo would give other pixels."""


@dataclass(frozen=True)
class Photo:
    """Upright RGB.

    Attributes:
        pixels: ``uint8 (H, W, 3)``; perhaps at a reduced scale.
        size: (width, height) of the full upright photo, the pixels that boxes speak of.
        name: display text.
    """

    pixels: Pixels
    size: tuple[int, int]
    name: str

    @property
    def scale(self) -> tuple[float, float]:
        """What a box's x and y are multiplied by to lie in :attr:`pixels`."""
        return self.pixels.shape[1] / self.size[0], self.pixels.shape[0] / self.size[1]


PhotoLike = str | os.PathLike[str] | os.PathLike[bytes] | bytes | Image.Image | NDArray[np.generic] | Photo
"""A path, encoded bytes, a PIL image, an array ``(H, W)``, ``(H, W, 3)`` or ``(H, W, 4)``, or a decoded photo."""


def display(path: str | bytes | os.PathLike[str] | os.PathLike[bytes]) -> str:
    """A path as text that can always be printed: bytes that are no UTF-8 and control characters escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def read_bytes(path: str | bytes | os.PathLike[str] | os.PathLike[bytes], limits: Limits = LIMITS) -> bytes:
    """A file's bytes; PhotoRejected when it cannot be read, is no file, or is too large."""
    name = display(path)
    try:
        kind = os.stat(path).st_mode  # noqa: PTH116 - paths may be bytes
        if stat.S_ISDIR(kind):
            readable = os.access(path, os.R_OK | os.X_OK)
            raise PhotoRejected(name, "is a folder, not a photo" if readable else "the folder cannot be read")
        if not stat.S_ISREG(kind):
            raise PhotoRejected(name, "is not a regular file")
        # what stands there may have changed since, and some files of the system wait for ever: never block
        opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise PhotoRejected(name, "is not a regular file")
            data = file.read(limits.max_bytes + 1) or b""
    except FileNotFoundError:
        raise PhotoRejected(name, "no such file") from None
    except OSError as error:
        raise PhotoRejected(name, f"cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise PhotoRejected(name, f"not a usable path ({error})") from None
    if len(data) > limits.max_bytes:
        raise PhotoRejected(name, f"the file is larger than the limit of {limits.max_bytes} bytes")
    return data


def load_photo(source: PhotoLike, *, at_least: int | None = None, limits: Limits = LIMITS) -> Photo:
    """Decode a photo in full, upright, as RGB.

    Args:
        source: see :data:`PhotoLike`; ``bytes`` are an encoded photo, never a path.
        at_least: the longest side that is needed; much larger JPEGs are decoded at a reduced DCT scale.
        limits: formats, pixels and bytes that are let in.

    Raises:
        PhotoRejected: with one line that says why.
    """
    if isinstance(source, Photo):
        return source
    if isinstance(source, np.ndarray):
        pixels = _from_array(source)
        return Photo(pixels, (pixels.shape[1], pixels.shape[0]), "<array>")
    if isinstance(source, Image.Image):
        return _from_pil(source, limits)
    if isinstance(source, bytes | bytearray | memoryview):
        name, data = "<bytes>", bytes(source)
    elif isinstance(source, str | os.PathLike):
        name, data = display(source), read_bytes(source, limits)
    else:
        raise PhotoRejected(f"<{type(source).__name__}>", "give a path, bytes, a PIL image or an array")
    found: Decoded = decode(data, name, at_least=at_least, limits=limits)
    return Photo(found.pixels, found.size, name)


def _from_pil(image: Image.Image, limits: Limits) -> Photo:
    name = display(getattr(image, "filename", "") or "<image>")
    if image.width * image.height > limits.max_pixels or 0 in image.size:
        raise PhotoRejected(name, f"{image.width} x {image.height} pixels is outside the limits")
    try:
        pixels = rgb(ImageOps.exif_transpose(image))
    except Exception as error:
        raise PhotoRejected(name, f"cannot be decoded in full ({error})") from None
    return Photo(pixels, (pixels.shape[1], pixels.shape[0]), name)


def _from_array(array: NDArray[np.generic]) -> Pixels:
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] not in (1, 3, 4)):
        raise PhotoRejected("<array>", f"shape {array.shape} is not (H, W), (H, W, 3) or (H, W, 4)")
    if array.dtype != np.uint8:
        raise PhotoRejected("<array>", f"dtype {array.dtype} is not uint8")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim == 2:
        return np.repeat(array[..., None], 3, axis=2).astype(np.uint8)
    if array.shape[2] == 4:
        return rgb(Image.fromarray(np.ascontiguousarray(array), "RGBA"))
    return np.ascontiguousarray(array, dtype=np.uint8)
