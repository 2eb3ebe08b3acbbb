"""Photos of several sizes."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def files(tmp_path):
    """Twelve photos of four sizes."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(12):
        h, w = [(64, 96), (96, 64), (120, 90), (50, 50)][i % 4]
        path = tmp_path / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)).save(path)
        paths.append(str(path))
    return paths
