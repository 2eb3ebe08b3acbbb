"""Resize and crop rules, boxes."""

import numpy as np
import pytest

from reseen.errors import PhotoRejected
from reseen.images import Exact, Longest, Shortest, check_box, load_photo, placed, prepare


def ramp(width, height):
    x = np.linspace(0, 255, width)[None, :, None]
    y = np.linspace(0, 255, height)[:, None, None]
    return np.concatenate([x + 0 * y, y + 0 * x, 0 * x + 0 * y], 2).astype(np.uint8)


@pytest.mark.parametrize(
    ("rule", "size", "expected"),
    [
        (Longest(100), (400, 200), (100, 50)),
        (Longest(100), (80, 60), (80, 60)),
        (Exact(1024, 768), (400, 300), (1024, 768)),
        (Exact(1024, 768), (300, 400), (768, 1024)),
        (Exact(1024, 768, by_orientation=False), (300, 400), (1024, 768)),
        (Shortest(100), (150, 200), (100, 133)),
        (Shortest(100), (60, 50), (120, 100)),
        (Shortest(100, aspect=2.0), (50, 500), (32, 200)),  # filled up to 32 columns
    ],
)
def test_rules(rule, size, expected):
    pixels = prepare(load_photo(ramp(*size)), rule)
    assert (pixels.shape[1], pixels.shape[0]) == expected


def test_factor_multiplies_the_resized_sides():
    photo = load_photo(ramp(400, 200))
    assert prepare(photo, Longest(100), factor=0.5).shape[:2] == (32, 50)  # filled up to 32 rows
    assert prepare(photo, Exact(1024, 768), factor=1.25).shape[:2] == (960, 1280)


def test_relative_crop_keeps_the_scale_of_the_photo():
    photo = load_photo(ramp(800, 400))
    crop = prepare(photo, Longest(400), (200, 100, 600, 300), "relative")
    assert crop.shape[:2] == (100, 200)
    np.testing.assert_allclose(crop[50, :, 0], np.linspace(200, 600, 200) / 800 * 255, atol=2)


def test_relative_crop_under_an_exact_size_is_cut_from_the_resized_photo():
    photo = load_photo(ramp(800, 400))
    box = (200, 100, 600, 300)
    for factor in (1, 2):
        crop = prepare(photo, Exact(400, 300), box, "relative", factor)
        assert crop.shape[:2] == (150 * factor, 200 * factor)  # the photo's stretch: 1/2 across, 3/4 down
    assert prepare(photo, Exact(400, 300), (0, 0, 800, 400), "relative").shape[:2] == (300, 400)
    tall = prepare(photo, Exact(400, 300), (0, 0, 100, 400), "relative")
    assert tall.shape[:2] == (300, 50), "the photo decides the orientation, not the box"
    assert prepare(photo, Exact(400, 300), box, "tight").shape[:2] == (300, 400)
    padded = prepare(photo, Exact(400, 300), box, "padded", receptive_field=40)
    assert padded.shape[:2] == (190, 240)  # 20 resized pixels more on each side


def test_a_rule_for_the_shortest_side_brings_every_crop_to_it():
    photo = load_photo(ramp(800, 400))
    for crop in ("relative", "tight"):
        assert prepare(photo, Shortest(50), (200, 100, 600, 300), crop).shape[:2] == (50, 100)


def test_an_unknown_crop_rule_is_refused():
    with pytest.raises(ValueError, match="crop rule 'round'"):
        prepare(load_photo(ramp(80, 40)), Exact(40, 30), (0, 0, 10, 10), "round")


def test_tight_crop_is_resized_as_a_photo_and_never_enlarged():
    photo = load_photo(ramp(800, 400))
    assert prepare(photo, Longest(300), (200, 0, 600, 400), "tight").shape[:2] == (300, 300)
    assert prepare(photo, Longest(600), (200, 0, 600, 400), "tight").shape[:2] == (400, 400)


def test_padded_crop_adds_half_the_receptive_field():
    photo = load_photo(ramp(800, 400))
    crop = prepare(photo, Longest(400), (200, 100, 600, 300), "padded", receptive_field=40)
    assert crop.shape[:2] == (140, 240)  # 20 resized pixels more on each side


def test_boxes_speak_of_the_full_photo_when_it_was_decoded_smaller():
    from reseen.images import Photo

    small = Photo(ramp(200, 100), (800, 400), "small")
    crop = prepare(small, Longest(400), (400, 0, 800, 400), "relative")
    assert crop.shape[:2] == (200, 200)
    assert crop[:, :, 0].min() > 120


def test_boxes_are_clipped_and_refused_when_empty():
    assert check_box((-5, -5.5, 50.5, 900), (100, 80)) == (0, 0, 50.5, 80)
    for box in [(10, 10, 10, 20), (200, 0, 300, 10), (0, 0, float("nan"), 5), (1, 2, 3), (30, 0, 20, 10)]:
        with pytest.raises(PhotoRejected, match="box"):
            check_box(box, (100, 80))


@pytest.mark.parametrize("size", [(1, 1), (1, 20000), (20000, 1)])
def test_slivers_become_inputs_of_at_least_one_cell(size):
    pixels = prepare(load_photo(ramp(*size)), Longest(512))
    assert min(pixels.shape[:2]) == 32 and max(pixels.shape[:2]) <= 512


@pytest.mark.parametrize(
    ("rule", "size", "inside", "whole"),
    [
        (Longest(100), (400, 200), (0, 0, 100, 50), (100, 50)),
        (Longest(100), (400, 40), (0, 11, 100, 21), (100, 32)),
        (Shortest(64, 2.0, noise=True), (400, 40), (0, 25, 128, 38), (128, 64)),
        (Shortest(64, 2.0, noise=True), (40, 400), (25, 0, 38, 128), (64, 128)),
        (Shortest(64, 2.0, noise=True), (120, 80), (0, 0, 96, 64), (96, 64)),
    ],
)
def test_the_place_of_a_photo_in_its_input_is_known(rule, size, inside, whole):
    seen = prepare(load_photo(np.full((size[1], size[0], 3), 200, np.uint8)), rule)
    assert (seen.shape[1], seen.shape[0]) == whole
    assert placed(rule, size) == (inside, whole)
    x0, y0, x1, y1 = inside
    assert (seen[y0:y1, x0:x1] == 200).all()


def test_noise_fills_what_is_beyond_the_aspect_and_nothing_else():
    photo = load_photo(np.full((40, 400, 3), 200, np.uint8))
    rule = Shortest(64, 2.0, noise=True)
    seen = prepare(photo, rule)
    assert seen[:25].std() > 60
    assert seen[38:].std() > 60
    np.testing.assert_array_equal(seen, prepare(photo, rule))
    assert prepare(photo, rule, factor=0.75).shape[:2] == (48, 96)
    assert prepare(photo, rule, (0, 0, 200, 40)).shape[:2] == (64, 128)
