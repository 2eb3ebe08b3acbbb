"""Fixtures shared by all tests."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """What is kept between processes stays out of the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESEEN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


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


@pytest.fixture(scope="session")
def tiny(make):
    """A descriptor that is quick."""
    return make()


@pytest.fixture
def museum(tmp_path, tiny):
    """Builds a collection: ``museum(objects, photos_each)``; labels are ``work 0``, ``work 1``, ..."""

    def build(objects=6, photos=2, labels=True):
        from reseen.collections import Collection
        from reseen.scenes import paint as paint_picture

        folder = tmp_path / "photos"
        for i in range(objects):
            pixels = paint_picture(i, longest=160).pixels
            for j in range(photos):
                target = folder / f"work {i}" / f"{i}-{j}.png"
                target.parent.mkdir(parents=True, exist_ok=True)
                cut = pixels[j * 8 :, : pixels.shape[1] - j * 12]
                Image.fromarray(np.ascontiguousarray(cut)).save(target)
        collection = Collection.create(tmp_path / "museum", tiny)
        collection.add(folder, label_from_folder=labels)
        return collection

    return build


@pytest.fixture(scope="session")
def museum_recipe():
    """``museum-lite0`` with random weights, at 64 px, one pass per stage; ``stage={setting: value}`` changes it."""

    def build(**stages):
        from reseen.descriptor import Recipe, read_recipe

        table = read_recipe("museum-lite0").to_dict()
        table["images"] |= {"shortest": 64}
        table["backbone"]["weights"] = "random"
        table["head"] |= {"grid": 2, "dim": 8, "places": 2}
        for name in ("classifier", "fcn", "siamese", "regions"):
            table["training"]["stages"][name] |= {"epochs": 1, "sides": [64], "batch": 2} | stages.get(name, {})
        return Recipe.from_dict(table)

    return build
