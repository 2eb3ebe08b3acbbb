"""Fixtures shared by all tests."""

from __future__ import annotations

import json
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


@pytest.fixture
def gallery(tmp_path, paint):
    """Writes a manifest of painted photos: each query is a darker copy of one of them; returns its path."""

    def write(name="gallery", database=8, queries=4, unmatched=2, boxes=False, start=0):
        folder = tmp_path / name
        photos = paint(folder / "db", database, start)
        (folder / "q").mkdir()
        asked = []
        for i, photo in enumerate(photos[:queries]):
            Image.open(photo).point(lambda value: value * 0.8).save(folder / "q" / photo.name)
            asked.append(
                {
                    "image": f"q/{photo.name}",
                    "box": [8, 4, 90, 60] if boxes else None,
                    "positives": [f"db/{photo.name}"],
                    "junk": [f"db/{photos[i - 1].name}"],
                }
            )
        strangers = paint(folder / "u", unmatched, 900 + start)
        manifest = {
            "name": name,
            "database": [f"db/{photo.name}" for photo in photos],
            "queries": asked,
            "unmatched": [f"u/{photo.name}" for photo in strangers],
        }
        path = folder / "manifest.json"
        path.write_text(json.dumps(manifest))
        return path

    return write
