"""Exact search."""

import numpy as np
import pytest

from reseen.search.index.exact import ExactIndex


def brute_force(vectors, ids, query, k):
    """Every score by itself, sorted by score and then id."""
    scored = sorted((-float(np.float64(v) @ np.float64(query)), int(i)) for v, i in zip(vectors, ids, strict=True))
    return [i for _, i in scored[:k]], [-s for s, _ in scored[:k]]


@pytest.fixture
def vectors():
    """Unit vectors, every third one there twice: equal scores."""
    rows = np.random.default_rng(0).standard_normal((90, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return np.concatenate([rows, rows[::3]])


@pytest.mark.parametrize("k", [1, 7, 119, 120, 1000])
def test_one_query_equals_brute_force_with_equal_scores_by_id(vectors, k):
    ids = np.random.default_rng(1).permutation(10_000)[: len(vectors)].astype(np.int64)
    index = ExactIndex(vectors, ids)
    for query in vectors[::17]:
        scores, found = index.search(query, k)
        expected, values = brute_force(vectors, ids, query, k)
        assert found.shape == scores.shape == (1, min(k, 120))
        assert found[0].tolist() == expected
        np.testing.assert_allclose(scores[0], values, atol=1e-6)


def test_many_queries_find_what_each_finds_alone():
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((500, 8)).astype(np.float32)
    index = ExactIndex(vectors, np.arange(500) * 3)
    queries = rng.standard_normal((40, 8)).astype(np.float32)
    scores, found = index.search(queries, 20)
    for row, query in enumerate(queries):
        alone, ids = index.search(query, 20)
        assert ids[0].tolist() == found[row].tolist()
        np.testing.assert_allclose(alone[0], scores[row], rtol=1e-5)


def test_a_memory_map_is_searched_where_it_lies(tmp_path, vectors):
    np.save(tmp_path / "v.npy", vectors)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    ids = np.arange(len(vectors))
    np.testing.assert_array_equal(
        ExactIndex(mapped, ids).search(vectors[5], 9)[1], ExactIndex(vectors, ids).search(vectors[5], 9)[1]
    )


def test_nothing_to_search():
    scores, ids = ExactIndex(np.empty((0, 4), np.float32), np.empty(0, np.int64)).search(np.ones((3, 4)), 5)
    assert scores.shape == ids.shape == (3, 0)


@pytest.mark.parametrize(
    ("query", "k", "message"),
    [
        (np.ones(16), 0, "k must be 1"),
        (np.ones(15), 1, "15 dimensions, the vectors 16"),
        (np.full(16, np.nan), 1, "NaN"),
    ],
)
def test_bad_queries_are_refused(vectors, query, k, message):
    with pytest.raises(ValueError, match=message):
        ExactIndex(vectors, np.arange(len(vectors))).search(query, k)


def test_vectors_and_ids_must_fit_together(vectors):
    with pytest.raises(ValueError, match="float32"):
        ExactIndex(vectors.astype(np.float64), np.arange(len(vectors)))
    with pytest.raises(ValueError, match="ids must be"):
        ExactIndex(vectors, np.arange(3))
