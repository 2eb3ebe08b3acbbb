"""Every kind of photo that users have, and every kind that must be refused."""

import io
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from reseen.errors import PhotoRejected
from reseen.images import Limits, load_photo

QUADRANTS = np.zeros((48, 64, 3), np.uint8)
QUADRANTS[:24, :32] = (220, 30, 30)
QUADRANTS[:24, 32:] = (30, 200, 30)
QUADRANTS[24:, :32] = (30, 30, 220)
QUADRANTS[24:, 32:] = (230, 230, 60)


def encoded(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def centres(pixels):
    h, w = pixels.shape[:2]
    return np.array([pixels[y, x] for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)], int)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "BMP", "GIF", "HEIF"])
def test_formats(kind):
    if kind == "HEIF":
        pytest.importorskip("pillow_heif", reason="HEIC is optional").register_heif_opener()
    photo = load_photo(encoded(Image.fromarray(QUADRANTS), kind))
    assert photo.pixels.shape == (48, 64, 3) and photo.pixels.dtype == np.uint8
    assert photo.size == (64, 48)
    assert np.abs(centres(photo.pixels) - centres(QUADRANTS)).max() < 30


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_orientation_is_undone_as_pillow_does(orientation, kind):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.fromarray(QUADRANTS), kind, exif=exif)
    photo = load_photo(data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert photo.size == (expected.shape[1], expected.shape[0])
    assert np.abs(photo.pixels.astype(int) - expected).max() <= 4


def test_cmyk_and_adobe_inverted_jpeg():
    data = encoded(Image.fromarray(QUADRANTS).convert("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    assert np.abs(centres(load_photo(data).pixels) - centres(QUADRANTS)).max() < 40


def test_cmyk_jpeg_without_adobes_marker_is_not_inverted():
    data = encoded(Image.fromarray(QUADRANTS).convert("CMYK"), "JPEG", quality=95)
    start = data.index(b"\xff\xee")
    length = int.from_bytes(data[start + 2 : start + 4])
    assert data[start + 4 : start + 9] == b"Adobe"
    plain = load_photo(data[:start] + data[start + 2 + length :]).pixels
    # the same inks without the marker stand for their complement
    assert np.abs(centres(plain) - centres(load_photo(data).pixels)).max() > 100


def test_sixteen_bit_grey_is_scaled_not_clipped():
    ramp = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    pixels = load_photo(encoded(Image.fromarray(ramp), "PNG")).pixels
    assert np.abs(pixels[..., 0].astype(float) - ramp / 257).max() <= 1
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def test_float_tiff_of_zero_to_one():
    ramp = np.linspace(0, 1, 64 * 48, dtype=np.float32).reshape(48, 64)
    pixels = load_photo(encoded(Image.fromarray(ramp), "TIFF")).pixels
    assert np.abs(pixels[..., 1].astype(float) - ramp * 255).max() <= 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_alpha_is_laid_over_white(mode):
    image = Image.new(mode, (40, 40), (0,) * len(mode))
    assert (load_photo(encoded(image, "PNG")).pixels == 255).all()


def test_palette_with_transparency():
    image = Image.fromarray(QUADRANTS).quantize(4)
    opaque = load_photo(encoded(image, "PNG")).pixels
    assert np.abs(centres(opaque) - centres(QUADRANTS)).max() < 40
    index = image.getpixel((1, 1))
    clear = load_photo(encoded(image, "PNG", transparency=index)).pixels
    assert (clear[2, 2] == 255).all()


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (40, 40), c) for c in ("red", "blue")]
    pixels = load_photo(encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])).pixels
    assert pixels[20, 20, 0] > 200 and pixels[20, 20, 2] < 50


def test_grey_bytes_images_and_arrays_agree(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(QUADRANTS), "PNG"))
    for source in (path, str(path), path.read_bytes(), Image.open(path), QUADRANTS):
        assert np.array_equal(load_photo(source).pixels, QUADRANTS)
    assert np.array_equal(load_photo(QUADRANTS[..., 0]).pixels[..., 2], QUADRANTS[..., 0])


def test_large_jpegs_are_decoded_at_a_reduced_scale_that_keeps_twice_what_is_needed():
    large = np.asarray(Image.fromarray(QUADRANTS).resize((1600, 1200)))
    data = encoded(Image.fromarray(large), "JPEG")
    photo = load_photo(data, at_least=200)
    assert photo.size == (1600, 1200)
    assert 400 <= max(photo.pixels.shape) < 1600
    assert load_photo(data, at_least=500).pixels.shape == (1200, 1600, 3)


def jpeg(size=(64, 48)):
    rng = np.random.default_rng(0)
    return encoded(Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), np.uint8)), "JPEG")


def png_header(width, height):
    import struct
    import zlib

    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return header + struct.pack(">I", 10) + b"IDAT" + bytes(14)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "web page"),
        (b"\x00" * 500, "not an image of JPEG"),
        (jpeg()[:-400], "in full"),
        (encoded(Image.fromarray(QUADRANTS), "PNG")[:90], "in full|readable"),
        (png_header(30000, 30000), "pixels"),
        (encoded(Image.fromarray(QUADRANTS), "ICO"), "not an image of JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image of JPEG"),
    ],
    ids=["empty", "html", "zeros", "truncated jpeg", "truncated png", "bomb", "ico", "eps"],
)
def test_refused_with_the_reason(tmp_path, data, reason):
    path = tmp_path / "photo.jpg"
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(PhotoRejected, match=reason) as caught:
            load_photo(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("at_least", [None, 20])
def test_a_truncated_jpeg_is_refused_at_every_scale(at_least):
    with pytest.raises(PhotoRejected):
        load_photo(jpeg((640, 480))[:-3000], at_least=at_least)


def test_a_hundred_megapixels_are_refused_by_default_and_let_in_by_a_setting():
    data = encoded(Image.new("1", (10000, 10000)), "PNG")
    with pytest.raises(PhotoRejected, match="10000 x 10000 pixels is more than the limit"):
        load_photo(data)
    assert load_photo(data, limits=Limits(max_pixels=120_000_000)).size == (10000, 10000)


def test_limits_are_settings():
    with pytest.raises(PhotoRejected, match="limit of 100"):
        load_photo(jpeg(), limits=Limits(max_pixels=100))
    with pytest.raises(PhotoRejected, match="limit of 50"):
        load_photo(jpeg(), limits=Limits(max_bytes=50))
    with pytest.raises(PhotoRejected, match="not an image of PNG"):
        load_photo(jpeg(), limits=Limits(formats=("PNG",)))


def test_paths_that_are_no_photo(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoRejected, match="not a regular file"):
        load_photo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoRejected, match="no such file"):
        load_photo(tmp_path / "none.jpg")
    with pytest.raises(PhotoRejected, match="folder"):
        load_photo(tmp_path)
    with pytest.raises(PhotoRejected, match="not uint8"):
        load_photo(np.zeros((4, 4, 3)))
    with pytest.raises(PhotoRejected, match="shape"):
        load_photo(np.zeros((4, 4, 2), np.uint8))


def test_a_name_with_a_newline_stays_on_one_line(tmp_path):
    path = os.fsencode(tmp_path) + b"/bad\n\xff.jpg"
    with open(path, "wb") as file:
        file.write(b"")
    with pytest.raises(PhotoRejected) as caught:
        load_photo(os.fsdecode(path))
    assert "\n" not in str(caught.value) and r"\n\xff.jpg" in str(caught.value)
