"""Leading principal axes of rows too wide for their covariance, by randomised subspace iteration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reseen.projections.moments import Float64, blocks
from reseen.types import Vectors

WIDE = 8192
"""Dimensions above which no covariance is formed: it would take 512 MiB and more."""
SPARE = 16
"""Axes that are sought beyond those that are kept; with :data:`ITERATIONS` they make the kept ones exact enough."""
ITERATIONS = 4


@dataclass(frozen=True)
class Leading:
    """Rows seen, their mean ``(d,)``, ``k`` largest eigenvalues ``(k,)`` of their covariance with axes ``(k, d)``, and
    its trace.
    """

    count: int
    mean: Float64
    values: Float64
    axes: Float64
    variance: float


def leading(X: Vectors, k: int, *, seed: int = 0) -> Leading:
    """The ``k`` leading principal axes of rows ``(n, d)``, which may be memory-mapped.

    Halko, Martinsson and Tropp, 2011, Algorithm 4.4, on the covariance: every pass takes the rows block by block, and
    memory is a few times ``(k, d)``.
    """
    d = X.shape[1]
    count, total, squares = 0, np.zeros(d), 0.0
    pivot: Float64 | None = None
    for block in blocks(X):
        pivot = block.mean(0) if pivot is None else pivot
        centred = block - pivot
        count, total, squares = count + len(block), total + centred.sum(0), squares + float(np.vdot(centred, centred))
    if pivot is None:
        raise ValueError("there are no vectors to learn from")
    mean = pivot + total / count
    variance = squares / count - float(np.vdot(total, total)) / count**2
    width = min(k + SPARE, d)
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, width), np.float32))[0]
    for _ in range(ITERATIONS):
        image = np.zeros_like(basis)
        for block in blocks(X):
            rows = (block - mean).astype(np.float32)
            image += rows.T @ (rows @ basis)
        basis = np.linalg.qr(image)[0]
    small = np.zeros((width, width))
    for block in blocks(X):
        seen = ((block - mean).astype(np.float32) @ basis).astype(np.float64)
        small += seen.T @ seen
    values, turned = np.linalg.eigh(small / count)
    order = np.argsort(-values)[:k]
    return Leading(count, mean, np.maximum(values[order], 0), (basis @ turned[:, order]).T, variance)
