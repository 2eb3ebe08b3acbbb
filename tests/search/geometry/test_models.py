import numpy as np
import pytest

from reseen.search.geometry import Geometry, Pairs
from reseen.search.geometry.models import fundamental, homography, plausible

FRAME = np.array([[-100.0, -80], [100, -80], [100, 80], [-100, 80]])
QUARTER = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])


@pytest.mark.parametrize(
    ("model", "good"),
    [
        (np.eye(3), True),
        (QUARTER, True),
        (np.diag([-1.0, 1, 1]), False),
        (np.diag([0.01, 0.01, 1]), False),
        (np.array([[1.0, 0, 0], [0, 1, 0], [0.02, 0, 1]]), False),
        (np.full((3, 3), np.nan), False),
    ],
    ids=["same", "turned", "mirror", "tiny", "behind", "nan"],
)
def test_what_no_camera_sees_is_refused(model, good):
    assert plausible(model, FRAME, Geometry()) is good


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_upright_refuses_turned_objects(turns):
    assert plausible(np.eye(3), FRAME, Geometry(upright=True))
    assert not plausible(np.linalg.matrix_power(QUARTER, turns), FRAME, Geometry(upright=True))


def pairs_of(q, p):
    rows = np.arange(len(q))
    return Pairs(rows, rows, np.eye(len(p), len(q), dtype=np.float32), np.ones(len(q), np.float32))


def test_the_guided_pass_finds_the_matches_that_the_ratio_test_refused():
    rng = np.random.default_rng(0)
    q = rng.uniform(-90, 90, (60, 2))
    p = q * 1.2 + 5
    pairs = pairs_of(q, p)
    few = np.arange(12)
    found = homography(q, p, pairs, few, FRAME, Geometry())
    assert len(found.query) == 60
    assert len(homography(q, p, pairs, few, FRAME, Geometry(guided=0)).query) == 12
    np.testing.assert_allclose(found.matrix / found.matrix[2, 2], [[1.2, 0, 5], [0, 1.2, 5], [0, 0, 1]], atol=1e-6)


@pytest.mark.parametrize("points", ["line", "place"])
def test_degenerate_places_give_no_model(points):
    q = np.stack([np.linspace(-90, 90, 20), np.zeros(20)], 1) if points == "line" else np.zeros((20, 2))
    assert homography(q, q, pairs_of(q, q), np.arange(20), FRAME, Geometry()) is None
    fundamental(q, q, pairs_of(q, q), np.arange(20), Geometry())


def test_two_depths_are_a_scene_and_no_plane():
    rng = np.random.default_rng(2)
    q = rng.uniform(-90, 90, (80, 2))
    depth = rng.uniform(0, 60, 80)
    p = q + np.stack([depth, np.zeros(80)], 1)
    found = fundamental(q, p, pairs_of(q, p), np.arange(80), Geometry())
    assert len(found.query) == 80
    plane = homography(q, p, pairs_of(q, p), np.arange(80), FRAME, Geometry(guided=0))
    assert plane is None or len(plane.query) < 40
