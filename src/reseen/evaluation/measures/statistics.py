"""What a mean over queries is worth: bootstrap intervals, and the paired test between two runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reseen.errors import BenchmarkError
from reseen.types import Values


def bootstrap_means(values: Values, samples: int = 10_000, seed: int = 0) -> Values:
    """Means of ``samples`` resamplings of the queries, ``(samples,)``; NaN values are left out."""
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return np.zeros(0)
    random = np.random.default_rng(seed)
    block = max(1, 4_000_000 // len(known))
    means = [
        known[random.integers(0, len(known), (min(block, samples - start), len(known)))].mean(1)
        for start in range(0, samples, block)
    ]
    return np.concatenate(means)


def interval(values: Values, confidence: float = 0.95, samples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over queries; (NaN, NaN) without any."""
    means = bootstrap_means(values, samples, seed)
    if len(means) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


@dataclass(frozen=True)
class Difference:
    """The second run minus the first, over the same queries.

    Attributes:
        mean: difference of the means.
        interval: its bootstrap interval; the runs differ when it excludes 0.
        p_value: two-sided, of the paired bootstrap.
        better, equal, worse: queries on which the second run is so.
    """

    mean: float
    interval: tuple[float, float]
    p_value: float
    better: int
    equal: int
    worse: int


def paired_difference(
    first: Values, second: Values, confidence: float = 0.95, samples: int = 10_000, seed: int = 0
) -> Difference:
    """Paired bootstrap over queries: both runs are resampled together.

    Queries without a value in either run are left out.

    Raises:
        BenchmarkError: the runs have other numbers of queries.
    """
    if first.shape != second.shape:
        raise BenchmarkError(f"runs of {len(first)} and {len(second)} queries cannot be compared")
    delta = second - first
    delta = delta[~np.isnan(delta)]
    if len(delta) == 0:
        raise BenchmarkError("the runs have no scored query in common")
    means = bootstrap_means(delta, samples, seed)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    side = min(int((means <= 0).sum()), int((means >= 0).sum()))
    p = min(1.0, 2 * (side + 1) / (samples + 1))
    better, worse = int((delta > 0).sum()), int((delta < 0).sum())
    return Difference(float(delta.mean()), (float(low), float(high)), p, better, len(delta) - better - worse, worse)
