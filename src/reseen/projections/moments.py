"""Mean, covariance and scatters of more rows than memory holds, accumulated in float64."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reseen.types import Pairs, Rows, Vectors

Float64 = NDArray[np.float64]
BLOCK = 8192
"""Rows of a block at most."""
BLOCK_BYTES = 32 << 20
"""Bytes of a block in float64 at most, for wide rows."""


@dataclass
class Moments:
    """Count, mean ``(d,)`` and covariance ``(d, d)`` (divided by the count) of the rows seen."""

    count: int
    mean: Float64
    covariance: Float64


def block_rows(width: int) -> int:
    """Rows of a block of ``width`` dimensions."""
    return max(1, min(BLOCK, BLOCK_BYTES // (8 * width)))


def blocks(X: Vectors | Iterable[Vectors]) -> Iterator[Float64]:
    """Rows in float64 blocks of bounded size, small parts of a stream joined.

    ValueError for NaN, for another rank or another width.
    """
    width = None
    held: list[Float64] = []
    for part in [X] if isinstance(X, np.ndarray) else X:
        if part.ndim != 2:
            raise ValueError(f"vectors must be (n, d), not {part.shape}")
        if width is not None and part.shape[1] != width:
            raise ValueError(f"vectors of {part.shape[1]} dimensions among those of {width}")
        width = part.shape[1]
        step = block_rows(width)
        for start in range(0, len(part), step):
            block = part[start : start + step].astype(np.float64)
            if not np.isfinite(block).all():
                raise ValueError("vectors hold NaN or infinite values")
            held.append(block)
            if sum(map(len, held)) >= step:
                yield np.concatenate(held) if len(held) > 1 else block
                held = []
    if held:
        yield np.concatenate(held)


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


def indexable(X: Vectors | Iterable[Vectors]) -> Vectors:
    """Rows that pairs can name: an array as it is, a stream by way of a temporary file that is mapped to memory.

    ValueError for a stream without rows, or of rows of several widths.
    """
    if isinstance(X, np.ndarray):
        if X.ndim != 2:
            raise ValueError(f"vectors must be (n, d), not {X.shape}")
        return X
    with tempfile.TemporaryFile() as file:
        width, count = 0, 0
        for block in blocks(X):
            np.asarray(block, np.float32).tofile(file)
            width, count = block.shape[1], count + len(block)
        if count == 0:
            raise ValueError("there are no vectors to learn from")
        file.flush()
        return np.memmap(file, np.float32, "r", shape=(count, width))


def chosen(X: Vectors, rows: Rows) -> Iterator[Vectors]:
    """``X[rows]``, block by block."""
    step = block_rows(X.shape[1])
    for start in range(0, len(rows), step):
        yield X[rows[start : start + step]]


def pair_scatter(X: Vectors, pairs: Pairs) -> Float64:
    """``(d, d)`` mean of ``(a - b)(a - b)^T`` over the pairs ``(m, 2)`` of rows of ``X``."""
    scatter = np.zeros((X.shape[1], X.shape[1]))
    step = block_rows(X.shape[1])
    for start in range(0, len(pairs), step):
        part = pairs[start : start + step]
        difference = X[part[:, 0]].astype(np.float64) - X[part[:, 1]]
        scatter += difference.T @ difference
    return scatter / len(pairs)


def class_scatter(X: Vectors, rows: Rows, classes: Rows) -> Float64:
    """``(d, d)`` mean of ``(x - c)(x - c)^T`` over ``X[rows]``, c the centre of the row's class ``(n,)``."""
    order = np.argsort(classes, kind="stable")
    rows = rows[order]
    _, starts, counts = np.unique(classes[order], return_index=True, return_counts=True)
    scatter = np.zeros((X.shape[1], X.shape[1]))
    # classes in groups of about one block; one that is larger than a block passes in several
    group = np.cumsum(counts) // BLOCK
    edges = np.flatnonzero(np.diff(group, prepend=-1))
    for first, last in zip(edges, [*edges[1:], len(counts)], strict=True):
        begin, end = starts[first], starts[last - 1] + counts[last - 1]
        if end - begin > 2 * BLOCK:
            for start, count in zip(starts[first:last], counts[first:last], strict=True):
                scatter += count * moments(chosen(X, rows[start : start + count])).covariance
            continue
        x = X[rows[begin:end]].astype(np.float64)
        centres = np.add.reduceat(x, starts[first:last] - begin, axis=0) / counts[first:last, None]
        x -= np.repeat(centres, counts[first:last], axis=0)
        scatter += x.T @ x
    return scatter / len(rows)


def shrink(covariance: Float64, amount: float) -> Float64:
    """``(1 - amount) C + amount * mean variance * I``: eigenvalues drawn towards their mean."""
    _check_shrinkage(amount)
    d = len(covariance)
    shrunk: Float64 = (1 - amount) * covariance + amount * np.trace(covariance) / d * np.eye(d)
    return shrunk


def shrunk_values(values: Float64, amount: float, mean_variance: float) -> Float64:
    """What :func:`shrink` makes of some eigenvalues of a covariance whose mean variance is known."""
    _check_shrinkage(amount)
    return (1 - amount) * values + amount * mean_variance


def _check_shrinkage(amount: float) -> None:
    if not 0 <= amount <= 1:
        raise ValueError(f"shrinkage {amount} is not in 0..1")
