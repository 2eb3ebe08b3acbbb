"""Re-ranking by geometry: what one plane or one scene explains rises."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from reseen.search.geometry import Geometry, verify
from reseen.search.geometry.probability import Calibration, default_calibration
from reseen.search.ranking import Hit, Match, Ranking
from reseen.search.rerank.base import Evidence, RerankError


@dataclass(frozen=True)
class GeometryStage:
    """``score = similarity + weight * min(ceiling, log(1 + evidence))``: likely matches rise, none sinks.

    The evidence is the calibrated ratio of the likelihoods of what was found, among true matches and among others.
    Verification that finds nothing says little about buildings, so that it costs nothing.

    Args:
        depth: hits that are verified.
        weight: of the logarithm beside similarities of -1..1 (``docs/reranking.md`` has others).
        ceiling: of the logarithm; beyond it the similarity decides again.
        threads: of matching and sampling.
        settings: of the verification.
        calibration: of the evidence; the shipped one when None.
    """

    depth: int = 50
    weight: float = 0.1
    ceiling: float = 16.0
    threads: int = 4
    settings: Geometry = field(default_factory=Geometry)
    calibration: Calibration | None = None
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
        calibration = self.calibration or default_calibration()
        hits: list[Hit] = list(ranking.hits)
        for (row, _), result in zip(held, checked, strict=True):
            match = Match(
                result.outline,
                result.inliers,
                calibration.probability(result),
                tuple(((a, b), (c, d)) for a, b, c, d in result.lines),
            )
            rise = self.weight * min(self.ceiling, _softplus(calibration.log_evidence(result)))
            hits[row] = replace(hits[row], score=hits[row].score + rise, match=match)
        return ranking.reordered(hits)


def _softplus(x: float) -> float:
    return x if x > 30 else math.log1p(math.exp(x))
