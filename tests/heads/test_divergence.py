from __future__ import annotations

import numpy as np
import pytest

from reseen.errors import TrainingError
from reseen.heads.divergence import kl_weights


def test_two_bins_by_hand():
    matching = np.array([[0.2], [0.3], [0.4], [1.5]])
    other = np.array([[1.2], [1.7], [0.1], [2.0]])
    p, q = np.array([4, 2]) / 6, np.array([2, 4]) / 6
    assert kl_weights(matching, other, bins=2).tolist() == pytest.approx([(p * np.log(p / q)).sum()])


def test_the_divergence_is_from_matching_to_other_pairs():
    """KL is not symmetric: the matching pairs' density weighs the logarithms."""
    matching = np.array([[0.2]] * 3 + [[1.5]])
    other = np.array([[0.1], [1.7]])
    p, q = np.array([4, 2]) / 6, np.array([2, 2]) / 4
    assert kl_weights(matching, other, bins=2).tolist() == pytest.approx([(p * np.log(p / q)).sum()])
    assert (p * np.log(p / q)).sum() != pytest.approx((q * np.log(q / p)).sum(), rel=0.02)


def test_regions_that_separate_better_weigh_more_and_equal_ones_nothing():
    random = np.random.default_rng(0)
    matching = random.normal([0.6, 0.9, 1.2], 0.1, (500, 3))
    other = random.normal(1.2, 0.1, (500, 3))
    weights = kl_weights(matching, other)
    assert weights[0] > weights[1] > weights[2]
    assert weights[2] < 0.1
    assert kl_weights(other, other).tolist() == [0, 0, 0]
    assert np.isfinite(kl_weights(matching - 0.5, other + 0.5)).all()


def test_pairs_are_needed():
    with pytest.raises(TrainingError, match="non-matching"):
        kl_weights(np.zeros((3, 2)), np.zeros((0, 2)))
    with pytest.raises(ValueError, match="shapes"):
        kl_weights(np.zeros((3, 2)), np.zeros((3, 4)))
