"""Photos made to harm: each is let in or refused with its reason, within its seconds and its memory."""

from __future__ import annotations

import io
import os
import re
import socket
import struct
import subprocess
import sys
import time
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from reseen.errors import PhotoRejected
from reseen.images import Limits, load_photo

SECONDS = 20.0
"""For one photo, on a busy machine; what is meant to take long would take minutes."""


def noise(width=160, height=120, mode="RGB", seed=0):
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, channels), np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(width=160, height=120, **options):
    return encoded(noise(width, height), "JPEG", **options)


def png(width=160, height=120, **options):
    return encoded(noise(width, height), "PNG", **options)


def chunk(kind, body, checksum=None):
    found = zlib.crc32(kind + body) if checksum is None else checksum
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", found)


SIGNATURE = b"\x89PNG\r\n\x1a\n"


def png_of(width, height, data, depth=8, colour=2, before=b"", interlace=0):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    return SIGNATURE + header + before + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def many_scans(times):
    data = jpeg(progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last * times + data[-2:]


def many_segments(times):
    data = jpeg()
    return data[:2] + b"\xff\xfe\x00\x02" * times + data[2:]


def wrong_checksum():
    data = bytearray(png_of(64, 48, bytes(48 * (1 + 64 * 3))))
    data[data.index(b"IDAT") - 4 + 8 + int.from_bytes(data[data.index(b"IDAT") - 4 : data.index(b"IDAT")])] ^= 1
    return bytes(data)


def many_chunks(times):
    data = png_of(8, 8, bytes(8 * 25))
    place = data.index(b"IDAT") - 4
    return data[:place] + chunk(b"tEXt", b"a\0b") * times + data[place:]


def bmp(width, height):
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 70, 0, 0, 54) + header + bytes(16)


def tiff(entries, data=b""):
    """A little-endian TIFF of one directory; ``entries`` are (tag, kind, count, value)."""
    body = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return b"II*\0" + struct.pack("<I", 8) + body + struct.pack("<I", 0) + data


def tiff_of(width, height, strips=1, offset=200):
    return tiff(
        [
            (256, 4, 1, width),
            (257, 4, 1, height),
            (258, 3, 1, 8),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (273, 4, strips, offset),
            (277, 3, 1, 1),
            (278, 4, 1, height),
            (279, 4, strips, width * height & 0xFFFFFFFF),
        ],
        bytes(1000),
    )


def looping_tiff():
    data = bytearray(encoded(noise(), "TIFF"))
    first = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, first)[0]
    struct.pack_into("<I", data, first + 2 + 12 * count, first)
    return bytes(data)


def looping_exif():
    # IFD0 points to itself as its Exif sub-directory and as the next directory
    body = struct.pack("<HHHII", 1, 0x8769, 4, 1, 8) + struct.pack("<I", 8)
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 8) + body
    data = jpeg()
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def torn_exif():
    data = jpeg()
    exif = b"Exif\0\0II*\0" + struct.pack("<I", 0xFFFFFF00) + b"\xff" * 40
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:]


def strange_orientation():
    exif = Image.Exif()
    exif[0x0112] = 77
    return jpeg(exif=exif)


def gif_of_extensions(times):
    data = encoded(noise(mode="L"), "GIF")
    place = data.index(b"\x2c", 13 + 3 * 256)
    return data[:place] + b"\x21\xfe\x01a\x00" * times + data[place:]


def animation(kind, frames=40, **options):
    images = [noise(seed=i) for i in range(frames)]
    return encoded(images[0], kind, save_all=True, append_images=images[1:], **options)


def sixteen_bit(kind):
    values = np.random.default_rng(0).integers(0, 65536, (90, 120), np.uint16)
    return encoded(Image.fromarray(values), kind)


def floats(values):
    return encoded(Image.fromarray(np.asarray(values, np.float32)), "TIFF")


def profile(size):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return jpeg(icc_profile=icc + bytes(size))


def mpo():
    first = noise()
    return encoded(first, "MPO", save_all=True, append_images=[noise(seed=1)])


def svg():
    return b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>'


