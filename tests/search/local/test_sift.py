from dataclasses import replace

import numpy as np
import pytest

from reseen.errors import CollectionDamaged, ReseenError
from reseen.search.local import LocalFeatures, RootSift
from reseen.search.local.compact import shipped_basis
from reseen.search.local.sift import mirrored


@pytest.fixture(scope="module")
def noise():
    import cv2

    rough = np.random.default_rng(3).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return cv2.resize(rough, (480, 360), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(("compact", "each", "zero"), [(True, 70, 128), (False, 134, 0)])
def test_bytes_come_back_and_count_70_or_134_a_keypoint(noise, compact, each, zero):
    found = RootSift(limit=200, compact=compact).extract(noise)
    again = LocalFeatures.from_bytes(found.to_bytes())
    assert len(found) == 200
    assert len(found.to_bytes()) == 26 + each * 200
    assert np.array_equal(again.points, found.points)
    assert np.array_equal(again.codes, found.codes)
    assert np.array_equal(again.frames, found.frames)
    assert (again.size, again.scale, again.zero) == ((480, 360), 1.0, zero)


def test_features_without_frames_and_with_signed_codes_come_back():
    features = LocalFeatures(
        np.array([[1, 2]], np.float16), np.array([[128, 255, 0]], np.uint8), (10, 20), 0.5, None, zero=128
    )
    again = LocalFeatures.from_bytes(features.to_bytes())
    assert again.frames is None
    np.testing.assert_allclose(again.vectors(), [[0, 127 / 180.3, -128 / 180.3]], atol=1e-3)


def test_frames_are_directions_and_octaves(noise):
    import cv2

    whole, turned = RootSift().extract(noise), RootSift().extract(cv2.rotate(noise, cv2.ROTATE_90_CLOCKWISE))
    small = RootSift().extract(cv2.resize(noise, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    for other, axis, expected in ((turned, 0, 64), (small, 1, -16)):
        similarity = other.vectors() @ whole.vectors().T
        sure = np.flatnonzero(similarity.max(1) > 0.98)
        change = other.frames[sure].astype(int) - whole.frames[similarity[sure].argmax(1)]
        assert len(sure) > 20
        assert abs(np.median((change[:, axis] + 128) % 256 - 128) - expected) <= 1


@pytest.mark.parametrize(("compact", "alike"), [(True, 0.98), (False, 0.99)])
def test_mirrored_features_are_those_of_the_mirrored_photo(noise, compact, alike):
    sift = RootSift(compact=compact)
    ours, other = mirrored(sift.extract(noise)), sift.extract(noise[:, ::-1])
    similarity = ours.vectors() @ other.vectors().T
    nearest = similarity.argmax(1)
    assert np.median(similarity.max(1)) > alike
    assert np.median(np.abs(ours.points - other.points[nearest])) < 0.2
    apart = ours.frames.astype(int) - other.frames[nearest]
    assert np.median(np.abs((apart[:, 0] + 128) % 256 - 128)) <= 2


def test_only_sift_can_be_mirrored(noise):
    with pytest.raises(ReseenError, match="only SIFT"):
        mirrored(replace(RootSift().extract(noise), frames=None))


def test_cells_spread_keypoints_over_the_photo(noise):
    half = noise.copy()
    half[:, 240:] = 128 + (half[:, 240:].astype(int) - 128) // 3
    strongest, spread = (RootSift(limit=150, contrast=0.005, cell=cell).extract(half) for cell in (0, 40))
    assert len(strongest) == len(spread) == 150
    assert (strongest.pixels()[:, 0] > 240).mean() < 0.1
    assert (spread.pixels()[:, 0] > 240).mean() > 0.3


def test_a_dark_photo_gives_more_keypoints_when_equalised(noise):
    dark = (noise // 16).astype(np.uint8)
    counts = [len(RootSift(equalise=clip, contrast=0.02).extract(dark)) for clip in (0, 4)]
    assert counts[1] > 2 * counts[0]


def test_quantised_descriptors_stay_close_to_rootsift(noise):
    import cv2

    found = RootSift(limit=100, equalise=0, compact=False).extract(noise)
    _, raw = cv2.SIFT.create(contrastThreshold=0.01).detectAndCompute(cv2.cvtColor(noise, cv2.COLOR_RGB2GRAY), None)
    root = np.sqrt(raw / raw.sum(1, keepdims=True))
    nearest = (found.vectors() @ root.T).max(1)
    assert nearest.min() > 0.997
    compact = RootSift(limit=100, equalise=0).extract(noise)
    assert compact.codes.shape == (100, 64)
    assert ((shipped_basis().expand(compact.codes) @ root.T).max(1) > 0.9).all()


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
    assert found.vectors().shape == (0, 64)
    assert len(LocalFeatures.from_bytes(found.to_bytes())) == 0


@pytest.mark.parametrize("cut", [slice(0, 3), slice(0, 40), slice(2, None)])
def test_torn_bytes_are_named(noise, cut):
    with pytest.raises(CollectionDamaged, match="index it again"):
        LocalFeatures.from_bytes(RootSift(limit=10).extract(noise).to_bytes()[cut])
