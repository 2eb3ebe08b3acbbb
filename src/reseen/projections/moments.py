"""Mean and covariance of more rows than memory holds, accumulated in float64."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reseen.projections.base import Vectors

Float64 = NDArray[np.float64]
BLOCK = 8192


@dataclass
class Moments:
    """Count, mean ``(d,)`` and covariance ``(d, d)`` (divided by the count) of the rows seen."""

    count: int
    mean: Float64
    covariance: Float64


def blocks(X: Vectors | Iterable[Vectors]) -> Iterator[Float64]:
    """Rows in float64 blocks of bounded size; ValueError for NaN, for another rank or another width."""
    width = None
    for part in [X] if isinstance(X, np.ndarray) else X:
        if part.ndim != 2:
            raise ValueError(f"vectors must be (n, d), not {part.shape}")
        if width is not None and part.shape[1] != width:
            raise ValueError(f"vectors of {part.shape[1]} dimensions among those of {width}")
        width = part.shape[1]
        for start in range(0, len(part), BLOCK):
            block = part[start : start + BLOCK].astype(np.float64)
            if not np.isfinite(block).all():
                raise ValueError("vectors hold NaN or infinite values")
            yield block


def moments(X: Vectors | Iterable[Vectors]) -> Moments:
    """Mean and covariance of rows, in one pass and flat memory (the first block's mean is the pivot)."""
    count, pivot, total, second = 0, None, None, None
    for block in blocks(X):
        if pivot is None or total is None or second is None:
            pivot = block.mean(0)
            total, second = np.zeros_like(pivot), np.zeros((len(pivot), len(pivot)))
        centred = block - pivot
        count += len(block)
        total += centred.sum(0)
        second += centred.T @ centred
    if pivot is None or total is None or second is None or count == 0:
        raise ValueError("there are no vectors to learn from")
    shift = total / count
    return Moments(count, pivot + shift, second / count - np.outer(shift, shift))


def shrink(covariance: Float64, amount: float) -> Float64:
    """``(1 - amount) C + amount * mean variance * I``: eigenvalues drawn towards their mean."""
    if not 0 <= amount <= 1:
        raise ValueError(f"shrinkage {amount} is not in 0..1")
    d = len(covariance)
    shrunk: Float64 = (1 - amount) * covariance + amount * np.trace(covariance) / d * np.eye(d)
    return shrunk