FINE = None
BOMB = "pixels|too many|limit"
BROKEN = "in full|readable|not an image"
KINDS = {
    # sizes that are lies or bombs
    "png of 30000 x 30000": (lambda: png_of(30000, 30000, b""), BOMB),
    "png of 2^31 x 1": (lambda: png_of(2**31 - 1, 1, b""), BOMB + "|in full|readable"),
    "png of 89 megapixels of zeros": (lambda: png_of(9400, 9500, bytes(9500 * 9401), 8, 0), FINE),
    "png of no size": (lambda: png_of(0, 10, b""), BROKEN),
    "png that says more than it holds": (lambda: png_of(4000, 4000, b"\0" * 100), BROKEN),
    "png that holds more than it says": (lambda: png_of(10, 10, bytes(10_000_000)), FINE),
    "gif of 65535 x 65535": (lambda: b"GIF89a" + struct.pack("<HHBBB", 65535, 65535, 0xF0, 0, 0) + bytes(50), ".*"),
    "bmp of 2^31 x 2^31": (lambda: bmp(2**31 - 1, 2**31 - 1), ".*"),
    "tiff of 60000 x 60000": (lambda: tiff_of(60000, 60000), BOMB),
    "tiff of four thousand million strips": (lambda: tiff_of(64, 64, 0xFFFFFFFF), ".*"),
    "tiff whose strips lie outside": (lambda: tiff_of(64, 64, 1, 0xFFFFFF00), ".*"),
    "tiff that points at itself": (looping_tiff, FINE),
    "tiff of a thousand million entries": (lambda: b"II*\0" + struct.pack("<I", 8) + b"\xff\xff" + bytes(100), ".*"),
    "webp of a lie": (
        lambda: b"RIFF\xff\xff\xff\x7fWEBPVP8X\x0a\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff",
        BROKEN + "|too many",
    ),
    "1 x 20000": (lambda: png(1, 20000), FINE),
    "20000 x 1": (lambda: png(20000, 1), FINE),
    "1 x 1": (lambda: png(1, 1), FINE),
    "1 x 65500 jpeg": (lambda: jpeg(1, 65500), FINE),
    # work that is out of all proportion
    "jpeg of 5000 scans": (lambda: many_scans(5000), "more than 100 scans"),
    "jpeg of 60 scans": (lambda: many_scans(50), ".*"),
    "jpeg of a million comments": (lambda: many_segments(1_000_000), "more than 100000 segments"),
    "jpeg of a hundred comments": (lambda: many_segments(100), FINE),
    "progressive jpeg": (lambda: jpeg(progressive=True), FINE),
    "progressive jpeg of full colour": (lambda: jpeg(progressive=True, subsampling=0), FINE),
    "png of a million chunks": (lambda: many_chunks(1_000_000), "more than 100000 chunks"),
    "png of compressed text that explodes": (
        lambda: png_of(8, 8, bytes(8 * 25), before=chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(200_000_000), 9))),
        ".*",
    ),
    "png of a profile that explodes": (
        lambda: png_of(8, 8, bytes(8 * 25), before=chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(200_000_000), 9))),
        ".*",
    ),
    "interlaced png": (lambda: png_of(8, 8, bytes(400), interlace=1), ".*"),
    "gif of a million comments": (lambda: gif_of_extensions(1_000_000), ".*"),
    "profile of a megabyte": (lambda: profile(1_000_000), FINE),
    # torn
    "empty": (lambda: b"", "empty"),
    "one byte": (lambda: b"\xff", BROKEN),
    "jpeg marker alone": (lambda: b"\xff\xd8\xff", BROKEN),
    "jpeg cut in its header": (lambda: jpeg()[:150], BROKEN),
    "jpeg cut in its pixels": (lambda: jpeg()[:-2000], BROKEN),
    "jpeg without its end": (lambda: jpeg()[:-2], BROKEN),
    "jpeg with a hole": (lambda: (lambda d: d[:3000] + bytes(500) + d[3500:])(jpeg()), ".*"),
    "png cut": (lambda: png()[:-3000], BROKEN),
    "png with a wrong checksum": (wrong_checksum, "checksum"),
    "png without its header": (lambda: SIGNATURE + png()[33:], BROKEN),
    "webp cut": (lambda: encoded(noise(), "WEBP")[:-200], BROKEN),
    "avif cut": (lambda: encoded(noise(), "AVIF")[:-300], BROKEN),
    "tiff cut": (lambda: encoded(noise(), "TIFF")[:2000], ".*"),
    "gif cut": (lambda: encoded(noise(mode="L"), "GIF")[:2000], ".*"),
    "zeros": (lambda: bytes(100_000), "not an image"),
    "random bytes": (lambda: np.random.default_rng(0).bytes(100_000), "not an image"),
    # odd but good
    "cmyk": (lambda: encoded(noise(mode="CMYK"), "JPEG"), FINE),
    "grey": (lambda: encoded(noise(mode="L"), "JPEG"), FINE),
    "grey with alpha": (lambda: encoded(noise(mode="LA"), "PNG"), FINE),
    "all transparent": (lambda: encoded(Image.new("RGBA", (90, 60), (9, 9, 9, 0)), "PNG"), FINE),
    "one bit": (lambda: encoded(noise(mode="L").convert("1"), "PNG"), FINE),
    "palette": (lambda: encoded(noise().quantize(16), "PNG"), FINE),
    "sixteen bits in png": (lambda: sixteen_bit("PNG"), FINE),
    "sixteen bits in tiff": (lambda: sixteen_bit("TIFF"), FINE),
    "floats that are no numbers": (lambda: floats([[np.nan, np.inf, -np.inf, 0.5]] * 40), FINE),
    "huge floats": (lambda: floats(np.full((40, 40), 3e38)), FINE),
    "animated gif": (lambda: animation("GIF"), FINE),
    "animated webp": (lambda: animation("WEBP"), FINE),
    "animated png": (lambda: animation("PNG"), FINE),
    "two photos in one": (mpo, FINE),
    "many pages": (lambda: animation("TIFF"), FINE),
    "exif that points at itself": (looping_exif, FINE),
    "exif that is torn": (torn_exif, FINE),
    "orientation 77": (strange_orientation, FINE),
    # something else under a photo's name
    "web page": (lambda: b"<!DOCTYPE html><html><script>alert(1)</script></html>", "web page"),
    "svg that reads a file": (svg, "web page"),
    "postscript": (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n(/etc/passwd) (r) file\n", "not an image"),
    "pdf": (lambda: b"%PDF-1.7\n1 0 obj << >> endobj\n%%EOF", "not an image"),
    "zip": (lambda: b"PK\x03\x04" + bytes(200), "not an image"),
    "elf": (lambda: b"\x7fELF" + bytes(200), "not an image"),
    "icon": (lambda: encoded(noise(64, 64), "ICO"), "not an image"),
    "jpeg that is also a web page": (lambda: jpeg() + b"<script>alert(1)</script>", FINE),
    "jpeg that is also a zip": (lambda: jpeg() + b"PK\x05\x06" + bytes(18), FINE),
}


