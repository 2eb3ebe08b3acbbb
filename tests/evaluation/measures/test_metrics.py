"""Measures: worked by hand, and against a slow independent implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from reseen.errors import BenchmarkError
from reseen.evaluation.measures import metrics
from reseen.evaluation.measures.metrics import from_rankings, from_scores

# -- a slow implementation, straight from the definitions, that shares nothing with the library


def slow_junk_free(ranking, positives, junk):
    kept = [photo for photo in ranking if photo not in junk]
    return [photo in positives for photo in kept]


def slow_oxford(marks, n):
    """The Oxford buildings' compute_ap.cpp, statement by statement."""
    old_recall, old_precision, ap = 0.0, 1.0, 0.0
    found = 0
    for seen, relevant in enumerate(marks, 1):
        found += relevant
        recall, precision = found / n, found / seen
        ap += (recall - old_recall) * ((old_precision + precision) / 2)
        old_recall, old_precision = recall, precision
    return ap


def slow_finite(marks, n):
    return sum(sum(marks[: i + 1]) / (i + 1) for i, relevant in enumerate(marks) if relevant) / n


def slow_revisited(marks, k):
    """compute_map of the revisited benchmark: positions from 1, kq = min(max(pos), k)."""
    places = [i + 1 for i, relevant in enumerate(marks) if relevant]
    depth = min(max(places), k)
    return sum(place <= depth for place in places) / depth


def slow_gld(marks, n, k=100):
    return sum(sum(marks[: i + 1]) / (i + 1) for i, relevant in enumerate(marks[:k]) if relevant) / min(n, k)


