from __future__ import annotations

import numpy as np
import pytest

from reseen.evaluation.measures.open_set import open_set


def test_separated_scores_are_told_apart():
    found = open_set(np.array([0.8, 0.9]), np.array([True, True]), np.array([0.1, 0.2]))
    assert found.auroc == 1
    assert found.identified_at[0.01] == 1
    assert 0.2 < found.threshold_at[0.01] <= 0.8


def test_by_hand_with_a_wrong_first_hit_and_a_tie():
    # one alarm of four is above 0.5; right hits at 0.9, 0.6 and 0.3, a wrong one at 0.8
    found = open_set(
        np.array([0.9, 0.8, 0.6, 0.3]), np.array([True, False, True, True]), np.array([0.7, 0.3, 0.2, 0.1])
    )
    assert found.auroc == pytest.approx((4 + 4 + 3 + 2.5) / 16)
    assert found.identified_at[0.01] == 0.25  # the threshold must pass 0.7
    curve = {float(t): (a, i) for t, a, i in found.curve}
    assert curve[0.6] == (0.25, 0.5)
    assert curve[0.3] == (0.5, 0.75)


def test_a_rate_that_is_met_exactly_is_allowed():
    matched, unmatched = np.array([0.5, 0.95]), np.concatenate([np.linspace(0, 0.4, 99), [0.9]])
    found = open_set(matched, np.array([True, True]), unmatched)
    assert found.identified_at[0.01] == 1 and found.threshold_at[0.01] == 0.5


def test_where_strangers_score_best_the_threshold_is_their_best_score():
    found = open_set(np.array([0.5]), np.array([True]), np.array([0.6, 0.65, 0.7]))
    assert found.identified_at[0.01] == 0 and found.threshold_at[0.01] == 0.7
    assert found.curve[:, 0].tolist() == [0.7, 0.65, 0.6, 0.5] and found.auroc == 0


def test_the_curve_in_a_report_is_thinned():
    few = open_set(np.linspace(0.1, 0.2, 150), np.ones(150, bool), np.linspace(0.3, 0.4, 150))
    assert few.to_json()["curve"] == few.curve.tolist()
    many = open_set(np.linspace(0.1, 0.2, 1000), np.ones(1000, bool), np.linspace(0.3, 0.4, 1000))
    assert many.to_json()["curve"] == many.curve[::10].tolist()
