from __future__ import annotations

import math

import numpy as np
import pytest

from reseen.errors import BenchmarkError
from reseen.evaluation.measures.statistics import interval, paired_difference


def test_interval_has_the_width_of_the_standard_error():
    values = np.random.default_rng(0).random(400)
    low, high = interval(values)
    error = values.std() / 20
    assert low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_truth_as_often_as_they_say():
    random = np.random.default_rng(1)
    inside = 0
    for _ in range(200):
        low, high = interval(random.random(60), samples=1000, seed=int(random.integers(1 << 30)))
        inside += low <= 0.5 <= high
    assert 0.88 <= inside / 200 <= 0.99


def test_queries_without_a_value_are_left_out():
    assert interval(np.array([1.0, np.nan, 1.0])) == (1, 1)
    assert all(math.isnan(v) for v in interval(np.array([np.nan])))


def test_a_small_but_steady_gain_is_found_by_pairing():
    random = np.random.default_rng(2)
    hard = random.random(100)
    found = paired_difference(hard, hard + 0.01 + random.normal(0, 0.01, 100))
    assert found.mean == pytest.approx(0.01, abs=0.004)
    assert found.interval[0] > 0
    assert found.p_value < 0.001
    assert found.better + found.equal + found.worse == 100


def test_no_difference_is_not_called_one():
    values = np.random.default_rng(3).random(50)
    same = paired_difference(values, values)
    assert (same.mean, same.interval, same.p_value, same.equal) == (0, (0, 0), 1, 50)


def test_runs_of_other_queries_are_refused():
    with pytest.raises(BenchmarkError, match="cannot be compared"):
        paired_difference(np.zeros(3), np.zeros(4))
    with pytest.raises(BenchmarkError, match="in common"):
        paired_difference(np.array([np.nan]), np.array([1.0]))
