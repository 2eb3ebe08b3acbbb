"""Stages by name, and chains of them: ``geometry:100:mirror+superglobal``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from reseen.registry import RERANKERS
from reseen.search.ranking import Ranking
from reseen.search.rerank.base import Evidence, RerankError, Stage

AUTO = "geometry+superglobal"
"""What ``auto`` stands for where the photos have local features."""


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
    """A chain from ``none``, ``auto``, a stage, or stages joined with ``+``.

    A stage is its name and, after colons, the number of hits that it looks at, or an option of its own:
    ``geometry:100:mirror`` also finds what a mirror shows, ``geometry:upright`` refuses objects that are turned.
    ``auto`` is :data:`AUTO` where the photos have local features, else nothing (``docs/reranking.md`` has the
    measurements).

    Args:
        text: of ``--rerank``.
        features: whether the photos that are searched have local features.

    Raises:
        RerankError: a name is not known or comes twice, ``expansion`` does not follow ``geometry``, or a stage needs
            local features and there are none.
    """
    if text == "auto":
        text = AUTO if features else "none"
    if text == "none":
        return Chain()
    parts = text.split("+")
    names = [part.split(":")[0] for part in parts]
    for name in names:
        if name not in RERANKERS:
            known = RERANKERS.spelled()
            raise RerankError(f"re-ranking {name!r} is not known; use none, auto, or {known} joined with +")
    if len(set(names)) != len(names):
        raise RerankError(f"re-ranking {text!r} names a stage twice")
    stages = [_stage(part) for part in parts]
    for place, (name, stage) in enumerate(zip(names, stages, strict=True)):
        first = getattr(stage, "follows", None)
        if first is not None and first not in names[:place]:
            raise RerankError(f"{name} uses what {first} finds; put {first} before it: {first}+{name}")
        if "features" in stage.needs and not features:
            raise RerankError(f"{name} needs local features; index the photos into a new collection with --local sift")
    return Chain(tuple(stages))


def _stage(text: str) -> Stage:
    """A stage from its name and options."""
    name, *options = text.split(":")
    stage: Any = RERANKERS.find(name)()
    words: tuple[str, ...] = getattr(stage, "options", ())
    for option in options:
        if option.isdecimal() and int(option) > 0:
            stage = replace(stage, depth=int(option))
        elif option in words:
            stage = stage.with_option(option)
        else:
            allowed = ", ".join(["a number of hits", *words])
            raise RerankError(f"option {option!r} of {name} is not known; use {allowed}")
    return stage  # type: ignore[no-any-return]
