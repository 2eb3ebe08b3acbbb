"""What one photo may cost."""

from __future__ import annotations

from dataclasses import dataclass

FORMATS = ("JPEG", "MPO", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "HEIF")


@dataclass(frozen=True)
class Limits:
    """What one photo may cost; what would cost more is refused, before it is decoded where its header tells.

    Attributes:
        max_pixels: width times height; by default where Pillow warns of a decompression bomb. Pillow itself
            refuses twice that.
        max_bytes: of the encoded photo.
        max_memory: bytes that decoding may take.
        max_seconds: that decoding may take, where the time does not follow from the number of pixels.
        max_scans: of a progressive JPEG: each is a pass over all pixels.
        max_parts: segments of a JPEG, chunks of a PNG.
        formats: names of Pillow's formats; decided by content, never by a file's name.
    """

    max_pixels: int = 89_478_485
    max_bytes: int = 300_000_000
    max_memory: int = 1_000_000_000
    max_seconds: float = 20.0
    max_scans: int = 100
    max_parts: int = 100_000
    formats: tuple[str, ...] = FORMATS


LIMITS = Limits()
