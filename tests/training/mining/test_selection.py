from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from reseen.search.local import RootSift
from reseen.training.mining import selection
from reseen.training.mining.selection import (
    agreeing,
    choose_candidates,
    choose_queries,
    inliers,
    middle_photos,
    near_chosen,
    random_pairs,
    verified,
)


def test_queries_are_a_tenth_of_a_cluster_and_at_most_thirty():
    clusters = np.repeat([0, 1, 2, 3], [100, 900, 5, 1])
    queries = choose_queries(clusters)
    assert np.bincount(clusters[queries], minlength=4).tolist() == [10, 30, 1, 0]
    assert (queries == choose_queries(clusters)).all()


def test_candidates_are_the_used_photos_and_twenty_more_of_each_cluster():
    clusters = np.repeat([0, 1], [100, 15])
    pool = choose_candidates(clusters, np.array([3, 4]))
    assert {3, 4} <= set(pool.tolist())
    assert np.bincount(clusters[pool]).tolist() == [22, 15]


def test_pairs_are_different_and_within_clusters():
    clusters = np.array([5, 6, 5, 5, 7, 6])
    pairs = random_pairs(clusters)
    assert sorted(map(tuple, np.sort(pairs, 1).tolist())) == [(0, 2), (0, 3), (1, 5), (2, 3)]
    assert len(random_pairs(clusters, per_cluster=1)) == 2


def test_the_middle_photo_is_most_like_its_cluster():
    angles = np.radians([0, 10, 50, 90, 0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    assert middle_photos(vectors, np.array([0, 0, 0, 0, 1])).tolist() == [2, 4]


def test_photos_far_from_the_chosen_query_are_dropped():
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0, 1]], np.float32)
    keep = near_chosen(vectors, np.array([0, 0, 0, 1]), np.array([0]), farthest=1.0)
    assert keep.tolist() == [True, True, False, True]
    vectors = np.array([[1, 0], [-1, 0]], np.float32)
    assert near_chosen(vectors, np.array([0, 0]), np.array([0]), farthest=2.0).all()


def test_pairs_with_five_to_thirty_inliers_stay():
    assert verified(np.array([4, 5, 30, 31])).tolist() == [False, True, True, False]


@pytest.mark.parametrize("model", ["affine", "homography"])
@pytest.mark.parametrize(("count", "kept"), [(4, False), (5, True), (30, True), (31, False)])
def test_pairs_of_that_many_agreeing_matches_are_kept_or_not(model, count, kept):
    """The rest of a pair's matches agree with nothing."""
    random = np.random.default_rng(count)
    first = random.uniform(0, 640, (count + 8, 2)).astype(np.float32)
    turn = np.array([[0.9, -0.3], [0.25, 1.1]])
    second = (first @ turn.T + [40, -25]).astype(np.float32)
    second[count:] = random.uniform(0, 640, (8, 2))
    found = agreeing(first, second, model)
    assert found == count
    assert verified(np.array([found])).tolist() == [kept]


@pytest.mark.parametrize(
    ("model", "count", "expected"),
    [
        *(("affine", n, n) for n in (3, 5, 7)),
        *(("homography", n, n) for n in (4, 5, 7)),
        *(("affine", 2, 0), ("homography", 3, 0), ("fundamental", 7, 0), ("fundamental", 8, 8)),
    ],
)
def test_few_matches_of_one_plane_agree_with_the_model_that_so_many_make(model, count, expected):
    first = np.random.default_rng(3).uniform(0, 640, (count, 2)).astype(np.float32)
    second = (first @ np.array([[0.9, 0.25], [-0.3, 1.1]]) + [40, -25]).astype(np.float32)
    assert agreeing(first, second, model) == expected


def test_a_fundamental_matrix_always_has_the_lower_bound():
    random = np.random.default_rng(0)
    first, second = random.uniform(0, 640, (2, 12, 2)).astype(np.float32)
    assert agreeing(first, second, "fundamental") >= 7
    assert agreeing(first, second, "affine") < 5


@pytest.mark.parametrize("model", ["affine", "homography", "fundamental"])
def test_too_few_matches_or_matches_on_a_line_agree_with_nothing(model):
    line = np.stack([np.arange(20), np.zeros(20)], 1).astype(np.float32)
    for places in (line[:0], line[:2]):
        assert agreeing(places, places, model) == 0
    assert 0 <= agreeing(line, line[::-1].copy(), model) <= 20


@pytest.mark.parametrize("outcome", [(None, None), cv2.error("no model")])
def test_where_opencv_finds_no_model_nothing_agrees(monkeypatch, outcome):
    def find(*_):
        if isinstance(outcome, cv2.error):
            raise outcome
        return outcome

    monkeypatch.setattr(cv2, "estimateAffine2D", find)
    places = np.random.default_rng(0).uniform(0, 640, (9, 2)).astype(np.float32)
    assert agreeing(places, places) == 0


def test_re_rankings_geometry_counts_only_where_it_is_asked_for(monkeypatch):
    random = np.random.default_rng(0)
    texture = cv2.GaussianBlur(random.integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    features = dict.fromkeys((0, 1), RootSift().extract(cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)))
    verified = [SimpleNamespace(inliers=-7)]
    monkeypatch.setattr(selection, "verify", lambda query, photos, threads: verified * len(photos))
    assert inliers(np.array([[0, 1]]), features, "geometry").tolist() == [-7]
    assert inliers(np.array([[0, 1]]), features, "affine")[0] > 50


@pytest.mark.parametrize("model", ["affine", "homography", "fundamental", "geometry"])
def test_inliers_tell_a_turned_photo_from_another_one(model):
    random = np.random.default_rng(0)
    texture = cv2.GaussianBlur(random.integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    texture = cv2.normalize(texture, None, 0, 255, cv2.NORM_MINMAX)
    turned = cv2.warpAffine(texture, cv2.getRotationMatrix2D((160, 120), 10, 0.9), (320, 240))
    other = cv2.GaussianBlur(random.integers(0, 255, (240, 320, 3), np.uint8), (0, 0), 3)
    photos = [texture, turned, cv2.normalize(other, None, 0, 255, cv2.NORM_MINMAX), np.zeros((50, 50, 3), np.uint8)]
    features = {number: RootSift().extract(pixels) for number, pixels in enumerate(photos)}
    counts = inliers(np.array([[0, 1], [2, 0], [0, 2], [0, 3], [0, 4], [1, 0]]), features, model)
    assert counts[0] > 50 and counts[5] > 50
    assert max(counts[1:3]) < 15
    assert counts[3:5].tolist() == [0, 0]
