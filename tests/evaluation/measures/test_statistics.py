from __future__ import annotations

import math

import numpy as np
import pytest

from reseen.errors import BenchmarkError
from reseen.evaluation.measures.statistics import bootstrap_means, interval, paired_difference


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


def test_every_query_is_drawn_as_often_and_blocks_make_no_difference():
    for place in (0, 4):
        values = np.zeros(5)
        values[place] = 1
        assert bootstrap_means(values).mean() == pytest.approx(0.2, abs=0.01)
    assert len(bootstrap_means(np.zeros(1_500_000), samples=5)) == 5  # two at a time


def test_a_difference_has_the_interval_of_its_queries_and_counts_them():
    delta = np.random.default_rng(4).normal(0.02, 0.1, 40)
    delta[:3] = 0
    first = np.full(42, 0.5)
    found = paired_difference(first, first + np.concatenate([delta, [np.nan, np.nan]]), confidence=0.9)
    assert found.interval == pytest.approx(interval(delta, confidence=0.9))
    assert (found.better, found.equal, found.worse) == ((delta > 0).sum(), 3, (delta < 0).sum())
    means = bootstrap_means(delta)
    side = min((means <= 0).sum(), (means >= 0).sum())
    assert found.p_value == pytest.approx(2 * (side + 1) / 10_001)
    one_sided = paired_difference(np.zeros(4), np.ones(4))
    assert one_sided.p_value == pytest.approx(2 / 10_001)
    assert paired_difference(np.ones(4), np.zeros(4)).p_value == one_sided.p_value
