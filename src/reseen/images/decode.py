"""Encoded photos -> upright RGB pixels, safely: by content, within limits, in full."""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import simplejpeg
from PIL import Image, ImageChops, UnidentifiedImageError

from reseen.errors import PhotoRejected
from reseen.images import budget
from reseen.images.headers import jpeg_header, png_damage
from reseen.images.limits import LIMITS, Limits
from reseen.types import Pixels

_ORIENTATION = 0x0112
_heif_lock = threading.Lock()
_heif_ready = False


USUAL_SCANS = 30
"""Scans up to which a JPEG is decoded in this process; encoders make about ten."""

warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # Limits.max_pixels refuses instead
warnings.filterwarnings("ignore", message="Corrupt EXIF data", category=UserWarning)


@dataclass(frozen=True)
class Decoded:
    """Upright pixels ``uint8 (H, W, 3)``, perhaps at a reduced scale, and the full upright size (W, H)."""

    pixels: Pixels
    size: tuple[int, int]


def decode(data: bytes, name: str, *, at_least: int | None = None, limits: Limits = LIMITS) -> Decoded:
    """Encoded bytes -> upright RGB; PhotoRejected says what is wrong with them.

    JPEG, PNG, WebP and BMP, whose headers tell what they cost, are decoded in this thread; everything else, and JPEGs
    of many scans, in a process that is stopped when a photo takes more than ``limits`` allow.

    ``at_least`` is the longest side that is needed: a JPEG of more than twice that is decoded at a
    reduced DCT scale which keeps at least twice of it.
    """
    if not data:
        raise PhotoRejected(name, "the file is empty")
    if len(data) > limits.max_bytes:
        raise PhotoRejected(name, f"{len(data)} bytes is more than the limit of {limits.max_bytes}")
    if _bounded(data, name, limits):
        return decode_here(data, name, at_least, limits)
    try:
        return Decoded(*budget.decode_apart(data, name, at_least, limits))
    except OSError:  # no process can be started here
        return decode_here(data, name, at_least, limits)


def _bounded(data: bytes, name: str, limits: Limits) -> bool:
    """Whether the header bounds the time that decoding takes; PhotoRejected where it says too much."""
    if data[:3] == b"\xff\xd8\xff":
        header = jpeg_header(data, limits.max_scans, limits.max_parts)
        if header.scans > limits.max_scans:
            raise PhotoRejected(name, f"a JPEG of more than {limits.max_scans} scans")
        if header.segments > limits.max_parts:
            raise PhotoRejected(name, f"a JPEG of more than {limits.max_parts} segments")
        return header.scans <= USUAL_SCANS
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        damage = png_damage(data, limits.max_parts)
        if damage is not None:
            raise PhotoRejected(name, f"cannot be decoded in full ({damage})")
        return True
    return data[:2] == b"BM" or (data[:4] == b"RIFF" and data[8:12] == b"WEBP")


def decode_here(data: bytes, name: str, at_least: int | None, limits: Limits, memory: int | None = None) -> Decoded:
    """:func:`decode` in this thread, whatever it takes.

    A photo that needs more memory than ``memory`` raises :class:`budget.TooLarge`; without ``memory`` it waits for its
    turn, one such photo at a time.
    """
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
        needed = _memory(image, data)
        if needed > limits.max_memory:
            raise PhotoRejected(name, f"needs {needed >> 20} MB to decode; the limit is {limits.max_memory >> 20} MB")
        orientation = _orientation(image)
        with budget.room_for(needed, memory):
            try:
                if _is_plain_jpeg(image):
                    pixels = _jpeg(data, width, height, at_least)
                else:
                    pixels = rgb(image)
                    image.close()
            except Exception as error:
                raise PhotoRejected(name, f"cannot be decoded in full ({_first_line(error)})") from None
            size = (height, width) if orientation in TURNED else (width, height)
            return Decoded(upright(pixels, orientation), size)


TURNED = (5, 6, 7, 8)
"""EXIF's orientations that swap width and height."""


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 where it is not to be undone: Pillow turns a TIFF by itself."""
    if image.format == "TIFF":
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1) or 1)
    except Exception:  # a torn EXIF block does not spoil the pixels
        return 1


def _is_plain_jpeg(image: Image.Image) -> bool:
    return image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L")


_HELD = {"1": 1, "L": 1, "P": 1, "I;16": 2, "I;16B": 2, "LA": 4, "PA": 4}
"""Bytes a pixel that Pillow holds; 4 of other modes."""
_BUFFERED = {"AVIF": 8, "HEIF": 8, "WEBP": 4, "TIFF": 4}
"""Bytes a pixel that a format's library holds beside it."""


def _memory(image: Image.Image, data: bytes) -> int:
    """About how many bytes decoding in full takes, the encoded photo included."""
    pixels = image.width * image.height
    if _is_plain_jpeg(image):
        header = jpeg_header(data, LIMITS.max_scans, LIMITS.max_parts)
        each = 3 + (2 * header.samples if header.progressive else 0)
        return len(data) + int(pixels * max(each, 6))
    return len(data) + pixels * (_HELD.get(image.mode, 4) + _BUFFERED.get(image.format or "", 0) + 3)


BAND = 1 << 18
"""Pixels that are converted at once."""


def rgb(image: Image.Image) -> Pixels:
    """Any Pillow image, loaded in full -> ``uint8 (H, W, 3)``: first frame, 16 bit scaled, alpha over white.

    Converted in bands of rows: beside the image itself there is only the result.
    """
    if getattr(image, "is_animated", False):
        image.seek(0)
    image.load()
    inverted = image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info
    grey = image.mode in ("I", "F") or image.mode.startswith("I;16")
    low, high = _range(image) if grey else (0.0, 0.0)
    found = np.empty((image.height, image.width, 3), np.uint8)
    for top, band in _bands(image):
        rows = found[top : top + band.height]
        if grey:
            x = np.nan_to_num(np.asarray(band).astype(np.float64))
            rows[:] = np.round((x - low) / max(high - low, 1e-12) * 255).astype(np.uint8)[..., None]
        else:
            # Pillow takes every CMYK JPEG for one of Adobe's, whose inks are inverted
            rows[:] = np.asarray(_opaque(ImageChops.invert(band) if inverted else band))
    return found


def _bands(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    """First row and pixels of each band."""
    step = max(1, BAND // max(image.width, 1))
    for top in range(0, image.height, step):
        yield top, image.crop((0, top, image.width, min(top + step, image.height)))


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, rgba)
    return image.convert("RGB")


def _range(image: Image.Image) -> tuple[float, float]:
    """Black and white of grey of more than 8 bits: 16 bits, 0..1 floats, or its minimum and maximum."""
    least, most = np.inf, -np.inf
    for _, band in _bands(image):
        x = np.nan_to_num(np.asarray(band).astype(np.float64))
        least, most = min(least, float(x.min())), max(most, float(x.max()))
    if image.mode == "F" or most > 65535 or least < 0:
        return (0.0, 1.0) if image.mode == "F" and least >= 0 and most <= 1 else (least, most)
    return 0.0, 65535.0 if most > 255 or image.mode.startswith("I;16") else 255.0


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
    if orientation in TURNED:
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
