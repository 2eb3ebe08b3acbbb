"""What a stage of re-ranking is: a ranking in, a new ranking out, with evidence to look things up in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from reseen.encoder import Encoder
from reseen.errors import ReseenError
from reseen.local_features import Extractor, LocalFeatures
from reseen.search.query import Query
from reseen.search.ranking import Hit, Ranking
from reseen.types import FeatureMaps, Vectors


class RerankError(ReseenError):
    """Re-ranking that does not exist, makes no sense, or needs what this search cannot give; the message says which."""


@dataclass(frozen=True)
class Evidence:
    """What stages may look at beside the ranking.

    Attributes:
        query: what was asked.
        vectors: unit vectors ``(n, d)`` of photos by their ids, in that order.
        features: local features of photos by their ids, None for a photo without.
        maps: feature maps of photos by their ids, None where the photo cannot be read again.
        encoder: made the vectors, and gives the query's own vector and maps, and vectors of parts of maps.
        extractor: made the local features, and finds the query's.
        descriptor: the fingerprint of what made the vectors.
        proposed: ids in the order in which they deserve to be verified; that of the ranking when empty.
    """

    query: Query
    vectors: Callable[[Sequence[int]], Vectors]
    features: Callable[[Sequence[int]], list[LocalFeatures | None]] | None = None
    maps: Callable[[Sequence[int]], list[FeatureMaps | None]] | None = None
    encoder: Encoder | None = None
    extractor: Extractor | None = None
    descriptor: str = ""
    proposed: Sequence[int] = ()

    @property
    def vector(self) -> Vectors:
        """The query's unit vector ``(d,)``."""
        return self.query.vector(self.encoder)


class Stage(Protocol):
    """One step of re-ranking. It never changes what it is given; hits beyond its depth keep their scores, or, where the
    query itself changes, are scored by the same query.

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
