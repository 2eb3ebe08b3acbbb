"""Re-ranking by geometry: what one plane or one scene explains rises."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from reseen.search.geometry import Geometry, verify
from reseen.search.geometry.probability import log_odds, probability
from reseen.search.ranking import Hit, Match, Ranking
from reseen.search.rerank.base import Evidence, RerankError


@dataclass(frozen=True)
class GeometryStage:
    """``score = similarity + weight * min(ceiling, log(1 + odds))``: likely matches rise, none sinks.

    Verification that finds nothing says little about buildings, so that it costs nothing.

    Args:
        depth: hits that are verified.
        weight: of the log odds beside similarities of -1..1 (``docs/reranking.md`` has others).
        ceiling: of the log odds; beyond it the similarity decides again.
        threads: of matching and sampling.
        settings: of the verification.
    """

    depth: int = 50
    weight: float = 0.1
    ceiling: float = 12.0
    threads: int = 4
    settings: Geometry = field(default_factory=Geometry)
    name: str = "geometry"
    needs: frozenset[str] = frozenset({"features"})

    def __call__(self, ranking: Ranking, evidence: Evidence) -> Ranking:
        """Each verified hit also gets its :class:`Match`: outline, inliers, probability and lines."""
        if evidence.features is None or evidence.query_features is None:
            raise RerankError("geometry needs local features; index the photos with `--local sift`")
        top = ranking.hits[: self.depth]
        found = evidence.features([hit.id for hit in top])
        held = [(row, features) for row, features in enumerate(found) if features is not None]
        checked = verify(
            evidence.query_features, [features for _, features in held], self.settings, ranking.box, self.threads
        )
        hits: list[Hit] = list(ranking.hits)
        for (row, _), result in zip(held, checked, strict=True):
            match = Match(
                result.outline,
                result.inliers,
                probability(result),
                tuple(((a, b), (c, d)) for a, b, c, d in result.lines),
            )
            rise = self.weight * min(self.ceiling, _softplus(log_odds(result)))
            hits[row] = replace(hits[row], score=hits[row].score + rise, match=match)
        return ranking.reordered(hits)


def _softplus(x: float) -> float:
    return x if x > 30 else math.log1p(math.exp(x))
