"""Stages by name, and chains of them: ``geometry+superglobal``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reseen.search.ranking import Ranking
from reseen.search.rerank.base import Evidence, RerankError, Stage
from reseen.search.rerank.geometry import GeometryStage
from reseen.search.rerank.localise import LocaliseStage
from reseen.search.rerank.neighbours import DiffusionStage, ReciprocalStage, SuperGlobalStage, VerifiedExpansionStage

STAGES: dict[str, Callable[[], Stage]] = {
    "geometry": GeometryStage,
    "localise": LocaliseStage,
    "superglobal": SuperGlobalStage,
    "diffusion": DiffusionStage,
    "reciprocal": ReciprocalStage,
    "expansion": VerifiedExpansionStage,
}
"""Every stage by its name in ``--rerank``."""


@dataclass(frozen=True)
class Chain:
    """Stages one after another; no stages leave the ranking as it is."""

    stages: tuple[Stage, ...] = ()

    @property
    def name(self) -> str:
        """Such as ``geometry+superglobal``, or ``none``."""
        return "+".join(stage.name for stage in self.stages) or "none"

    @property
    def depth(self) -> int:
        """How many hits the first search has to give."""
        return max((stage.depth for stage in self.stages), default=0)

    @property
    def needs(self) -> frozenset[str]:
        """Evidence that its stages look at: ``features``, ``maps``."""
        return frozenset().union(*(stage.needs for stage in self.stages))

    def __call__(self, ranking: Ranking, evidence: Evidence) -> Ranking:
        """The ranking after the last stage."""
        for stage in self.stages:
            ranking = stage(ranking, evidence)
        return ranking


def parse_chain(text: str, *, features: bool) -> Chain:
    """A chain from ``none``, ``auto``, a stage's name, or names joined with ``+``.

    ``auto`` is ``geometry`` where the photos have local features, else nothing (``docs/reranking.md`` has the
    measurements).

    Args:
        text: of ``--rerank``.
        features: whether the photos that are searched have local features.

    Raises:
        RerankError: a name is not known or comes twice, or ``expansion`` does not follow ``geometry``.
    """
    if text == "auto":
        text = "geometry" if features else "none"
    if text == "none":
        return Chain()
    names = text.split("+")
    for name in names:
        if name not in STAGES:
            raise RerankError(f"re-ranking {name!r} is not known; use none, auto, or {', '.join(STAGES)} joined with +")
    if len(set(names)) != len(names):
        raise RerankError(f"re-ranking {text!r} names a stage twice")
    if "expansion" in names and "geometry" not in names[: names.index("expansion")]:
        raise RerankError("expansion uses verified hits only; put geometry before it: geometry+expansion")
    if "geometry" in names and not features:
        raise RerankError("geometry needs local features; index the photos into a new collection with --local sift")
    return Chain(tuple(STAGES[name]() for name in names))
