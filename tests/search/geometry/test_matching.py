import numpy as np
import pytest

from reseen.search.geometry import match


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def photo():
    return unit(np.random.default_rng(0).normal(size=(30, 16)))


def test_each_feature_finds_itself_under_noise(photo):
    order = np.random.default_rng(1).permutation(30)
    noisy = unit(photo[order] + np.random.default_rng(2).normal(0, 0.05, (30, 16)))
    pairs = match(noisy, photo)
    assert len(pairs) == 30
    assert np.array_equal(order[pairs.query], pairs.photo)
    np.testing.assert_allclose(pairs.similarity, photo @ noisy.T, atol=1e-6)


def test_the_ratio_is_of_distances(photo):
    query = unit(np.array([[1.0, 0, 0], [0.0, 1, 0]]))
    between = unit(np.array([[np.cos(0.6), np.sin(0.6), 0], [0, 0.2, 1]]))
    near, far = np.sqrt(2 - 2 * np.cos(0.6)), np.sqrt(2 - 2 * np.sin(0.6))
    assert len(match(query, between[:2], near / far + 0.01)) > len(match(query, between[:2], near / far - 0.01))


def test_a_repeated_feature_of_the_query_matches_nothing(photo):
    query = np.concatenate([photo[:5], photo[:1], photo[:1]])
    assert 0 not in match(query, photo).photo


def test_an_object_that_the_photo_shows_twice_matches_once_each(photo):
    pairs = match(photo, np.concatenate([photo, photo]))
    assert sorted(pairs.query) == list(range(30))
    assert len(set(pairs.photo)) == 30


@pytest.mark.parametrize(("n", "k"), [(0, 5), (1, 5), (5, 0), (5, 1), (0, 0)])
def test_too_few_features_match_nothing(photo, n, k):
    assert len(match(photo[:n], photo[:k])) == 0
