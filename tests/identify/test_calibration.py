"""Confidence and the no-match threshold."""

import numpy as np
import pytest

from reseen.collections.gallery import Gallery
from reseen.errors import CollectionDamaged, CollectionError
from reseen.identify import Calibration, calibrate
from reseen.identify.calibration import BLOBS, Trials, best_other, learn, leave_one_out, stored, trade_off


def test_best_other():
    scores = np.array([[0.9, 0.5, 0.1], [0.2, 0.2, 0.1]], np.float32)
    np.testing.assert_allclose(best_other(scores), [[0.5, 0.9, 0.9], [0.2, 0.2, 0.2]])
    np.testing.assert_array_equal(best_other(scores[:, :1]), [[0], [0]])
    taken = np.array([[0.9, -np.inf]], np.float32)
    np.testing.assert_allclose(best_other(taken), [[0, 0.9]])


def test_trade_off_counts_both_kinds_of_error():
    confidence = np.array([0.9, 0.8, 0.3, 0.95, 0.6, 0.1])
    unknown = np.array([False, False, False, False, True, True])
    good = np.array([True, False, True, True, False, False])
    curve = {point.threshold: point for point in trade_off(confidence, good, unknown)}
    assert (curve[0.0].false_accepts, curve[0.0].misses) == (1.0, 0.25)  # one is named wrongly
    assert (curve[0.5].false_accepts, curve[0.5].misses) == (0.5, 0.5)
    assert (curve[1.0].false_accepts, curve[1.0].misses) == (0.0, 1.0)
    falling = [point.false_accepts for point in curve.values()]
    assert falling == sorted(falling, reverse=True)


def make_trials(rng, n=400, instances=20):
    """Known photos score about 0.6 on their own instance; unknown ones about 0.3 at best."""
    scores = rng.normal(0.1, 0.08, (n, instances)).astype(np.float32)
    right = rng.integers(0, instances, n)
    scores[np.arange(n), right] = rng.normal(0.6, 0.1, n)
    strange = rng.normal(0.15, 0.08, (n, instances)).astype(np.float32)
    return [Trials(scores, right), Trials(strange, np.full(n, -1))]


def test_confidence_is_learned_and_calibrated():
    gallery = Gallery(tuple("abcdefghijklmnopqrst"), np.eye(20, dtype=np.float32), np.arange(20))
    found = learn(make_trials(np.random.default_rng(0)), gallery, "f")
    assert found.score > 0 and found.margin >= 0 and found.known == found.unknown == 400
    fresh = make_trials(np.random.default_rng(1))
    for trial in fresh:
        given = found.confidence(trial.scores).max(1) >= found.threshold
        assert given.mean() > 0.9 if trial.right[0] >= 0 else given.mean() < 0.1
    at = found.at_threshold
    assert at.false_accepts + at.misses <= min(p.false_accepts + p.misses for p in found.curve) + 1e-9
    strict = learn(make_trials(np.random.default_rng(0)), gallery, "f", false_accepts=0.01)
    assert strict.at_threshold.false_accepts <= 0.01 and strict.threshold >= found.threshold


def test_trials_of_one_kind_are_no_reason_to_fail():
    gallery = Gallery(("only",), np.eye(1, dtype=np.float32), np.zeros(1, np.int64))
    found = learn([Trials(np.array([[0.9]], np.float32), np.array([0]))], gallery, "f")
    assert 0 <= found.threshold <= 1 and np.isfinite(found.confidence(np.array([[0.3]], np.float32))).all()


def test_leave_one_out_leaves_the_photo_itself_out():
    vectors = np.eye(4, dtype=np.float32)
    gallery = Gallery(("a", "b"), vectors, np.array([0, 0, 1, 1]))
    known, unknown = leave_one_out(gallery, 10)
    assert (known.scores < 1).all()  # a photo alone is 1 to itself
    assert sorted(known.right.tolist()) == [0, 0, 1, 1]
    assert np.isneginf(unknown.scores[np.arange(4), known.right]).all() and (unknown.right == -1).all()
    assert list(leave_one_out(Gallery(("a", "b"), vectors[:2], np.array([0, 1])), 10)) == []


def test_it_is_kept_with_the_collection_and_goes_stale(museum):
    collection = museum(5, 2)
    gallery = Gallery.of(collection)
    assert stored(collection, gallery) is None
    seen = []
    found = calibrate(collection, gallery, trials=12, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (18, 18)  # few instances: painted strangers too
    assert stored(collection, gallery) == found
    assert Calibration.from_bytes(found.to_bytes()) == found
    rows = collection.photos()
    collection.remove(*[row.id for row in rows if row.label in ("work 0", "work 1")])
    assert stored(collection, Gallery.of(collection)) is None
    collection.put_blob(BLOBS["neighbours"], b"[]")
    with pytest.raises(CollectionDamaged, match="calibration"):
        stored(collection, gallery)


@pytest.mark.parametrize(("objects", "photos"), [(1, 1), (1, 3), (4, 1)])
def test_one_instance_and_one_photo_each(museum, objects, photos):
    collection = museum(objects, photos)
    found = calibrate(collection, trials=8)
    assert 0 <= found.threshold <= 1 and found.instances == objects and found.unknown > 0


def test_files_that_are_gone_are_said(museum, tmp_path):
    import shutil

    collection = museum(3, 1)
    shutil.rmtree(tmp_path / "photos")
    with pytest.raises(CollectionError, match="nothing to calibrate on"):
        calibrate(collection, trials=8)
