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
        probability: that this is the same thing, 0..1, calibrated, by similarity and geometry together.
        log_evidence: log of how many times more often true matches look so than others do, by geometry alone.
        lines: correspondences ``((x, y) in the query, (x, y) in the hit)``.
        kind: of the model that explains them: ``homography``, ``fundamental`` or ``none``.
        verified: geometry alone would convince.
    """

    outline: tuple[Point, ...] = ()
    inliers: int = 0
    probability: float = 0.0
    log_evidence: float = 0.0
    lines: tuple[tuple[Point, Point], ...] = field(default=(), repr=False)
    kind: str = "none"
    verified: bool = False

    @property
    def why(self) -> str:
        """In words."""
        if self.verified:
            return f"{self.inliers} points agree on one {'plane' if self.kind == 'homography' else 'scene'}"
        return "similar look, not verified"

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
        score: what the order follows, higher is better: the similarity, and what stages of re-ranking added.
        label: the photo's label, if it has one.
        match: what geometric verification found, if it ran.
        similarity: cosine of the vectors, -1..1; the score where it is not given.
    """

    rank: int
    id: int
    path: str | None
    score: float
    label: str | None = None
    match: Match | None = None
    similarity: float = math.nan

    def __post_init__(self) -> None:
        if math.isnan(self.similarity):
            object.__setattr__(self, "similarity", self.score)

    @property
    def inliers(self) -> int:
        """Points that agree on one geometry; 0 where none do or none were looked for."""
        return self.match.inliers if self.match is not None else 0

    @property
    def verified(self) -> bool:
        """Geometry alone would convince that this is the same thing."""
        return self.match is not None and self.match.verified

    @property
    def probability(self) -> float | None:
        """That this is the same thing; None where the hit was not verified."""
        return self.match.probability if self.match is not None else None

    @property
    def why(self) -> str:
        """Why it was found, in words."""
        return self.match.why if self.match is not None else "similar look"

    def to_json(self) -> schema.Hit:
        """The object of the command line (with match, when there is one)."""
        values: schema.Hit = {
            "rank": self.rank,
            "id": self.id,
            "path": self.path,
            "score": self.score,
            "label": self.label,
            "similarity": self.similarity,
            "inliers": self.inliers,
            "verified": self.verified,
            "probability": self.probability,
            "why": self.why,
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
