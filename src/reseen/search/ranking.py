"""What a search returns: read-only, validated values that re-ranking and expansion take and return."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from reseen import schema
from reseen.types import Box, Point


@dataclass(frozen=True, slots=True)
class Match:
    """Why a hit matched, as geometric verification found it.

    Attributes:
        outline: corners of the query's object in the hit, in pixels of the hit's upright photo.
        inliers: number of correspondences that agree with the model.
        probability: calibrated probability of a true match, 0..1, were one photo of fifty right.
        log_evidence: log of how many times more likely true matches look so than others.
        lines: correspondences ``((x, y) in the query, (x, y) in the hit)``.
    """

    outline: tuple[Point, ...] = ()
    inliers: int = 0
    probability: float | None = None
    log_evidence: float = 0.0
    lines: tuple[tuple[Point, Point], ...] = field(default=(), repr=False)

    def to_json(self) -> schema.Match:
        """Plain values; the lines are left to pictures."""
        return {
            "outline": [list(point) for point in self.outline],
            "inliers": self.inliers,
            "probability": self.probability,
        }


@dataclass(frozen=True, slots=True)
class Hit:
    """One photo of a ranking.

    Attributes:
        rank: from 1.
        id: the photo's id in its collection.
        path: display text of its path (or an upload's name); None when it has neither.
        score: similarity, higher is better; the inner product of unit vectors unless a stage changed it.
        label: the photo's label, if it has one.
        match: what geometric verification found, if it ran.
    """

    rank: int
    id: int
    path: str | None
    score: float
    label: str | None = None
    match: Match | None = None

    def to_json(self) -> schema.Hit:
        """The object of the command line: rank, id, path, score, label (and match, when there is one)."""
        values: schema.Hit = {
            "rank": self.rank,
            "id": self.id,
            "path": self.path,
            "score": self.score,
            "label": self.label,
        }
        if self.match is not None:
            values["match"] = self.match.to_json()
        return values


@dataclass(frozen=True, slots=True)
class Ranking:
    """The hits of one query, best first.

    Raises:
        ValueError: ranks are not 1..n, an id occurs twice, or scores are not finite and descending.
    """

    query: str
    box: Box | None
    hits: tuple[Hit, ...]
    no_match: bool = False

    def __post_init__(self) -> None:
        if [hit.rank for hit in self.hits] != list(range(1, len(self.hits) + 1)):
            raise ValueError("the ranks of a ranking must be 1, 2, ..., n")
        if len({hit.id for hit in self.hits}) != len(self.hits):
            raise ValueError("a photo must not occur twice in a ranking")
        if not all(math.isfinite(hit.score) for hit in self.hits):
            raise ValueError("the scores of a ranking must be finite")
        if any(a.score < b.score for a, b in zip(self.hits, self.hits[1:], strict=False)):
            raise ValueError("the scores of a ranking must not rise")

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __getitem__(self, index: int) -> Hit:
        return self.hits[index]

    def reordered(self, hits: Iterable[Hit]) -> Ranking:
        """A new ranking of ``hits`` sorted by score (ties keep their order), ranks counted anew."""
        ordered = sorted(hits, key=lambda hit: -hit.score)
        return replace(self, hits=tuple(replace(hit, rank=rank) for rank, hit in enumerate(ordered, 1)))

    def top(self, k: int) -> Ranking:
        """A new ranking of the first ``k`` hits."""
        return replace(self, hits=self.hits[:k])

    def to_json(self) -> schema.Ranking:
        """The object that ``reseen search --json`` prints, one per query."""
        return {
            "query": self.query,
            "box": list(self.box) if self.box is not None else None,
            "no_match": self.no_match,
            "hits": [hit.to_json() for hit in self.hits],
        }
