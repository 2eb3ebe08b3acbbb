"""A small world to train on: coloured textures, a tiny network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from reseen.backbones.base import IMAGENET_MEAN, IMAGENET_STD, StepsBackbone
from reseen.descriptor import Descriptor
from reseen.descriptor.recipes import Recipe
from reseen.heads import create_head


def tiny_descriptor(head: dict | None = None, projection: list | None = None, **training) -> Descriptor:
    """A two-layer network under the default backbone's name, which no test loads by it."""
    recipe = Recipe.from_dict(
        {
            "name": "tiny",
            "images": {"longest": 64},
            "backbone": {"name": "tiny", "layers": ["b"]},
            "head": head or {"kind": "gem"},
            "projection": projection or [],
            "training": {
                "lr": 0.02,
                "optimizer": {"kind": "sgd", "momentum": 0.9},
                "epochs": 3,
                "batch": 4,
                "negatives": {"rule": "n2", "count": 2, "every": 8},
                "validation": 0.25,
                "views": {"virtual": [48, 48]},
                **training,
            },
        }
    )
    torch.manual_seed(0)
    steps = {
        "a": torch.nn.Sequential(torch.nn.Conv2d(3, 8, 5, 4), torch.nn.BatchNorm2d(8), torch.nn.ReLU()),
        "b": torch.nn.Sequential(torch.nn.Conv2d(8, 12, 3, 2), torch.nn.ReLU()),
    }
    backbone = StepsBackbone("tiny", steps, ["b"], {"a": False, "b": False}, IMAGENET_MEAN, IMAGENET_STD)
    options = {k: v for k, v in recipe.head.items() if k != "kind"}
    parts = create_head(recipe.head["kind"], backbone.channels, **options)
    from reseen.descriptor.loading import unfitted_projection

    return Descriptor(
        recipe,
        backbone.eval(),
        parts.eval(),
        unfitted_projection(recipe),
        engine="torch",
        precision="float32",
        device="cpu",
    )


@pytest.fixture
def tiny_for():
    return tiny_descriptor


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Eight classes of four photos of different sizes: stripes of a class's colours, with noise."""
    random = np.random.default_rng(0)
    for c in range(8):
        first, second = random.integers(0, 255, (2, 3))
        width = int(random.integers(4, 16))
        for i in range(4):
            size = [(64, 48), (48, 64), (60, 60), (64, 48)][i]
            x = np.arange(size[0]) + random.integers(0, 20)
            row = np.where((x // width % 2)[:, None] == 0, first, second)
            pixels = np.repeat(row[None], size[1], 0) + random.normal(0, 12, (size[1], size[0], 3))
            folder = tmp_path / "classes" / f"c{c}"
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path / "classes"
