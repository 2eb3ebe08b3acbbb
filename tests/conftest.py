"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def photos() -> Path:
    """The folder of shared development photos: ``RESEEN_PHOTOS``, else ``../shared/data``."""
    folder = Path(os.environ.get("RESEEN_PHOTOS", ROOT.parent / "shared" / "data"))
    if not (folder / "smvs-dvd" / "manifest.json").is_file():
        pytest.skip(f"the shared development photos are not at {folder}; set RESEEN_PHOTOS to run this")
    return folder


@pytest.fixture(scope="session")
def make():
    """Builds a small descriptor, quick on any machine, with other settings when they are given."""
    from reseen.descriptor import Recipe, assemble

    def build(**changes):
        data = {
            "name": "tiny",
            "images": {"longest": 96},
            "backbone": {"name": "timm:resnet10t", "layers": ["layer4"], "weights": "random"},
            "head": {"kind": "rmac"},
        }
        return assemble(Recipe.from_dict({**data, **changes}), {}, engine="torch")

    return build


@pytest.fixture(scope="session")
def paint():
    """Writes distinct photos: ``paint(folder, n, start=0)`` returns their paths."""

    def write(folder, n, start=0, size=(96, 64)):
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for i in range(start, start + n):
            rng = np.random.default_rng(i)
            small = rng.integers(0, 256, (3, 4, 3), np.uint8)
            path = folder / f"{i:04d}.png"
            Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(path)
            paths.append(path)
        return paths

    return write
