from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from reseen.images import load_photo
from reseen.search.geometry import Geometry, verify
from reseen.search.geometry.probability import default_calibration, describe
from reseen.search.local import RootSift

SIFT = RootSift()
SIZE = (480, 360)


def painting(seed):
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 256, (45, 60, 3), dtype=np.uint8)
    return cv2.resize(rough, SIZE, interpolation=cv2.INTER_CUBIC)


def seen(pixels, corners):
    frame = np.float32([[0, 0], [480, 0], [480, 360], [0, 360]])
    view = cv2.getPerspectiveTransform(frame, np.float32(corners))
    return cv2.warpPerspective(pixels, view, (600, 500), borderValue=(120, 120, 120))


def alone(found):
    """Probabilities of pairs of whose similarities nothing is known."""
    seen = describe(found, np.zeros(len(found)), np.eye(len(found), dtype=np.float32))
    return default_calibration().probabilities(seen)


CORNERS = [[60, 70], [470, 40], [520, 420], [90, 440]]


def test_the_outline_is_where_the_object_is():
    match = verify(SIFT.extract(painting(0)), [SIFT.extract(seen(painting(0), CORNERS))])[0]
    assert match.kind == "homography"
    assert match.inliers > 60
    assert np.abs(np.array(match.outline) - CORNERS).max() < 4
    model = np.array(match.model).reshape(3, 3)
    for x, y, u, v in match.lines:
        a, b, c = model @ (x, y, 1)
        assert np.hypot(a / c - u, b / c - v) < 8


def test_a_box_outlines_only_the_box():
    box = (100.0, 80.0, 300.0, 260.0)
    match = verify(SIFT.extract(painting(0)), [SIFT.extract(painting(0))], box=box)[0]
    assert np.abs(np.array(match.outline) - [[100, 80], [300, 80], [300, 260], [100, 260]]).max() < 1.5


def test_other_paintings_do_not_match():
    others = [SIFT.extract(painting(seed)) for seed in range(1, 9)]
    found = verify(SIFT.extract(painting(0)), others)
    assert max(match.inliers for match in found) < 15


def test_the_same_seed_gives_the_same_matches_whatever_the_threads():
    photos = [SIFT.extract(seen(painting(seed), CORNERS)) for seed in range(4)]
    query = SIFT.extract(painting(0))
    assert verify(query, photos, threads=1) == verify(query, photos, threads=4)


def test_empty_photos_and_shortlists():
    blank = SIFT.extract(np.zeros((50, 50, 3), np.uint8))
    query = SIFT.extract(painting(0))
    assert verify(query, []) == []
    assert verify(query, [blank])[0].kind == "none"
    assert verify(blank, [query, blank])[1].inliers == 0


def test_thousands_of_repeated_keypoints_are_no_evidence():
    grid = np.tile(painting(5)[:24, :24], (20, 25, 1))
    other = painting(6)
    other[:, :240] = np.tile(painting(5)[:24, :24], (15, 10, 1))
    found = verify(RootSift(limit=4000).extract(grid), [RootSift(limit=4000).extract(other), SIFT.extract(painting(7))])
    assert max(match.votes for match in found) < 15


def test_two_instances_in_the_photo_are_one_match():
    both = np.concatenate([painting(0), painting(0)], 1)
    match = verify(SIFT.extract(painting(0)), [RootSift(limit=1200).extract(both)])[0]
    assert match.kind == "homography"
    assert match.inliers > 60
    shift = np.array([480, 0])
    assert min(np.abs(np.array(match.outline) - place * shift - CORNER_FRAME).max() for place in (0, 1)) < 4


CORNER_FRAME = [[0, 0], [480, 0], [480, 360], [0, 360]]


@pytest.mark.parametrize("turn", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180])
def test_turned_photos_match(turn):
    match = verify(SIFT.extract(painting(0)), [SIFT.extract(cv2.rotate(painting(0), turn))])[0]
    assert match.kind == "homography"
    assert match.inliers > 100


