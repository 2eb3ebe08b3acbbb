"""Several objects in one photo, each with its box."""

import numpy as np
import pytest

from reseen.identify.objects import find_objects, overlaps, photo_windows
from reseen.search import Query


class Windows:
    """A judge of windows: each instance is sure in one place."""

    def __init__(self, confidence):
        self.confidence = np.asarray(confidence, np.float32)

    def __call__(self, vectors):
        return self.confidence, self.confidence


def test_windows_lie_in_the_photo_and_the_whole_comes_first(tiny, paint, tmp_path):
    (path,) = paint(tmp_path / "p", 1, size=(192, 128))
    boxes, vectors = photo_windows(tiny, Query(path))
    assert boxes[0].tolist() == [0, 0, 192, 128]
    assert (boxes[:, :2] >= 0).all() and (boxes[:, 2] <= 192).all() and (boxes[:, 3] <= 128).all()
    assert len(np.unique(boxes, axis=0)) == len(boxes) == len(vectors)
    whole = tiny.encode([str(path)])[0]
    np.testing.assert_allclose(vectors[0], whole, atol=1e-5)


def test_windows_of_a_box_lie_inside_it(tiny, paint, tmp_path):
    (path,) = paint(tmp_path / "p", 1, size=(192, 128))
    boxes, _ = photo_windows(tiny, Query(path, (40, 20, 140, 110)))
    np.testing.assert_allclose(boxes[0], [40, 20, 140, 110])
    assert (boxes >= [40, 20, 40, 20] - np.float64(1e-6)).all() and (boxes <= [140, 110, 140, 110]).all()


def test_overlaps():
    boxes = np.array([[0, 0, 4, 4], [2, 0, 6, 4], [8, 8, 9, 9]], float)
    np.testing.assert_allclose(overlaps(boxes, boxes[0]), [1, 1 / 3, 0])


def test_each_instance_is_found_where_it_is_surest(tiny, paint, tmp_path):
    (path,) = paint(tmp_path / "p", 1, size=(192, 128))
    boxes, _ = photo_windows(tiny, Query(path))
    left = int(np.argmin(boxes[:, 2] + boxes[:, 3]))
    right = int(np.argmax(boxes[:, 0] + boxes[:, 1]))
    confidence = np.full((len(boxes), 3), 0.1)
    confidence[left, 0], confidence[right, 1], confidence[left, 2] = 0.9, 0.8, 0.7
    found = find_objects(tiny, Query(path), Windows(confidence), threshold=0.5)
    assert [(f.instance, f.box) for f in found] == [(0, tuple(boxes[left])), (1, tuple(boxes[right]))]
    assert [f.confidence for f in found] == pytest.approx([0.9, 0.8])
    assert len(find_objects(tiny, Query(path), Windows(confidence), threshold=0.5, most=1)) == 1
    assert [f.instance for f in find_objects(tiny, Query(path), Windows(confidence), threshold=0.95)] == [0]
    assert len(find_objects(tiny, Query(path), Windows(confidence))) == 1