def test_there_are_enough_kinds():
    assert len(KINDS) >= 60


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_let_in_or_refused_with_its_reason(tmp_path, kind):
    make, reason = KINDS[kind]
    path = tmp_path / "photo.jpg"
    path.write_bytes(make())
    start = time.monotonic()
    try:
        photo = load_photo(path)
    except PhotoRejected as error:
        assert reason is not None, error
        assert re.search(reason, error.reason), error.reason
        assert "\n" not in str(error)
        assert "Traceback" not in str(error)
    else:
        assert reason in (FINE, ".*"), "it was let in"
        assert photo.pixels.dtype == np.uint8
        assert photo.pixels.shape[::-1] == (3, *photo.size)
    assert time.monotonic() - start < SECONDS


def test_wrong_suffixes_do_not_matter(tmp_path):
    for name, data in {"a.png": jpeg(), "b.jpg": png(), "c.tif": encoded(noise(), "WEBP")}.items():
        (tmp_path / name).write_bytes(data)
        assert load_photo(tmp_path / name).size == (160, 120)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    (tmp_path / "null.jpg").symlink_to("/dev/null")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.jpg"))
        for name in ("pipe", "loop", "null", "zero", "gone", "folder", "s"):
            with pytest.raises(PhotoRejected, match="regular file|symbolic links|no such file|folder"):
                load_photo(tmp_path / f"{name}.jpg")


@pytest.mark.skipif(not os.path.exists("/proc/kmsg"), reason="there is no /proc/kmsg here")
def test_a_file_of_the_system_that_waits_for_ever_is_refused(tmp_path):
    (tmp_path / "kernel.jpg").symlink_to("/proc/kmsg")
    with pytest.raises(PhotoRejected):
        load_photo(tmp_path / "kernel.jpg")


def test_a_pipe_put_in_the_place_of_a_file_does_not_block(tmp_path, monkeypatch):
    path = tmp_path / "photo.jpg"
    os.mkfifo(path)
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda p, *a, **k: real(__file__ if os.fspath(p) == str(path) else p, *a, **k))
    with pytest.raises(PhotoRejected, match="regular file"):
        load_photo(path)


def test_a_photo_that_takes_too_long_is_stopped_and_the_next_one_is_decoded():
    slow = encoded(Image.new("RGB", (1500, 1500)), "AVIF", speed=10)
    with pytest.raises(PhotoRejected, match=r"more than 0\.001 seconds"):
        load_photo(slow, limits=Limits(max_seconds=0.001))
    assert load_photo(encoded(noise(), "AVIF")).size == (160, 120)


def test_memory_is_refused_before_it_is_taken():
    with pytest.raises(PhotoRejected, match="MB to decode; the limit is"):
        load_photo(png_of(9000, 9000, b""), limits=Limits(max_memory=100_000_000))


PEAK = """
import resource, sys, threading
from reseen.images import load_photo
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
work = [threading.Thread(target=load_photo, args=(path,)) for path in sys.argv[1:]]
[t.start() for t in work]; [t.join() for t in work]
def peak(who): return resource.getrusage(who).ru_maxrss * 1024
from reseen.images import budget
budget._stop_all()
print(peak(resource.RUSAGE_SELF) - before * 1024, peak(resource.RUSAGE_CHILDREN))
"""


@pytest.mark.parametrize("kind", ["sixteen bits", "floats", "rgba", "rgb"])
def test_forty_megapixels_stay_below_three_hundred_megabytes(tmp_path, kind):
    width, height = 7300, 5400
    path = tmp_path / "large"
    if kind == "sixteen bits":
        Image.fromarray(np.zeros((height, width), np.uint16)).save(path, "PNG", compress_level=1)
    elif kind == "floats":
        Image.fromarray(np.zeros((height, width), np.float32)).save(path, "TIFF", compression="tiff_deflate")
    else:
        Image.new(kind.upper(), (width, height)).save(path, "PNG", compress_level=1)
    run = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True)
    own, apart = map(int, run.stdout.split())
    assert own < 300_000_000 and apart < 400_000_000, run.stdout  # the process itself holds 60 MB of libraries