def test_turned_photos_are_refused_when_upright_is_asked_for():
    photos = [SIFT.extract(painting(0)), SIFT.extract(cv2.rotate(painting(0), cv2.ROTATE_90_CLOCKWISE))]
    found = verify(SIFT.extract(painting(0)), photos, Geometry(upright=True))
    assert [match.kind for match in found] == ["homography", "none"]


@pytest.mark.parametrize("box", [None, (100.0, 80.0, 300.0, 260.0)])
def test_a_mirrored_photo_matches_on_request(box):
    flipped = seen(painting(0), CORNERS)[:, ::-1]
    photo = SIFT.extract(flipped)
    assert verify(SIFT.extract(painting(0)), [photo], box=box)[0].votes < 8
    match = verify(SIFT.extract(painting(0)), [photo], Geometry(mirror=True), box=box)[0]
    assert match.mirrored
    assert match.kind == "homography"
    model = np.array(match.model).reshape(3, 3)
    frame = np.array(CORNER_FRAME if box is None else [box[:2], (box[2], box[1]), box[2:], (box[0], box[3])])
    view = cv2.getPerspectiveTransform(np.float32(CORNER_FRAME), np.float32(CORNERS))
    expected = cv2.perspectiveTransform(np.float64(frame)[None], view)[0]
    expected[:, 0] = 600 - expected[:, 0]
    mapped = cv2.perspectiveTransform(np.float64(frame)[None], model)[0]
    assert np.abs(mapped - expected).max() < 4
    assert np.abs(np.sort(np.array(match.outline), 0) - np.sort(expected, 0)).max() < 4
    for x, y, u, v in match.lines:
        a, b, c = model @ (x, y, 1)
        assert np.hypot(a / c - u, b / c - v) < 8


def test_features_without_frames_match_by_models_alone():
    without = [replace(SIFT.extract(p), frames=None) for p in (painting(0), seen(painting(0), CORNERS), painting(1))]
    same, other = verify(without[0], without[1:])
    assert same.votes == same.inliers > 60
    assert other.votes < 15


def test_features_of_two_extractors_are_not_compared():
    short = replace(SIFT.extract(painting(0)), codes=np.zeros((560, 128), np.uint8))
    with pytest.raises(ValueError, match="two extractors"):
        verify(SIFT.extract(painting(0)), [short])


def test_threads_of_other_libraries_come_back():
    before = cv2.getNumThreads()
    photos = [SIFT.extract(painting(seed)) for seed in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda q: verify(q, photos, threads=2), photos))
    assert cv2.getNumThreads() == before


def test_two_pages_of_one_typeface_are_not_the_same_page():
    def page(seed):
        rng = np.random.default_rng(seed)
        pixels = np.full((480, 640, 3), 235, np.uint8)
        for y in range(30 + seed, 470, 24):
            words = "".join(rng.choice(list("etaoin shrdlu"), 40))
            cv2.putText(pixels, words, (8, y), cv2.FONT_HERSHEY_SIMPLEX, 0.6, (20, 20, 20), 1, cv2.LINE_AA)
        return SIFT.extract(pixels)

    found = verify(page(0), [page(seed) for seed in range(5)])
    likely = alone(found)
    assert likely[0] > 0.99
    assert likely[1:].max() < 0.5


@pytest.mark.photos
def test_phone_photos_of_covers(photos):
    import json

    manifest = json.loads((photos / "smvs-dvd" / "manifest.json").read_text())

    def read(name):
        photo = load_photo(photos / "smvs-dvd" / name, at_least=SIFT.side)
        return SIFT.extract(photo.pixels, photo.size)

    asked = manifest["queries"][:4]
    references = [read(query["positives"][0]) for query in asked]
    for row, query in enumerate(asked):
        likely = alone(verify(read(query["image"]), references)).tolist()
        assert likely[row] > 0.9
        assert sum(likely) - likely[row] < 0.2
