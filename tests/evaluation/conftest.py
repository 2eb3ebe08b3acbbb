"""Tiny photos for sets in the layouts in which benchmarks are distributed, and a cache of vectors."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from reseen.evaluation import VectorCache


@pytest.fixture
def shoot():
    """Writes one tiny JPEG, different for each path, and returns its path."""

    def write(path, size=(24, 16)):
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(list(path.name.encode()))
        Image.fromarray(rng.integers(0, 256, (size[1] // 8, size[0] // 8, 3), np.uint8)).resize(size).save(path)
        return path

    return write


@pytest.fixture
def cache(tmp_path):
    return VectorCache(tmp_path / "cache")
