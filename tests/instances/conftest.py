"""A small museum: a few objects, some with several photos."""

import numpy as np
import pytest
from PIL import Image

from reseen.collections import Collection
from reseen.descriptor import Recipe
from reseen.descriptor.recipes import read_recipe
from reseen.scenes import paint as paint_picture


@pytest.fixture(scope="session")
def tiny(make):
    """A descriptor that is quick."""
    return make()


@pytest.fixture
def museum(tmp_path, tiny):
    """Builds a collection: ``museum(objects, photos_each)``; labels are ``work 0``, ``work 1``, ..."""

    def build(objects=6, photos=2, labels=True):
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
        table = read_recipe("museum-lite0").to_dict()
        table["images"] = {"shortest": 64, "aspect": 2.0}
        table["backbone"]["weights"] = "random"
        table["head"] |= {"grid": 2, "dim": 8, "places": 2}
        for name in ("classifier", "fcn", "siamese", "regions"):
            table["training"]["stages"][name] |= {"epochs": 1, "sides": [64], "batch": 2} | stages.get(name, {})
        return Recipe.from_dict(table)

    return build
