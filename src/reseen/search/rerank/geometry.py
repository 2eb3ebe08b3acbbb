"""Re-ranking by geometry: what one plane or one scene explains rises."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import ClassVar

from reseen.search.geometry import Geometry, Verification, verify
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
    weight: float = 0.05
    ceiling: float = 16.0
    threads: int = 4
    settings: Geometry = field(default_factory=Geometry)
    calibration: Calibration | None = None
    name: str = "geometry"
    needs: frozenset[str] = frozenset({"features"})
    options: ClassVar[tuple[str, ...]] = ("mirror", "upright")

    def with_option(self, option: str) -> GeometryStage:
        """Also with what a mirror shows, or only with what stands upright."""
        return replace(self, settings=replace(self.settings, **{option: True}))

    def __call__(self, ranking: Ranking, evidence: Evidence) -> Ranking:
        """Each verified hit also gets its :class:`Match`: outline, inliers, probability and lines."""
        calibration = self.calibration or default_calibration()
        checked = self.verified(ranking, evidence)
        hits: list[Hit] = list(ranking.hits)
        for row, hit in enumerate(hits):
            found = checked.get(hit.id)
            if found is None:
                continue
            lines = tuple(((a, b), (c, d)) for a, b, c, d in found.lines)
            evidence_for = calibration.log_evidence(found)
            match = Match(found.outline, found.inliers, calibration.probability(found), evidence_for, lines)
            rise = self.weight * min(self.ceiling, _softplus(evidence_for))
            hits[row] = replace(hit, score=hit.score + rise, match=match)
        return ranking.reordered(hits)

    def verified(self, ranking: Ranking, evidence: Evidence) -> dict[int, Verification]:
        """The first hits that have local features, by id, against the query."""
        if evidence.features is None:
            raise RerankError("geometry needs local features; index the photos with `--local sift`")
        query = evidence.query.features(evidence.extractor)
        ids = [hit.id for hit in ranking.hits[: self.depth]]
        held = {
            photo: features for photo, features in zip(ids, evidence.features(ids), strict=True) if features is not None
        }
        found = verify(query, [*held.values()], self.settings, ranking.box, self.threads)
        return dict(zip(held, found, strict=True))


def _softplus(x: float) -> float:
    return x if x > 30 else math.log1p(math.exp(x))
