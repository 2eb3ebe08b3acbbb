"""What an encoded photo says of itself before anything is decoded: scans of a JPEG, checksums of a PNG."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

_STANDALONE = frozenset((0x01, *range(0xD0, 0xD9)))
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))


class JpegHeader(NamedTuple):
    """Of a JPEG's first image.

    Attributes:
        scans: passes over the pixels; one in a baseline photo, about ten in a progressive one.
        segments: tables, comments, EXIF, ... and scans.
        progressive: whether the coefficients of all pixels are held until the last scan.
        samples: of all components, for a pixel (1 for grey, 1.5 for 4:2:0, 3 for 4:4:4).
    """

    scans: int
    segments: int
    progressive: bool
    samples: float


def jpeg_header(data: bytes, most_scans: int, most_segments: int) -> JpegHeader:
    """Walk a JPEG's markers, until there is one scan or segment more than allowed; what is torn ends the walk."""
    scans, segments, progressive, samples, components = 0, 0, False, 3.0, 0
    place = 2
    while place + 4 <= len(data) and scans <= most_scans and segments <= most_segments:
        if data[place] != 0xFF:
            place = _next_marker(data, place)
            continue
        marker = data[place + 1]
        if marker == 0xFF:
            place += 1
        elif marker == 0xD9:
            break
        elif marker in _STANDALONE or marker == 0:
            place += 2
        else:
            segments += 1
            length = int.from_bytes(data[place + 2 : place + 4])
            if marker in _FRAMES:
                progressive = marker in PROGRESSIVE
                frame = data[place + 4 : place + 2 + length]
                samples, components = _samples(frame), frame[5] if len(frame) > 5 else 0
            if marker == 0xDA:
                scans += 1
                if not progressive and place + 4 < len(data) and data[place + 4] == components:
                    break  # one scan of all components is all that a baseline photo has
            place += 2 + max(length, 2)
            if marker == 0xDA:
                place = _next_marker(data, place)
    return JpegHeader(scans, segments, progressive, samples)


def _next_marker(data: bytes, place: int) -> int:
    """The first marker at or after ``place`` that is neither stuffing nor a restart."""
    while True:
        place = data.find(b"\xff", place)
        if place < 0 or place + 1 >= len(data):
            return len(data)
        if data[place + 1] not in (0x00, 0xFF, *range(0xD0, 0xD8)):
            return place
        place += 2 if data[place + 1] != 0xFF else 1


def _samples(frame: bytes) -> float:
    """Samples a pixel of a frame header's components."""
    if len(frame) < 6 or len(frame) < 6 + 3 * frame[5]:
        return 3.0
    factors = [(frame[7 + 3 * i] >> 4, frame[7 + 3 * i] & 15) for i in range(frame[5])]
    widest, tallest = max((f[0] for f in factors), default=1), max((f[1] for f in factors), default=1)
    return sum(h * v for h, v in factors) / max(widest * tallest, 1)


def png_damage(data: bytes, most_chunks: int) -> str | None:
    """Why a PNG cannot be believed: a checksum of its pixels that differs, too many chunks; None when all is well.

    Pillow leaves the checksums of pixel data unread.
    """
    view = memoryview(data)
    place, chunks = 8, 0
    while place + 12 <= len(data):
        chunks += 1
        if chunks > most_chunks:
            return f"it has more than {most_chunks} chunks"
        length, kind = struct.unpack_from(">I4s", data, place)
        end = place + 12 + length
        if end > len(data):
            return None
        if kind == b"IDAT" and zlib.crc32(view[place + 4 : end - 4]) != int.from_bytes(view[end - 4 : end]):
            return "the checksum of its pixels is wrong"
        if kind == b"IEND":
            return None
        place = end
    return None
