"""Encoded photos -> upright RGB pixels, safely: by content, within limits, in full."""

from __future__ import annotations

import io
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageChops, UnidentifiedImageError

from reseen.errors import PhotoRejected
from reseen.types import Pixels

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "HEIF")
_ORIENTATION = 0x0112
_heif_lock = threading.Lock()
_heif_ready = False


@dataclass(frozen=True)
class Limits:
    """What is refused before it is decoded.

    Attributes:
        max_pixels: width times height; by default where Pillow warns of a decompression bomb. Pillow itself
            refuses twice that.
        max_bytes: of the encoded photo.
        formats: names of Pillow's formats; decided by content, never by a file's name.
    """

    max_pixels: int = 89_478_485
    max_bytes: int = 300_000_000
    formats: tuple[str, ...] = FORMATS


LIMITS = Limits()

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # Limits.max_pixels refuses instead


@dataclass(frozen=True)
class Decoded:
    """Upright pixels ``uint8 (H, W, 3)``, perhaps at a reduced scale, and the full upright size (W, H)."""

    pixels: Pixels
    size: tuple[int, int]


def decode(data: bytes, name: str, *, at_least: int | None = None, limits: Limits = LIMITS) -> Decoded:
    """Encoded bytes -> upright RGB; PhotoRejected says what is wrong with them.

    ``at_least`` is the longest side that is needed: a JPEG of more than twice that is decoded at a
    reduced DCT scale which keeps at least twice of it.
    """
    if not data:
        raise PhotoRejected(name, "the file is empty")
    if len(data) > limits.max_bytes:
        raise PhotoRejected(name, f"{len(data)} bytes is more than the limit of {limits.max_bytes}")
    _enable_heif()
    Image.init()
    known = [kind for kind in limits.formats if kind in Image.OPEN]
    try:
        image = Image.open(io.BytesIO(data), formats=known)
    except Image.DecompressionBombError as error:
        raise PhotoRejected(name, f"too many pixels ({error})") from None
    except Exception as error:
        raise PhotoRejected(name, _not_a_photo(data, error, known)) from None
    with image:
        if image.format not in limits.formats:
            raise PhotoRejected(name, f"not an image of {', '.join(known)}")
        width, height = image.size
        if width * height > limits.max_pixels:
            raise PhotoRejected(name, f"{width} x {height} pixels is more than the limit of {limits.max_pixels}")
        try:
            orientation = int(image.getexif().get(_ORIENTATION, 1) or 1)
        except Exception:  # a torn EXIF block does not spoil the pixels
            orientation = 1
        try:
            if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
                pixels = _jpeg(data, width, height, at_least)
            else:
                pixels = rgb(image)
        except Exception as error:
            raise PhotoRejected(name, f"cannot be decoded in full ({_first_line(error)})") from None
    size = (height, width) if orientation >= 5 else (width, height)
    return Decoded(upright(pixels, orientation), size)


def rgb(image: Image.Image) -> Pixels:
    """Any Pillow image, loaded in full -> ``uint8 (H, W, 3)``: first frame, 16 bit scaled, alpha over white."""
    if getattr(image, "is_animated", False):
        image.seek(0)
    image.load()
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        image = ImageChops.invert(image)  # Pillow takes every CMYK JPEG for one of Adobe's, whose inks are inverted
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.repeat(_to_eight_bits(np.asarray(image), image.mode)[..., None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return np.array(image.convert("RGB"))


def _to_eight_bits(values: NDArray[Any], mode: str) -> Pixels:
    """Grey of more than 8 bits, scaled by its own range: 16 bits, 0..1 floats, or its minimum and maximum."""
    x = np.nan_to_num(values.astype(np.float64))
    if mode == "F" or x.max(initial=0) > 65535 or x.min(initial=0) < 0:
        low, high = (0.0, 1.0) if mode == "F" and x.min() >= 0 and x.max() <= 1 else (x.min(), x.max())
    else:
        low, high = 0.0, 65535.0 if x.max(initial=0) > 255 or mode.startswith("I;16") else 255.0
    return np.round((x - low) / max(high - low, 1e-12) * 255).astype(np.uint8)


def _jpeg(data: bytes, width: int, height: int, at_least: int | None) -> Pixels:
    """A JPEG whose header Pillow has accepted, decoded in full by libjpeg-turbo."""
    wanted = 2 * at_least if at_least is not None and max(width, height) >= 4 * at_least else 0
    short_wanted = max(1, int(wanted * min(width, height) / max(width, height)))
    down, across = (short_wanted, wanted) if width >= height else (wanted, short_wanted)
    return np.asarray(
        simplejpeg.decode_jpeg(
            data,
            colorspace="RGB",
            strict=True,
            **({"min_height": down, "min_width": across, "min_factor": 1} if wanted else {}),
        )
    )


def upright(pixels: Pixels, orientation: int) -> Pixels:
    """Pixels turned and mirrored as EXIF's orientation 1..8 says; other values leave them."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def _enable_heif() -> None:
    """Let Pillow read HEIC when pillow-heif is installed."""
    global _heif_ready
    with _heif_lock:
        if not _heif_ready:
            try:
                import pillow_heif

                pillow_heif.register_heif_opener()
            except ImportError:
                pass
            _heif_ready = True


def _not_a_photo(data: bytes, error: Exception, known: list[str]) -> str:
    start = data[:256].lstrip().lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "not a photo but a web page"
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "HEIC needs pillow-heif: pip install 'reseen[heic]'"
    if isinstance(error, UnidentifiedImageError):
        return f"not an image of {', '.join(known)}"
    return f"not a readable image ({_first_line(error)})"


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0][:160] if text else type(error).__name__
