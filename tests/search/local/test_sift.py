import numpy as np
import pytest

from reseen.errors import CollectionDamaged
from reseen.search.local import LocalFeatures, RootSift


@pytest.fixture(scope="module")
def noise():
    import cv2

    rough = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return cv2.resize(rough, (480, 360), interpolation=cv2.INTER_CUBIC)


def test_bytes_come_back_and_count_132_a_keypoint(noise):
    found = RootSift(limit=200).extract(noise)
    again = LocalFeatures.from_bytes(found.to_bytes())
    assert len(found) == 200
    assert len(found.to_bytes()) == 24 + 132 * 200
    assert np.array_equal(again.points, found.points)
    assert np.array_equal(again.codes, found.codes)
    assert (again.size, again.scale) == ((480, 360), 1.0)


def test_quantised_descriptors_stay_close_to_rootsift(noise):
    import cv2

    found = RootSift(limit=100).extract(noise)
    _, raw = cv2.SIFT.create(contrastThreshold=0.02).detectAndCompute(cv2.cvtColor(noise, cv2.COLOR_RGB2GRAY), None)
    root = np.sqrt(raw / raw.sum(1, keepdims=True))
    nearest = (found.vectors() @ root.T).max(1)
    assert nearest.min() > 0.997


def test_points_are_in_full_pixels_whatever_the_extraction_size(noise):
    whole = RootSift(limit=50).extract(noise)
    reduced = RootSift(limit=50).extract(noise, size=(960, 720))
    assert np.allclose(reduced.pixels(), 2 * whole.pixels(), atol=0.01)
    assert whole.pixels().min() >= 0
    assert (whole.pixels() <= (480, 360)).all()


def test_a_box_keeps_what_is_inside(noise):
    found = RootSift(limit=300).extract(noise)
    inside = found.inside((100, 50, 300, 200))
    assert 0 < len(inside) < len(found)
    assert (inside.pixels() >= (100, 50)).all()
    assert (inside.pixels() <= (300, 200)).all()


@pytest.mark.parametrize("shape", [(1, 1), (200, 300), (1, 4000)])
def test_blank_photos_have_no_features(shape):
    found = RootSift().extract(np.full((*shape, 3), 128, np.uint8))
    assert len(found) == 0
    assert found.vectors().shape == (0, 128)
    assert len(LocalFeatures.from_bytes(found.to_bytes())) == 0


@pytest.mark.parametrize("cut", [slice(0, 3), slice(0, 40), slice(2, None)])
def test_torn_bytes_are_named(noise, cut):
    with pytest.raises(CollectionDamaged, match="index it again"):
        LocalFeatures.from_bytes(RootSift(limit=10).extract(noise).to_bytes()[cut])
