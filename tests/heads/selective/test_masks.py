"""Masks on maps worked out by hand, and what is left when there is nothing to choose by."""

import cv2
import numpy as np
import pytest
import torch

from reseen.heads.selective import max_mask, select, sift_mask, sift_points, sum_mask


def literal_max(maps):
    keep = np.zeros(maps.shape[1:], bool)
    for channel in maps:
        if channel.max() > 0:
            keep[np.unravel_index(channel.argmax(), channel.shape)] = True
    return keep


def test_max_and_sum_are_equations_2_and_3():
    maps = torch.randn(3, 7, 5, 6, generator=torch.Generator().manual_seed(0))
    for photo, by_max, by_sum in zip(maps, max_mask(maps), sum_mask(maps), strict=True):
        positive = photo.clamp_min(0).numpy()
        np.testing.assert_array_equal(by_max, literal_max(positive))
        sums = positive.sum(0)
        np.testing.assert_array_equal(by_sum, sums >= np.median(sums))
    kept = sum_mask(maps, signed="keep")[0]
    sums = maps[0].sum(0).numpy()
    np.testing.assert_array_equal(kept, sums >= np.median(sums))


def test_a_channel_that_is_nowhere_positive_counts_when_signs_are_kept():
    maps = torch.tensor([[[[-3.0, -1.0], [-2.0, -4.0]]]])
    assert not max_mask(maps).any()
    assert max_mask(maps, signed="keep")[0].tolist() == [[False, True], [False, False]]


def test_cells_that_are_not_valid_take_no_part():
    maps = torch.tensor([[[[9.0, 1.0, 2.0], [3.0, 4.0, 5.0]]]])
    valid = torch.tensor([[[False, True, True], [True, True, True]]])
    assert max_mask(maps, valid)[0].tolist() == [[False, False, False], [False, False, True]]
    assert sum_mask(maps, valid)[0].tolist() == [[False, False, False], [True, True, True]]


@pytest.mark.parametrize(
    ("x", "y", "row", "column"),
    [(0, 0, 0, 0), (319, 239, 2, 3), (119.5, 119.5, 1, 1), (198, 198, 1, 1), (199, 199, 2, 2), (201, 118, 0, 2)],
)
def test_a_keypoint_at_a_known_place_selects_the_cell_of_equation_1(x, y, row, column):
    """Cells of 80 pixels, both counted from 1: from pixel 200 on, 200 / 80 = 2.5 rounds to the third cell."""
    got = sift_mask([np.array([[x, y]], np.float32)], (3, 4), (240, 320))[0]
    assert got.nonzero().tolist() == [[row, column]]


def test_a_photo_without_keypoints_keeps_every_cell():
    points = [np.array([[99.0, 0.0], [30.0, 60.0]], np.float32), np.empty((0, 2), np.float32)]
    got = sift_mask(points, (2, 3), (100, 100))
    assert got[0].tolist() == [[True, False, True], [False, False, False]]
    assert got[1].all()


def test_keypoints_are_where_the_corners_are():
    pixels = np.full((96, 128, 3), 128, np.uint8)
    cv2.rectangle(pixels, (70, 20), (100, 50), (255, 255, 255), -1)
    points = sift_points(pixels)
    assert len(points) and np.abs(points - (85, 35)).max() < 30
    assert sift_points(np.full((96, 128, 3), 128, np.uint8)).shape == (0, 2)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_constant_map_keeps_something(value):
    maps = torch.full((2, 3, 4, 4), value)
    assert sum_mask(maps).all()
    for keep in (max_mask(maps), sum_mask(maps), None):
        _, valid = select(maps, keep)
        assert valid.any(1).all()


def test_selected_features_keep_their_order_and_say_which_are_padding():
    maps = torch.arange(12.0).view(2, 1, 2, 3)
    keep = torch.tensor([[[False, True, False], [True, False, True]], [[False, False, False], [False, True, False]]])
    x, valid = select(maps, keep)
    assert x[0, :, 0].tolist() == [1, 3, 5] and valid[0].all()
    assert x[1, 0, 0] == 10 and valid[1].tolist() == [True, False, False]
    x, valid = select(maps, torch.zeros_like(keep))
    assert x.shape == (2, 6, 1) and valid.all(), "a photo that keeps none keeps all"
