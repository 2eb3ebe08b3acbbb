"""The field's measures, from the ranks at which the relevant photos of each query were found.

Everything goes through :class:`Positions`, made from rankings or from scores: junk is removed before
ranks count. Measures return one value per query, float64 ``(q,)``, and NaN for queries without any
relevant photo, which the mean of a benchmark leaves out (:func:`mean`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from reseen.errors import BenchmarkError
from reseen.types import Rows, Values

Ties = Literal["order", "best", "worst"]

MISSING = np.iinfo(np.int64).max
"""Position of a relevant photo that a truncated ranking does not hold."""


@dataclass(frozen=True)
class Positions:
    """Where the relevant photos of each query stand once junk is removed.

    Attributes:
        found: int64 ``(q, most relevant)``, ranks from 0, ascending, filled up with :data:`MISSING`.
        relevant: int64 ``(q,)``, relevant photos of each query, found or not.
        complete: whether the whole database was ranked; measures that need it refuse otherwise.
    """

    found: Rows
    relevant: Rows
    complete: bool = True

    def __len__(self) -> int:
        return len(self.relevant)


def collect(rows: Sequence[Rows], relevant: Sequence[int], *, complete: bool = True) -> Positions:
    """Positions from one array of junk-free ranks per query, in any order."""
    most = max((len(row) for row in rows), default=0)
    found = np.full((len(rows), most), MISSING, np.int64)
    for i, row in enumerate(rows):
        found[i, : len(row)] = np.sort(row)
    return Positions(found, np.asarray(relevant, np.int64).reshape(len(rows)), complete)


def without_junk(relevant: Rows, junk: Rows) -> Rows:
    """Ranks of relevant photos, each moved up by the junk that stands before it."""
    return relevant - np.searchsorted(np.sort(junk), relevant)


def from_rankings(
    rankings: Sequence[ArrayLike],
    positives: Sequence[ArrayLike],
    junk: Sequence[ArrayLike] | None = None,
    *,
    database: int,
) -> Positions:
    """Positions from rankings: one array of database rows per query, best first.

    Args:
        rankings: rows of the database; a ranking shorter than ``database`` is a truncated one.
        positives, junk: rows of the database, per query.
        database: number of photos in the database.

    Raises:
        BenchmarkError: a row occurs twice in a ranking or is not in the database; a photo is relevant and junk.
    """
    rows, counts, complete = [], [], True
    for query, ranking in enumerate(rankings):
        order = np.asarray(ranking, np.int64)
        wanted = np.unique(np.asarray(positives[query], np.int64))
        ignored = np.unique(np.asarray([] if junk is None else junk[query], np.int64))
        check_truth(wanted, ignored, database, f"query {query}")
        rank = np.full(database, MISSING, np.int64)
        if len(order) and (order.min() < 0 or order.max() >= database):
            raise BenchmarkError(f"query {query}: the ranking names rows outside the database of {database}")
        rank[order] = np.arange(len(order))
        if (rank != MISSING).sum() != len(order):
            raise BenchmarkError(f"query {query}: a photo occurs twice in the ranking")
        complete &= len(order) == database
        seen = rank[wanted]
        rows.append(without_junk(seen[seen != MISSING], rank[ignored]))
        counts.append(len(wanted))
    return collect(rows, counts, complete=complete)


def from_scores(
    scores: NDArray[Any],
    positives: Sequence[ArrayLike],
    junk: Sequence[ArrayLike] | None = None,
    *,
    ties: Ties = "order",
) -> Positions:
    """Positions from scores ``(q, n)``, higher is better, without sorting out whole rankings.

    Args:
        scores: one row per query.
        positives, junk: rows of the database, per query.
        ties: equal scores stand in the ``order`` of the database (what a stable sort gives), or relevant
            photos stand ``best`` (first) or ``worst`` (last) among the others of the same score: the bounds of
            what any sort could give.

    Raises:
        BenchmarkError: scores that are NaN; a photo is relevant and junk.
    """
    rows, counts = [], []
    for query, row in enumerate(scores):
        wanted = np.unique(np.asarray(positives[query], np.int64))
        ignored = np.unique(np.asarray([] if junk is None else junk[query], np.int64))
        check_truth(wanted, ignored, len(row), f"query {query}")
        rows.append(junk_free_ranks(row, wanted, ignored, ties))
        counts.append(len(wanted))
    return collect(rows, counts)


def junk_free_ranks(row: NDArray[Any], wanted: Rows, ignored: Rows, ties: Ties = "order") -> Rows:
    """Junk-free ranks of the rows ``wanted`` under the scores ``row (n,)``; see :func:`from_scores`."""
    if ties == "order":
        ranks = ranks_of(row, np.concatenate([wanted, ignored]))
        return without_junk(ranks[: len(wanted)], ranks[len(wanted) :])
    ordered = _sorted(row)
    side: Literal["left", "right"] = "right" if ties == "best" else "left"
    scores = row[wanted]
    above = len(row) - np.searchsorted(ordered, scores, side)
    above -= len(ignored) - np.searchsorted(np.sort(row[ignored]), scores, side)
    # relevant photos of one score stand side by side
    order = np.argsort(-scores, kind="stable")
    mine = scores[order]
    first = np.searchsorted(-mine, -mine, "left")
    found = np.empty(len(wanted), np.int64)
    if ties == "best":
        found[order] = above[order] + np.arange(len(mine)) - first
    else:
        last = np.searchsorted(-mine, -mine, "right")
        found[order] = above[order] - last + np.arange(len(mine))
    return found


def ranks_of(row: NDArray[Any], listed: Rows) -> Rows:
    """Ranks (from 0) of the rows ``listed`` under the scores ``row (n,)``, ties in the order of the database.

    The scores are sorted by value, which is several times faster than sorting out the ranking.
    """
    ordered = _sorted(row)
    scores = row[listed]
    ranks = len(row) - np.searchsorted(ordered, scores, "right")
    equal = np.searchsorted(ordered, scores, "right") - np.searchsorted(ordered, scores, "left")
    for i in np.flatnonzero(equal > 1):
        ranks[i] += np.count_nonzero(row[: listed[i]] == scores[i])
    return np.asarray(ranks, np.int64)


def _sorted(row: NDArray[Any]) -> NDArray[Any]:
    ordered = np.sort(row)
    if len(ordered) and np.isnan(ordered[-1]):
        raise BenchmarkError("scores hold NaN: a vector is not finite")
    return ordered


def check_truth(positives: Rows, junk: Rows, database: int, query: str) -> None:
    """BenchmarkError when ground truth names rows that do not exist, or a photo as relevant and junk."""
    both = np.intersect1d(positives, junk)
    if len(both):
        raise BenchmarkError(f"{query}: photo {int(both[0])} is both positive and junk")
    for rows in (positives, junk):
        if len(rows) and (rows.min() < 0 or rows.max() >= database):
            raise BenchmarkError(f"{query}: the ground truth names photos outside the database of {database}")


# -- measures ----------------------------------------------------------------------------------------


def average_precision(
    positions: Positions, rule: Literal["oxford", "finite"] = "oxford", *, truncated: bool = False
) -> Values:
    """Average precision of each query.

    Args:
        positions: of the whole database.
        rule: ``oxford``, the trapezoids of the Oxford buildings' ``compute_ap``: the j-th relevant photo (from
            0) at rank r adds ``(p0 + p1) / (2 n)`` with ``p0 = j / r`` (1 at r = 0), ``p1 = (j + 1) / (r + 1)``; or
            ``finite``, the finite sum of ``p1 / n``. ``n`` counts all relevant photos, found or not.
        truncated: take truncated rankings too; relevant photos that they do not hold add 0.

    Raises:
        BenchmarkError: truncated rankings, unless they were asked for.
    """
    _complete(positions, truncated, "average precision")
    there = positions.found != MISSING
    r = np.where(there, positions.found, 0).astype(np.float64)
    j = np.arange(r.shape[1], dtype=np.float64)[None]
    after = (j + 1) / (r + 1)
    if rule == "oxford":
        before = np.where(r == 0, 1.0, j / np.maximum(r, 1))
        gains = (before + after) / 2
    else:
        gains = after
    return _rate(np.where(there, gains, 0).sum(1), positions.relevant)


def average_precision_at(positions: Positions, k: int = 100) -> Values:
    """AP@k of Google Landmarks: precision at each relevant photo of the first k, divided by ``min(n, k)``."""
    there = positions.found < k
    r = np.where(there, positions.found, 0)
    gains = np.where(there, (np.arange(r.shape[1]) + 1) / (r + 1), 0).sum(1)
    return _rate(gains, np.minimum(positions.relevant, k))


def precision_at(positions: Positions, k: int, rule: Literal["plain", "revisited"] = "plain") -> Values:
    """Share of relevant photos among the first k.

    ``plain`` divides by k. ``revisited`` (Radenovic et al. 2018, their ``compute_map``) looks at, and divides by,
    ``min(k, rank of the last relevant photo)``: short lists of relevant photos are not punished.
    """
    if rule == "plain":
        return _rate((positions.found < k).sum(1), np.where(positions.relevant > 0, k, 0))
    _complete(positions, False, "precision by the revisited rule")
    last = np.where(positions.found == MISSING, -1, positions.found).max(1, initial=-1) + 1
    depth = np.minimum(last, k)
    return _rate((positions.found < depth[:, None]).sum(1), depth)


def recall_at(positions: Positions, k: int) -> Values:
    """Share of a query's relevant photos that stand among the first k."""
    return _rate((positions.found < k).sum(1), positions.relevant)


