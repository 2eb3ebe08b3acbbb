"""What is learned from: photo sets of every kind, virtual photos as files."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from reseen.errors import PhotoSetError
from reseen.evaluation.learning_sets import read_learning_set, with_virtual_photos
from reseen.photosets import join


def test_a_set_says_what_it_holds(tmp_path, paint):
    paint(tmp_path / "p" / "a", 3)
    assert read_learning_set(f"folders:{tmp_path / 'p'}").summary == f"folders:{tmp_path.name}/p (3 photos, 3 pairs)"
    assert read_learning_set(f"photos:{tmp_path / 'p'}").summary == f"photos:{tmp_path.name}/p (3 photos, 0 pairs)"


def test_virtual_photos_are_made_once_and_match_a_view_of_their_photo(tmp_path, cache, paint):
    paint(tmp_path / "p", 2, size=(320, 240))
    (tmp_path / "p" / "bad.jpg").write_bytes(b"")
    asked = read_learning_set(f"virtual:{tmp_path / 'p'}")
    found = with_virtual_photos(asked, cache)
    assert found.matching.tolist() == [[0, 1], [2, 3]] and len(found.photos) == 4 and found.name == asked.name
    first = [np.asarray(Image.open(photo)) for photo in found.photos]
    assert first[0].shape == (576, 768, 3) and not np.array_equal(first[0], first[1])
    times = [photo.stat().st_mtime_ns for photo in found.photos]
    (tmp_path / "p" / "0000.png").rename(tmp_path / "p" / "other.png")
    again = with_virtual_photos(read_learning_set(f"virtual:{tmp_path / 'p'}"), cache)
    assert set(again.photos) == set(found.photos)
    assert sorted(photo.stat().st_mtime_ns for photo in again.photos) == sorted(times)


def test_photos_of_classes_may_match_virtual_photos_too(tmp_path, cache, paint):
    paint(tmp_path / "p" / "a", 2)
    found = with_virtual_photos(read_learning_set(f"folders+virtual:{tmp_path / 'p'}"), cache)
    assert found.matching.tolist() == [[2, 3], [4, 5], [0, 1]]
    plain = read_learning_set(f"folders:{tmp_path / 'p'}")
    assert with_virtual_photos(plain, cache) is plain


def test_a_benchmark_gives_its_queries_against_their_positives(gallery):
    found = read_learning_set(gallery(boxes=True))
    assert len(found.photos) == 12 and found.matching.tolist() == [[8, 0], [9, 1], [10, 2], [11, 3]]
    assert found.boxes[:8] == (None,) * 8 and found.boxes[8] == (8, 4, 90, 60)
    # photo i is the query's positive, photo i - 1 is junk: neither counts as not matching
    assert (
        len({found.clusters[i] for i in (7, 8, 0, 9, 1, 10, 2, 11, 3)}) == 1 and found.clusters[5] != found.clusters[0]
    )


def test_sets_are_joined(tmp_path, gallery, paint):
    paint(tmp_path / "p", 3)
    both = join([read_learning_set(f"photos:{tmp_path / 'p'}"), read_learning_set(gallery(boxes=True))])
    assert both.name == f"photos:{tmp_path.name}/p + gallery" and len(both.photos) == len(both.boxes) == 15
    assert both.matching.tolist() == [[11, 3], [12, 4], [13, 5], [14, 6]] and both.boxes[11] == (8, 4, 90, 60)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("photos:{}/nowhere", "no such folder"),
        ("virtual:{}", "no photos to learn from"),
        ("{}/nowhere.json", "no such manifest.*to learn from: photos, folders"),
        ("nonsense:{}", "'nonsense' is not known.*to learn from: photos, folders"),
    ],
)
def test_what_is_not_there_is_said(tmp_path, spec, message):
    with pytest.raises(PhotoSetError, match=message):
        read_learning_set(spec.format(tmp_path))
