"""Several photos of one thing as one question, with examples of what it is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reseen.search import Hit, Ranking
from reseen.types import Values, Vectors

BEST = 0.5
"""Weight of the photo of the question that fits best, beside the mean of all of them."""

Similarities = Callable[[Sequence[int]], Vectors]
"""Similarities ``(n,)`` of photos by id with one photo of a question."""


@dataclass(frozen=True)
class Answer:
    """What several photos find together.

    Attributes:
        ranking: its matches are each hit's surest one with any of the photos.
        each: the same hits with the matches of each photo of the question.
    """

    ranking: Ranking
    each: tuple[Ranking, ...]


def as_one(
    rankings: Sequence[Ranking],
    similarities: Sequence[Similarities],
    against: Sequence[Ranking] = (),
    unlike: Sequence[Similarities] = (),
) -> Answer:
    """One ranking of all hits of several: ``score = (mean + best) / 2`` over the photos of the question.

    Views of a thing from all sides share the mean; the one view that a hit repeats, with its verified geometry, is the
    best. A hit that an example of what is not meant fits better sinks below its score by as much as it fits better.

    Args:
        rankings: of each photo of the question, looked at again.
        similarities: of the same photos, for hits that a ranking does not hold.
        against, unlike: the same of photos of what is not meant.
    """
    found = {hit.id: hit for ranking in rankings for hit in reversed(ranking.hits)}
    ids = sorted(found)
    asked = np.array([_scores(*one, ids) for one in zip(rankings, similarities, strict=True)])
    scores = (1 - BEST) * asked.mean(0) + BEST * asked.max(0)
    if against:
        other = np.array([_scores(*one, ids) for one in zip(against, unlike, strict=True)]).max(0)
        scores = scores - np.maximum(0, other - scores)
    matches = [{hit.id: hit.match for hit in ranking if hit.match is not None} for ranking in rankings]
    hits: list[Hit] = []
    for photo, score in zip(ids, scores.tolist(), strict=True):
        of_photo = [held[photo] for held in matches if photo in held]
        surest = max(of_photo, key=lambda match: match.log_evidence, default=None)
        hits.append(replace(found[photo], score=score, match=surest))
    name = " + ".join(ranking.query for ranking in rankings)
    whole = Ranking(name, None, ()).reordered(hits)
    whole = replace(whole, no_match=not hits)
    each = [
        replace(whole, query=ranking.query, box=ranking.box, hits=tuple(replace(h, match=own.get(h.id)) for h in whole))
        for ranking, own in zip(rankings, matches, strict=True)
    ]
    return Answer(whole, tuple(each))


def _scores(ranking: Ranking, similarities: Similarities, ids: Sequence[int]) -> Values:
    """What a ranking says of photos ``(n,)``; of those it does not hold their similarity, at most its last score."""
    said = {hit.id: hit.score for hit in ranking}
    worst = min(said.values(), default=np.inf)
    missing = [photo for photo in ids if photo not in said]
    rest = dict(zip(missing, np.minimum(similarities(missing), worst).tolist(), strict=True)) if missing else {}
    return np.array([said[photo] if photo in said else rest[photo] for photo in ids])
