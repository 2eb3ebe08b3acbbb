"""A small museum: a few objects, some with several photos."""

import numpy as np
import pytest
from PIL import Image

from reseen.collections import Collection
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
