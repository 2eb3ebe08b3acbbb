"""A small descriptor that is quick on any machine."""

import numpy as np
import pytest
from PIL import Image

from reseen.descriptor import Recipe, assemble


def recipe(**changes):
    data = {
        "name": "tiny",
        "images": {"longest": 96},
        "backbone": {"name": "timm:resnet10t", "layers": ["layer4"], "weights": "random"},
        "head": {"kind": "rmac"},
    }
    return Recipe.from_dict({**data, **changes})


@pytest.fixture
def make():
    """Builds the small descriptor with other settings."""
    return lambda **changes: assemble(recipe(**changes), {}, engine="torch")


@pytest.fixture
def files(tmp_path):
    """Twelve photos of several sizes."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(12):
        h, w = [(64, 96), (96, 64), (120, 90), (50, 50)][i % 4]
        path = tmp_path / f"{i}.png"
        Image.fromarray(rng.integers(0, 256, (h, w, 3), np.uint8)).resize((w, h)).save(path)
        paths.append(str(path))
    return paths
