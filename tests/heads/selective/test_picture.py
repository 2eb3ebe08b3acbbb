"""The picture of the masks."""

import cv2
import numpy as np
import torch

from reseen.heads.selective import mask_picture


def test_five_panels_show_the_photo_where_a_mask_keeps_it():
    pixels = np.full((64, 96, 3), 200, np.uint8)
    cv2.rectangle(pixels, (60, 16), (80, 40), (20, 20, 20), -1)
    maps = torch.zeros(1, 2, 2, 3)
    maps[0, 0, 0, 1], maps[0, 1, 1, 2] = 3.0, 5.0
    picture = mask_picture(pixels, maps, gap=4)
    assert picture.shape == (64, 5 * 96 + 4 * 4, 3) and picture.dtype == np.uint8
    photo, keypoints, sift, by_sum, by_max = (picture[:, i * 100 : i * 100 + 96] for i in range(5))
    assert (picture[:, 96:100] == 255).all()
    np.testing.assert_array_equal(photo, pixels)
    assert (keypoints != pixels).any() and (sift[:, :32] != pixels[:, :32]).all()
    shown = np.zeros((64, 96), bool)
    shown[:32, 32:64] = shown[32:, 64:] = True
    np.testing.assert_array_equal(by_max[shown], pixels[shown])
    np.testing.assert_array_equal(by_max[~shown], pixels[~shown] // 4)
    np.testing.assert_array_equal(by_sum, pixels, "half of the sums are 0: so is their median, and all stay")
