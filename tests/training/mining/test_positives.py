from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from reseen.errors import RecipeError, TrainingError
from reseen.training.mining.positives import choose_positives, nearest_cameras

CENTRES = np.array([[0, 0, 0], [1, 0, 0], [3, 0, 0], [2, 0, 0], [0.5, 0, 0]], float)
MODELS = np.array([0, 0, 0, 0, 1])
VISIBLE = csr_array(
    np.array(
        [
            [1, 1, 1, 1, 1, 0, 0],
            [1, 0, 0, 0, 0, 1, 1],
            [1, 1, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 1, 1],
            [1, 1, 1, 1, 1, 0, 0],
        ],
        dtype=bool,
    )
)
QUERY = np.array([0])
POOL = [np.array([1, 3, 2])]


def test_the_pool_is_the_nearest_cameras_of_the_same_model():
    assert nearest_cameras(QUERY, CENTRES, MODELS, 2)[0].tolist() == [1, 3]
    assert nearest_cameras(QUERY, CENTRES, MODELS)[0].tolist() == [1, 3, 2]


def test_m1_takes_the_nearest_descriptor():
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.8, 0.6], [1, 0]], np.float32)
    assert choose_positives("m1", QUERY, POOL, vectors=vectors).tolist() == [3]


def test_m2_takes_the_most_shared_points():
    assert choose_positives("m2", QUERY, POOL, visible=VISIBLE).tolist() == [2]
    assert choose_positives("m2", QUERY, [np.array([3])], visible=VISIBLE).tolist() == [-1]


def test_m3_draws_among_those_with_overlap_and_like_scale():
    scales = np.array([1.0, 1.4, 1.4, 1.0, 1.0])
    drawn = {int(choose_positives("m3", QUERY, POOL, visible=VISIBLE, scales=scales, seed=s)[0]) for s in range(20)}
    assert drawn == {1, 2}
    scales[1] = 1.6
    drawn = {int(choose_positives("m3", QUERY, POOL, visible=VISIBLE, scales=scales, seed=s)[0]) for s in range(20)}
    assert drawn == {2}
    assert choose_positives("m3", QUERY, POOL, visible=VISIBLE, scales=scales, overlap=0.7).tolist() == [-1]


def test_what_a_rule_needs_is_said():
    with pytest.raises(TrainingError, match="reconstruction"):
        choose_positives("m3", QUERY, POOL, visible=VISIBLE)
    with pytest.raises(RecipeError, match="m1, m2, m3"):
        choose_positives("m4", QUERY, POOL)  # type: ignore[arg-type]
