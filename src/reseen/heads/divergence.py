"""How well a region separates matching from non-matching pairs: REMAP's KL-divergence weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from reseen.errors import TrainingError


def kl_weights(
    matching: NDArray[np.floating],
    non_matching: NDArray[np.floating],
    bins: int = 50,
    smoothing: float = 1.0,
) -> NDArray[np.float64]:
    """``KL(Pr(y | matching) || Pr(y | non-matching))`` of every region (REMAP, Section III-B).

    The densities are histograms of Euclidean distances with ``bins`` equal bins over 0..2, the range of
    distances of unit vectors; ``smoothing`` is added to every bin's count, so empty bins stay finite.

    Args:
        matching: ``(m, R)`` distances of m matching pairs in each of R regions.
        non_matching: ``(n, R)`` those of n non-matching pairs.
        bins: number of bins.
        smoothing: added to the count of every bin.

    Returns:
        ``(R,)`` float64, >= 0, in nats.
    """
    if matching.ndim != 2 or non_matching.ndim != 2 or matching.shape[1] != non_matching.shape[1]:
        raise ValueError(f"distances of shapes {matching.shape} and {non_matching.shape} do not belong together")
    if not len(matching) or not len(non_matching):
        raise TrainingError("KL weights need matching and non-matching pairs")
    p, q = (_histograms(d, bins, smoothing) for d in (matching, non_matching))
    divergence: NDArray[np.float64] = (p * np.log(p / q)).sum(1)
    return np.maximum(divergence, 0)


def _histograms(distances: NDArray[np.floating], bins: int, smoothing: float) -> NDArray[np.float64]:
    """Smoothed shares of each bin over 0..2: ``(m, R)`` -> ``(R, bins)``, rows sum to 1."""
    regions = distances.shape[1]
    cell = np.clip((distances * (bins / 2)).astype(np.int64), 0, bins - 1)
    counts = np.bincount((cell + np.arange(regions) * bins).ravel(), minlength=regions * bins)
    shares = counts.reshape(regions, bins) + smoothing
    return np.asarray(shares / shares.sum(1, keepdims=True), dtype=np.float64)
