import cv2
import numpy as np
import pytest

from reseen.search.geometry import Geometry, match_shortlist, verify
from reseen.search.geometry.verify import plausible
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


def test_a_grid_of_equal_cells_is_no_evidence():
    cell = painting(5)[:40, :40]
    grid = np.tile(cell, (9, 12, 1))
    other = painting(6)
    other[:, :200] = grid[:360, :200]
    pairs = match_shortlist(SIFT.extract(grid), [SIFT.extract(other)])[0]
    assert len(np.unique(pairs.query)) == len(pairs.query)
    assert len(np.unique(pairs.photo)) == len(pairs.photo)
    clean = verify(SIFT.extract(painting(0)), [SIFT.extract(seen(painting(0), CORNERS))])[0]
    assert verify(SIFT.extract(grid), [SIFT.extract(other)])[0].inliers < clean.inliers


@pytest.mark.parametrize("turn", [cv2.ROTATE_90_CLOCKWISE, cv2.ROTATE_180])
def test_turned_photos_match(turn):
    match = verify(SIFT.extract(painting(0)), [SIFT.extract(cv2.rotate(painting(0), turn))])[0]
    assert match.kind == "homography"
    assert match.inliers > 100


FRAME = np.array([[-100.0, -80], [100, -80], [100, 80], [-100, 80]])


@pytest.mark.parametrize(
    ("model", "good"),
    [
        (np.eye(3), True),
        (np.diag([-1.0, 1, 1]), False),
        (np.diag([0.01, 0.01, 1]), False),
        (np.array([[1.0, 0, 0], [0, 1, 0], [0.02, 0, 1]]), False),
        (np.full((3, 3), np.nan), False),
    ],
    ids=["same", "mirror", "tiny", "behind", "nan"],
)
def test_what_no_camera_sees_is_refused(model, good):
    assert plausible(model, FRAME, Geometry()) is good


def test_mirrors_are_accepted_on_request():
    assert plausible(np.diag([-1.0, 1, 1]), FRAME, Geometry(mirror=True))
