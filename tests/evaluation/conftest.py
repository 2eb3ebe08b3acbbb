"""Small sets: in the layouts in which benchmarks are distributed, and as a manifest that a small network can rank."""

from __future__ import annotations

import json

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