@pytest.fixture(scope="module")
def random_queries():
    random = np.random.default_rng(0)
    queries = []
    for _ in range(1000):
        n = int(random.integers(5, 300))
        order = random.permutation(n)
        positives = random.choice(n, int(random.integers(1, max(2, n // 3))), replace=False)
        rest = np.setdiff1d(np.arange(n), positives)
        junk = random.choice(rest, int(random.integers(0, len(rest) // 2 + 1)), replace=False)
        queries.append((n, order, positives, junk))
    return queries


def test_equal_to_the_slow_implementation_on_random_rankings(random_queries):
    for n, order, positives, junk in random_queries:
        marks = slow_junk_free(order.tolist(), set(positives.tolist()), set(junk.tolist()))
        r = len(positives)
        found = from_rankings([order], [positives], [junk], database=n)
        assert abs(metrics.average_precision(found)[0] - slow_oxford(marks, r)) < 1e-12
        assert abs(metrics.average_precision(found, "finite")[0] - slow_finite(marks, r)) < 1e-12
        assert abs(metrics.average_precision_at(found, 100)[0] - slow_gld(marks, r)) < 1e-12
        for k in (1, 5, 10):
            assert abs(metrics.precision_at(found, k)[0] - sum(marks[:k]) / k) < 1e-12
            assert abs(metrics.precision_at(found, k, "revisited")[0] - slow_revisited(marks, k)) < 1e-12
            assert abs(metrics.recall_at(found, k)[0] - sum(marks[:k]) / r) < 1e-12
            assert metrics.hit_at(found, k)[0] == any(marks[:k])


def test_scores_with_ties_rank_as_a_stable_sort_does(random_queries):
    random = np.random.default_rng(1)
    for n, _, positives, junk in random_queries:
        scores = random.integers(0, 12, n).astype(np.float32)
        stable = np.argsort(-scores, kind="stable")
        one = from_scores(scores[None], [positives], [junk])
        other = from_rankings([stable], [positives], [junk], database=n)
        assert np.array_equal(one.found, other.found)
        # the best and the worst that any sort could do, by placing the relevant first or last among equals
        wanted = np.isin(np.arange(n), positives)
        for ties, tiebreak in (("best", ~wanted), ("worst", wanted)):
            bound = from_rankings([np.lexsort((tiebreak, -scores))], [positives], [junk], database=n)
            assert np.array_equal(from_scores(scores[None], [positives], [junk], ties=ties).found, bound.found)


def test_many_queries_at_once_equal_one_by_one(random_queries):
    random = np.random.default_rng(2)
    scores = random.normal(size=(50, 80))
    positives = [random.choice(80, int(random.integers(0, 9)), replace=False) for _ in range(50)]
    junk = [np.setdiff1d(random.choice(80, 10), p) for p in positives]
    together = metrics.average_precision(from_scores(scores, positives, junk))
    alone = [
        metrics.average_precision(from_scores(scores[i : i + 1], positives[i : i + 1], junk[i : i + 1]))[0]
        for i in range(50)
    ]
    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-14)
    assert np.isnan(together).sum() == sum(len(p) == 0 for p in positives) > 0


# -- by hand --------------------------------------------------------------------------------------------


def test_oxford_average_precision_by_hand():
    # ranking: junk, relevant, wrong, relevant; one relevant photo beyond; junk-free ranks 0, 2 and 4 of 3 relevant
    found = from_rankings([[9, 0, 1, 2, 3, 4, 5, 6, 7, 8]], [[0, 2, 4]], [[9]], database=10)
    assert found.found.tolist() == [[0, 2, 4]]
    expected = ((1 + 1) / 2 + (1 / 2 + 2 / 3) / 2 + (2 / 4 + 3 / 5) / 2) / 3
    assert metrics.average_precision(found)[0] == pytest.approx(expected, abs=1e-15)
    assert metrics.average_precision(found, "finite")[0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3, abs=1e-15)


def test_precision_divides_by_the_last_relevant_rank_in_the_revisited_rule():
    found = from_rankings([[0, 5, 1, 2, 3, 4]], [[0, 1]], None, database=6)  # relevant at ranks 1 and 3
    assert metrics.precision_at(found, 10)[0] == pytest.approx(2 / 10)
    assert metrics.precision_at(found, 10, "revisited")[0] == pytest.approx(2 / 3)
    assert metrics.precision_at(found, 1, "revisited")[0] == 1


def test_easy_medium_hard_by_hand():
    easy, hard, junk = [0], [1], [2]
    ranking = [[2, 1, 3, 0, 4]]  # junk, hard, wrong, easy, wrong
    e = from_rankings(ranking, [easy], [hard + junk], database=5)  # wrong, easy
    m = from_rankings(ranking, [easy + hard], [junk], database=5)  # hard, wrong, easy
    h = from_rankings(ranking, [hard], [easy + junk], database=5)  # hard
    assert metrics.average_precision(e)[0] == pytest.approx((0 + 1 / 2) / 2)
    assert metrics.average_precision(m)[0] == pytest.approx((1 + (1 / 2 + 2 / 3) / 2) / 2)
    assert metrics.average_precision(h)[0] == 1


def test_ukb_counts_the_query_among_the_first_four():
    found = from_rankings([[0, 9, 1, 2, 3], [9, 5, 6, 7, 0]], [[0, 1, 2, 3], [0]], None, database=10)
    assert metrics.ukb_score(found).tolist() == [3, 0]


def test_gld_divides_by_at_most_k():
    order = np.arange(300)
    found = from_rankings([order], [np.arange(150)], None, database=300)
    assert metrics.average_precision_at(found, 100)[0] == 1


def test_first_rank_counts_from_one_without_junk():
    found = from_rankings([[3, 0, 1, 2], [0, 1, 2, 3]], [[1], []], [[3], []], database=4)
    assert metrics.first_rank(found).tolist() == [2, 0]


def test_queries_without_relevant_photos_leave_the_mean():
    found = from_rankings([[0, 1], [0, 1]], [[0], []], None, database=2)
    ap = metrics.average_precision(found)
    assert ap[0] == 1 and math.isnan(ap[1])
    assert metrics.mean(ap) == 1
    assert math.isnan(metrics.mean(ap[1:]))


# -- what is refused ------------------------------------------------------------------------------------


def test_truncated_rankings_are_refused_unless_asked_for():
    found = from_rankings([[0, 2]], [[0, 1]], None, database=4)
    with pytest.raises(BenchmarkError, match="truncated"):
        metrics.average_precision(found)
    with pytest.raises(BenchmarkError, match="truncated"):
        metrics.precision_at(found, 5, "revisited")
    assert metrics.average_precision(found, truncated=True)[0] == 0.5  # divided by all relevant, not those found
    assert metrics.precision_at(found, 2)[0] == 0.5


@pytest.mark.parametrize(
    ("positives", "junk", "message"),
    [([0, 1], [1], "both positive and junk"), ([7], [], "outside the database"), ([0], [-1], "outside the database")],
)
def test_truth_that_contradicts_itself_is_refused(positives, junk, message):
    with pytest.raises(BenchmarkError, match=message):
        from_scores(np.zeros((1, 3)), [positives], [junk])
    with pytest.raises(BenchmarkError, match=message):
        from_rankings([[0, 1, 2]], [positives], [junk], database=3)


def test_scores_that_are_not_numbers_are_refused():
    with pytest.raises(BenchmarkError, match="NaN"):
        from_scores(np.array([[0.1, np.nan, 0.3]]), [[0]])


@pytest.mark.parametrize(("ranking", "message"), [([0, 0, 1], "twice"), ([0, 5], "outside")])
def test_impossible_rankings_are_refused(ranking, message):
    with pytest.raises(BenchmarkError, match=message):
        from_rankings([ranking], [[0]], None, database=3)


def test_queries_without_relevant_photos_or_without_any_found_have_their_values():
    """One relevant photo first, one at rank 3, a query without any, and one whose photo the ranking does not hold."""
    rankings, positives = [[0, 1, 2, 3], [1, 2, 3, 0], [0, 1, 2, 3], [0, 1, 2]], [[0], [0], [], [3]]
    found = from_rankings(rankings, positives, database=4)
    nan = float("nan")
    for values, expected in [
        (metrics.precision_at(found, 2), [0.5, 0, nan, 0]),
        (metrics.hit_at(found, 1), [1, 0, nan, 0]),
        (metrics.recall_at(found, 4), [1, 1, nan, 0]),
        (metrics.ukb_score(found), [1, 1, nan, 0]),
        (metrics.first_rank(found), [1, 4, 0, 0]),
        (metrics.average_precision(found, "finite", truncated=True), [1, 0.25, nan, 0]),
    ]:
        np.testing.assert_array_equal(values, expected)
    whole = from_rankings(rankings[:3], positives[:3], database=4)
    np.testing.assert_array_equal(metrics.precision_at(whole, 2, "revisited"), [1, 0, nan])
    nothing = from_rankings(rankings[2:3], [[]], database=4)
    assert np.isnan(metrics.precision_at(nothing, 2, "revisited")).all()
    assert metrics.first_rank(nothing).tolist() == [0] and metrics.collect([], []).found.shape == (0, 0)
    assert metrics.mean(np.array([1.0, nan, 0.0, 0.5])) == 0.5


def test_rows_just_outside_the_database_are_refused():
    for row in (-1, 4):
        with pytest.raises(BenchmarkError, match="outside the database of 4"):
            from_rankings([[0, row]], [[0]], database=4)
        with pytest.raises(BenchmarkError, match="outside the database of 4"):
            from_scores(np.zeros((1, 4)), [[row]])
        with pytest.raises(BenchmarkError, match="outside the database of 4"):
            from_scores(np.zeros((1, 4)), [[0]], [[row, 1]])


def test_relevant_photos_of_one_score_stand_side_by_side_at_either_end_of_their_tie():
    scores = np.array([[0.5, 0.9, 0.5, 0.5, 0.5, 0.1]])
    for ties, expected in (("best", [1, 2]), ("worst", [3, 4]), ("order", [1, 3])):
        assert from_scores(scores, [[0, 3]], ties=ties).found.tolist() == [expected]
    for ties, expected in (("best", [1, 2]), ("worst", [2, 3]), ("order", [1, 2])):
        assert from_scores(scores, [[0, 3]], [[2]], ties=ties).found.tolist() == [expected]
