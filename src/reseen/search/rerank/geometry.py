"""Re-ranking by geometry: what one plane or one scene explains rises."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from reseen.search.geometry import Geometry, Verification, verify
from reseen.search.geometry.probability import Calibration, default_calibration, describe
from reseen.search.ranking import Hit, Match, Ranking
from reseen.search.rerank.base import Evidence, RerankError


@dataclass(frozen=True)
class GeometryStage:
    """``score = similarity + a log(1 + strength) + b explained``: what agrees on one geometry rises, none sinks.

    The weights are those that put true matches before others on shortlists of many kinds
    (:mod:`reseen.search.geometry.probability`). Verification that finds nothing says little about buildings and
    things seen from another side, so that it costs nothing; the probability says what it means.

    Args:
        depth: hits that are verified.
        threads: of matching and sampling.
        settings: of the verification.
        calibration: the weights; the shipped ones when None.
    """

    depth: int = 50
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
        """Each hit that was looked at also gets its :class:`Match`: whether and why it is the same thing."""
        calibration = self.calibration or default_calibration()
        checked = self.verified(ranking, evidence)
        if not checked:
            return ranking
        rows = {hit.id: row for row, hit in enumerate(ranking.hits)}
        looked = [rows[photo] for photo in checked]
        vectors = evidence.vectors([*checked])
        seen = describe([*checked.values()], vectors @ evidence.vector, vectors)
        known = evidence.descriptor == calibration.descriptor
        rises, probabilities = calibration.rises(seen), calibration.probabilities(seen, similar=known)
        log_evidence, verified = calibration.log_evidence(seen), calibration.verified(seen)
        hits: list[Hit] = list(ranking.hits)
        for n, (row, found) in enumerate(zip(looked, checked.values(), strict=True)):
            lines = tuple(((a, b), (c, d)) for a, b, c, d in found.lines)
            match = Match(
                found.outline,
                found.inliers,
                float(probabilities[n]),
                float(log_evidence[n]),
                lines,
                kind=found.kind,
                verified=bool(verified[n]) and found.kind != "none",
            )
            hits[row] = replace(hits[row], score=hits[row].score + float(rises[n]), match=match)
        return ranking.reordered(hits)

    def verified(self, ranking: Ranking, evidence: Evidence) -> dict[int, Verification]:
        """The hits that deserve it most and have local features, by id, against the query."""
        if evidence.features is None:
            raise RerankError("geometry needs local features; index the photos with `--local sift`")
        query = evidence.query.features(evidence.extractor)
        ids = [*(evidence.proposed or [hit.id for hit in ranking])][: self.depth]
        held = {
            photo: features for photo, features in zip(ids, evidence.features(ids), strict=True) if features is not None
        }
        found = verify(query, [*held.values()], self.settings, ranking.box, self.threads)
        return dict(zip(held, found, strict=True))
