"""What a stage of re-ranking is: a ranking in, a new ranking out, with evidence to look things up in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reseen.errors import ReseenError
from reseen.search.local import LocalFeatures
from reseen.search.ranking import Hit, Ranking
from reseen.types import Vectors


class RerankError(ReseenError):
    """Re-ranking that does not exist, makes no sense, or needs what this search cannot give; the message says which."""


@dataclass(frozen=True)
class Evidence:
    """What stages may look at beside the ranking.

    Attributes:
        query: the query's unit vector ``(d,)``.
        vectors: unit vectors ``(n, d)`` of photos by their ids, in that order.
        query_features: local features of the whole query; None when none were extracted.
        features: local features of photos by their ids, None for a photo without.
        query_map, maps: the last feature map ``(C, h, w)`` of the query (cut to its box) and of photos.
        pool: unit vectors ``(n, d)`` of parts ``(x0, y0, x1, y1)`` (cells, exclusive) of one map: the descriptor's
            own head and projection.
    """

    query: Vectors
    vectors: Callable[[Sequence[int]], Vectors]
    query_features: LocalFeatures | None = None
    features: Callable[[Sequence[int]], list[LocalFeatures | None]] | None = None
    query_map: Vectors | None = None
    maps: Callable[[Sequence[int]], list[Vectors | None]] | None = None
    pool: Callable[[Vectors, Sequence[tuple[int, int, int, int]]], Vectors] | None = None


class Stage(Protocol):
    """One step of re-ranking. It never changes what it is given; hits beyond its depth keep their scores.

    A dataclass with a default for every field, whose ``depth`` a user may set. It may have ``options``, words that may
    follow its name, with ``with_option(word)`` that gives a changed stage; and ``follows``, the name of a stage that
    has to come before it.
    """

    @property
    def name(self) -> str:
        """As in ``--rerank``."""

    @property
    def depth(self) -> int:
        """How many hits it looks at."""

    @property
    def needs(self) -> frozenset[str]:
        """Which of ``features`` and ``maps`` the evidence must hold."""

    def __call__(self, ranking: Ranking, evidence: Evidence) -> Ranking:
        """A new ranking of the same photos."""


def rescored(ranking: Ranking, scores: Sequence[float] | Vectors) -> Ranking:
    """New scores for the first ``len(scores)`` hits; the others keep theirs."""
    hits = ranking.hits[: len(scores)]
    changed = [replace(hit, score=float(score)) for hit, score in zip(hits, scores, strict=True)]
    return ranking.reordered([*changed, *ranking.hits[len(changed) :]])


def permuted(ranking: Ranking, preference: Sequence[float] | NDArray[np.float64]) -> Ranking:
    """The first hits in the order of ``preference`` (higher first), under the scores that stood there.

    For stages whose own numbers are not similarities: the scores keep their meaning for what comes after.
    """
    top = ranking.hits[: len(preference)]
    order = np.argsort(-np.asarray(preference, np.float64), kind="stable")
    hits: list[Hit] = [replace(top[old], score=top[new].score) for new, old in enumerate(order)]
    return ranking.reordered([*hits, *ranking.hits[len(top) :]])
