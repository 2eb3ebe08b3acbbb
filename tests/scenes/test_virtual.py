from dataclasses import replace

import cv2
import numpy as np
import pytest

from reseen.scenes import VIRTUAL, VirtualSettings, mild_view, virtual_photo
from reseen.scenes.camera import trimmed

STILL = VirtualSettings(
    scale=(0.6, 0.6),
    aspect=(1.0, 1.0),
    tilt=0,
    roll=0,
    outside=0,
    frame=0,
    gradient=0,
    cast=0,
    exposure=(1, 1),
    gamma=(1, 1),
    saturation=(1, 1),
    blur=0,
    noise=0,
    glare=0,
    occlusion=0,
    quality=(100, 100),
)


@pytest.fixture
def reference() -> np.ndarray:
    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 255, (12, 16, 3)).astype(np.uint8)
    return cv2.resize(coarse, (320, 240), interpolation=cv2.INTER_CUBIC)


def test_a_seed_gives_the_same_photo_whatever_was_drawn_before(reference):
    first = virtual_photo(reference, np.random.default_rng((3, 7)), others=[reference[::-1]])
    virtual_photo(reference, np.random.default_rng((3, 8)))
    again = virtual_photo(reference, np.random.default_rng((3, 7)), others=[reference[::-1]])
    other = virtual_photo(reference, np.random.default_rng((3, 8)))
    assert np.array_equal(first.pixels, again.pixels) and np.array_equal(first.polygon, again.polygon)
    assert not np.array_equal(first.pixels, other.pixels)


@pytest.mark.parametrize("size", [(224, 224), (192, 256), (320, 240)])
def test_sizes_and_types(reference, size):
    for seed in range(12):
        scene = virtual_photo(reference, np.random.default_rng(seed), replace(VIRTUAL, size=size), [reference[:, ::-1]])
        assert scene.pixels.shape == (size[1], size[0], 3) and scene.pixels.dtype == np.uint8
        assert np.isfinite(scene.polygon).all()
        x0, y0, x1, y1 = scene.box
        assert 0 <= x0 < x1 <= size[0] and 0 <= y0 < y1 <= size[1]
    assert mild_view(reference, np.random.default_rng(0), size).shape == (size[1], size[0], 3)


def test_without_disturbance_the_object_is_the_reference_at_its_polygon(reference):
    scene = virtual_photo(reference, np.random.default_rng(1), STILL)
    side = 0.6 * 224
    assert np.ptp(scene.polygon[:, 0]) == pytest.approx(side, abs=1e-3)
    assert np.ptp(scene.polygon[:, 1]) == pytest.approx(side * 240 / 320, abs=1e-3)
    corners = np.array([(0, 0), (320, 0), (320, 240), (0, 240)], np.float32) - 0.5
    back = cv2.getPerspectiveTransform(scene.polygon - 0.5, corners)
    seen = cv2.warpPerspective(scene.pixels, back, (320, 240))[12:-12, 12:-12]
    assert np.abs(seen.astype(int) - reference[12:-12, 12:-12]).mean() < 4


def test_the_scale_says_how_large_the_object_is(reference):
    for seed in range(10):
        far = virtual_photo(reference, np.random.default_rng(seed), replace(VIRTUAL, scale=(0.3, 0.3), aspect=(1, 1)))
        assert np.ptp(far.polygon, axis=0).max() == pytest.approx(0.3 * 224, rel=1e-3)


def test_occlusion_glare_and_frame_change_the_photo(reference):
    plain = virtual_photo(reference, np.random.default_rng(2), STILL).pixels.astype(int)
    for change in ({"occlusion": 1.0}, {"glare": 1.0}, {"frame": 1.0}, {"noise": 20.0}, {"gradient": 0.5}):
        changed = virtual_photo(reference, np.random.default_rng(2), replace(STILL, **change)).pixels
        assert np.abs(changed - plain).mean() > 0.3, change


def test_trimmed_leaves_the_content():
    page = np.full((100, 120, 3), 255, np.uint8)
    page[10:90, 30:80] = 90
    assert trimmed(page).shape == (80, 50, 3)
    blank = np.full((40, 40, 3), 7, np.uint8)
    assert trimmed(blank) is blank


def test_odd_references_do_not_fail():
    for shape in [(1, 1, 3), (1, 900, 3), (700, 3, 3), (2000, 1500, 3)]:
        pixels = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint8)
        for seed in range(6):
            virtual_photo(pixels, np.random.default_rng(seed), others=[pixels])
        mild_view(pixels, np.random.default_rng(0))