def hit_at(positions: Positions, k: int) -> Values:
    """1 when any relevant photo stands among the first k, else 0 (metric learning's "recall@k")."""
    return _rate(np.any(positions.found < k, axis=1), np.minimum(positions.relevant, 1))


def ukb_score(positions: Positions) -> Values:
    """Relevant photos among the first four, 0 to 4; the query is in the database and counts (UKB)."""
    return _rate((positions.found < 4).sum(1), np.minimum(positions.relevant, 1))


def first_rank(positions: Positions) -> Rows:
    """Rank, from 1, of each query's first relevant photo; 0 when none was found."""
    if positions.found.shape[1] == 0:
        return np.zeros(len(positions), np.int64)
    first = positions.found[:, 0]
    return np.where(first == MISSING, 0, np.where(first == MISSING, 0, first) + 1)


def mean(values: Values) -> float:
    """Mean over the queries that have a value; NaN when none has."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _rate(counts: Any, of: Rows) -> Values:
    return np.where(of > 0, counts / np.maximum(of, 1), np.nan).astype(np.float64)


def _complete(positions: Positions, truncated: bool, what: str) -> None:
    if not positions.complete and not truncated:
        raise BenchmarkError(f"{what} needs the whole ranking; this one is truncated (pass truncated=True to accept)")
