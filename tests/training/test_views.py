from __future__ import annotations

import numpy as np
import pytest

from reseen.images import Longest
from reseen.photosets import class_folders
from reseen.training.settings import Views
from reseen.training.views import View, ViewReader


@pytest.fixture
def data(classes):
    return class_folders(classes)


def test_photos_keep_their_shape_and_are_never_enlarged(data):
    reader = ViewReader(data, Views(longest=32), Longest(32))
    assert [reader.read(View(i)).shape for i in range(3)] == [(32, 32, 3), (32, 32, 3), (32, 32, 3)]
    reader = ViewReader(data, Views(), Longest(100))
    assert [reader.read(View(i)).shape[:2] for i in range(3)] == [(48, 64), (64, 48), (60, 60)]


def test_the_same_view_is_the_same_pixels_and_draws_differ(data):
    settings = Views(flip=0.5, crop=(0.6, 0.9), light=0.3, virtual=(48, 40))
    one = ViewReader(data, settings, Longest(64), workers=1)
    two = ViewReader(data, settings, Longest(64), workers=3)
    views = [View(i, kind, d) for i in range(4) for kind in ("plain", "augmented", "mild", "virtual") for d in (0, 1)]
    first = list(one.stream(views))
    assert all(np.array_equal(a, b) for a, b in zip(first, two.stream(views), strict=True))
    for a in range(0, len(views), 2):
        same = first[a].shape == first[a + 1].shape and np.array_equal(first[a], first[a + 1])
        assert same == (views[a].kind == "plain")
    assert all(p.shape == (40, 48, 3) for p, v in zip(first, views, strict=True) if v.kind in ("mild", "virtual"))


def test_groups_hold_photos_of_one_size_and_name_their_places(data):
    reader = ViewReader(data, Views(), Longest(64))
    views = [View(i) for i in range(12)]
    seen = {}
    for places, pixels in reader.shapes(views):
        assert len(places) == len(pixels)
        seen |= dict(zip(places, pixels, strict=True))
    assert sorted(seen) == list(range(12))
    for place, pixels in seen.items():
        assert np.array_equal(pixels, reader.read(views[place]))


def test_bad_photos_are_remembered(data):
    data.photos[3].write_text("no photo")
    reader = ViewReader(data, Views(), Longest(64))
    assert reader.read(View(3)) is None
    assert list(reader.rejected) == [3]
    assert [places for places, _ in reader.shapes([View(3)])] == []
