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
        found, scores = index.search(query, k)
        expected, values = brute_force(vectors, ids, query, k)
        assert found.shape == scores.shape == (1, min(k, 120))
        assert found[0].tolist() == expected
        np.testing.assert_allclose(scores[0], values, atol=1e-6)


def test_many_queries_find_what_each_finds_alone():
    rng = np.random.default_rng(2)
    vectors = rng.standard_normal((500, 8)).astype(np.float32)
    index = ExactIndex(vectors, np.arange(500) * 3)
    queries = rng.standard_normal((40, 8)).astype(np.float32)
    found, scores = index.search(queries, 20)
    for row, query in enumerate(queries):
        ids, alone = index.search(query, 20)
        assert ids[0].tolist() == found[row].tolist()
        np.testing.assert_allclose(alone[0], scores[row], rtol=1e-5)


def test_a_memory_map_is_searched_where_it_lies(tmp_path, vectors):
    np.save(tmp_path / "v.npy", vectors)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    ids = np.arange(len(vectors))
    np.testing.assert_array_equal(
        ExactIndex(mapped, ids).search(vectors[5], 9)[0], ExactIndex(vectors, ids).search(vectors[5], 9)[0]
    )


def test_nothing_to_search():
    ids, scores = ExactIndex(np.empty((0, 4), np.float32), np.empty(0, np.int64)).search(np.ones((3, 4)), 5)
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


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 1.0])
@pytest.mark.parametrize("as_mask", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_only_allowed_photos_are_found_and_all_of_the_best(vectors, share, as_mask, count):
    rng = np.random.default_rng(4)
    ids = rng.permutation(10_000)[: len(vectors)].astype(np.int64)
    mask = rng.random(len(ids)) < share
    allowed = mask if as_mask else rng.permutation(np.append(ids[mask], 77_777))
    found, scores = ExactIndex(vectors, ids).search(vectors[:count], 10, allowed)
    for row in range(count):
        expected, values = brute_force(vectors[mask], ids[mask], vectors[row], 10)
        assert found[row].tolist() == expected
        np.testing.assert_allclose(scores[row], values, atol=1e-6)


def test_nothing_is_allowed_or_a_mask_of_another_length(vectors):
    index = ExactIndex(vectors, np.arange(len(vectors)))
    assert index.search(vectors[:2], 3, np.zeros(len(vectors), bool))[0].shape == (2, 0)
    assert index.search(vectors[0], 3, np.zeros(0, np.int64))[0].shape == (1, 0)
    with pytest.raises(ValueError, match="does not fit 120 photos"):
        index.search(vectors[0], 3, np.ones(5, bool))


def test_photos_come_and_go_and_the_index_is_kept(vectors, tmp_path):
    index = ExactIndex(vectors[:50], np.arange(50))
    index.add(np.array([7, 50]), vectors[[60, 61]])
    index.remove(np.array([3, 999]))
    index.save(tmp_path / "index")
    again = ExactIndex.open(tmp_path / "index")
    assert isinstance(again.vectors, np.memmap)
    ids = np.array([*(i for i in range(50) if i not in (3, 7)), 7, 50])
    fresh = ExactIndex(vectors[[*ids[:-2], 60, 61]], ids)
    for held in (index, again):
        for query in vectors[::11]:
            np.testing.assert_array_equal(held.search(query, 5)[0], fresh.search(query, 5)[0])
