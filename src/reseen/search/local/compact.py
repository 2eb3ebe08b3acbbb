"""RootSIFT in 64 bytes: its first 64 principal components, a byte each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from reseen.types import Vectors

DIM = 64
"""Components that are kept: 95 % of the variance."""
STEP = 1 / 200
"""What one step of a code stands for: 8 bits reach 0.63, components of unit descriptors at most 0.6."""
ZERO = 128
"""The code of 0."""


@dataclass(frozen=True)
class Basis:
    """Where the principal components lie.

    Attributes:
        mean: ``(128,)`` float32 of unit descriptors.
        axes: ``(64, 128)`` float32 orthonormal rows.
    """

    mean: Vectors
    axes: Vectors

    @classmethod
    def learn(cls, descriptors: Vectors) -> Basis:
        """Of unit descriptors ``(n, 128)``."""
        mean = descriptors.mean(0)
        _, directions = np.linalg.eigh(np.cov((descriptors - mean).T))
        return cls(mean.astype(np.float32), np.ascontiguousarray(directions[:, : -DIM - 1 : -1].T, np.float32))

    def compress(self, descriptors: Vectors) -> NDArray[np.uint8]:
        """Codes ``(n, 64)`` of unit descriptors ``(n, 128)``."""
        steps = np.rint((descriptors - self.mean) @ self.axes.T / STEP)
        return np.asarray(np.clip(steps + ZERO, 0, 255), np.uint8)

    def expand(self, codes: NDArray[np.uint8]) -> Vectors:
        """Unit descriptors ``(n, 128)`` float32, as far as codes ``(n, 64)`` remember them."""
        x = (codes.astype(np.float32) - ZERO) * np.float32(STEP) @ self.axes + self.mean
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9), np.float32)


@cache
def shipped_basis() -> Basis:
    """What every ``pca64`` of an extractor's name means: it never changes, as collections hold such codes.

    ``tools/make_sift_basis.py`` learned it.
    """
    return Basis(**load(files("reseen.search.local").joinpath("sift-pca64.safetensors").read_bytes()))
