"""What projections are learned on."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from reseen.errors import BenchmarkError
from reseen.evaluation.learning_sets import joined, read_learning_set


def test_photos_bring_no_pairs(tmp_path, cache, paint):
    paint(tmp_path / "p", 3)
    found = read_learning_set(f"photos:{tmp_path / 'p'}", cache)
    assert len(found.photos) == 3 and found.pairs.shape == (0, 2)
    assert found.summary == f"photos:{tmp_path.name}/p (3 photos, 0 pairs)"


def test_every_two_photos_of_a_class_folder_match(tmp_path, cache, paint):
    paint(tmp_path / "p" / "a" / "deep", 1)
    paint(tmp_path / "p" / "a", 2, start=10)
    paint(tmp_path / "p" / "b", 2, start=20)
    paint(tmp_path / "p", 2, start=30)  # in no class
    found = read_learning_set(f"folders:{tmp_path / 'p'}", cache)
    names = [{found.photos[i].name for i in pair} for pair in found.pairs.tolist()]
    expected = [("0000", "0010"), ("0000", "0011"), ("0010", "0011"), ("0020", "0021")]
    assert sorted(map(sorted, names)) == [[f"{a}.png", f"{b}.png"] for a, b in expected]


def test_virtual_photos_are_made_once_and_match_a_view_of_their_photo(tmp_path, cache, paint):
    paint(tmp_path / "p", 2, size=(320, 240))
    (tmp_path / "p" / "bad.jpg").write_bytes(b"")
    found = read_learning_set(f"virtual:{tmp_path / 'p'}", cache)
    assert found.pairs.tolist() == [[0, 1], [2, 3]] and len(found.photos) == 4
    first = [np.asarray(Image.open(photo)) for photo in found.photos]
    assert max(first[0].shape) <= 768 and not np.array_equal(first[0], first[1])
    times = [photo.stat().st_mtime_ns for photo in found.photos]
    again = read_learning_set(f"virtual:{tmp_path / 'p'}", cache)
    assert again.photos == found.photos and [photo.stat().st_mtime_ns for photo in again.photos] == times


def test_a_benchmark_gives_its_queries_against_their_positives(cache, gallery):
    found = read_learning_set(str(gallery(boxes=True)), cache)
    assert len(found.photos) == 12 and found.pairs.tolist() == [[8, 0], [9, 1], [10, 2], [11, 3]]
    assert found.boxes[:8] == (None,) * 8 and found.boxes[8] == (8, 4, 90, 60)


def test_sets_are_joined_and_nothing_makes_an_empty_one(tmp_path, cache, gallery, paint):
    paint(tmp_path / "p", 3)
    both = joined([read_learning_set(f"photos:{tmp_path / 'p'}", cache), read_learning_set(str(gallery()), cache)])
    assert both.name == f"photos:{tmp_path.name}/p + gallery" and len(both.photos) == len(both.boxes) == 15
    assert both.pairs.tolist() == [[11, 3], [12, 4], [13, 5], [14, 6]]
    assert len(joined([]).photos) == 0 and joined([]).pairs.shape == (0, 2)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("photos:{}/nowhere", "no such folder"),
        ("virtual:{}", "no photos to learn from"),
        ("{}/nowhere.json", "no such manifest.*to learn on: photos:DIR"),
        ("nonsense:{}", "'nonsense' is not known.*to learn on: photos:DIR"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, cache, spec, message):
    with pytest.raises(BenchmarkError, match=message):
        read_learning_set(spec.format(tmp_path), cache)
