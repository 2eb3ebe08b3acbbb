"""Which object is this? Photos answered with instances: name, score, confidence, or no match."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from reseen import schema
from reseen.collections import Asked, Collection
from reseen.collections.gallery import Gallery, References
from reseen.errors import PhotoRejected
from reseen.identify.calibration import Calibration, stored
from reseen.identify.classify import By, Classes, shares
from reseen.search import Query, Ranking
from reseen.search.geometry.probability import default_calibration
from reseen.search.ranking import Match
from reseen.types import Box, Vectors

THRESHOLD = 0.5
"""On a search's probability: an answer that is more likely wrong than right is none."""


@dataclass(frozen=True)
class InstanceHit:
    """One instance that a photo may show.

    Attributes:
        rank: from 1.
        instance: its label.
        score: similarity of its most alike reference photo; by the classifier, its share of the softmax, 0..1.
        confidence: probability, 0..1, that the photo shows it: of its photo that convinces most, as a search says it,
            where geometry looked and knows the descriptor; else by the collection's calibration, None without one.
        photos: the reference photos that speak for it, most alike first.
        box: where it is, ``(x0, y0, x1, y1)`` in pixels of the upright photo, when objects were looked for.
        match: what geometric verification found for the photo that convinces most, if it ran.
    """

    rank: int
    instance: str
    score: float
    confidence: float | None
    photos: tuple[str, ...]
    box: Box | None = None
    match: Match | None = None

    @property
    def why(self) -> str:
        """Why it was named, in words."""
        return self.match.why if self.match is not None else "similar look"

    def to_json(self) -> schema.InstanceHit:
        """Plain values."""
        return {
            "rank": self.rank,
            "instance": self.instance,
            "score": self.score,
            "confidence": self.confidence,
            "photos": list(self.photos),
            "box": list(self.box) if self.box is not None else None,
            "inliers": self.match.inliers if self.match is not None else 0,
            "verified": self.match is not None and self.match.verified,
            "why": self.why,
        }


@dataclass(frozen=True)
class Identification:
    """The answer for one photo.

    Attributes:
        query: display text of the photo.
        box: the part of it that was asked about.
        no_match: True when no instance is good enough; ``hits`` then are the nearest, for the curious.
        hits: instances, most alike first; when objects were looked for, the objects that were found.
    """

    query: str
    box: Box | None
    no_match: bool
    hits: tuple[InstanceHit, ...]

    def to_json(self) -> schema.Identification:
        """The object of ``reseen identify --json``."""
        return {
            "query": self.query,
            "box": list(self.box) if self.box is not None else None,
            "no_match": self.no_match,
            "hits": [hit.to_json() for hit in self.hits],
        }


class Identifier:
    """Answers which instances of a collection photos show.

    Args:
        collection: whose labels are the instances (see :meth:`Gallery.of`).
        references: what stands for an instance, see :data:`References`.
        calibration: instead of the stored one, and of what a search says of its hits.
        threshold: on the confidence; by default :data:`THRESHOLD` where a search's probabilities are the confidence,
            else the calibration's, and without one every photo gets an answer. A vector, and objects in a photo, are
            judged by the calibration.
        force: let one file stand under two labels.
        rerank: stages that look again at the photos most alike a whole photo or its box (not at the windows of several
            objects), see ``Collection.search``; ``auto`` is geometry where the collection has local features. None of
            them is for the classifier.
        by: what names instances: ``neighbours``, or the ``classifier`` of a museum descriptor that was trained on them,
            which has a calibration of its own; instances that came after its training are never named.

    Raises:
        CollectionError: no photos, two labels for one file, or ``by`` a classifier that is not there.
    """

    def __init__(
        self,
        collection: Collection,
        *,
        references: References = "photos",
        calibration: Calibration | None = None,
        threshold: float | None = None,
        force: bool = False,
        rerank: str = "auto",
        by: By = "neighbours",
    ) -> None:
        self.collection = collection
        self.rerank = rerank
        self.depth = collection.rerank_depth(rerank) if by == "neighbours" else 0
        self.photos = Gallery.of(collection, force=force)
        self.gallery = self.photos.standing(references)
        self.by = by
        self.classes = Classes(collection.encoder, self.photos) if by == "classifier" else None
        self.calibration = calibration or stored(collection, self.photos, by)
        self.convinces = self.depth > 0 and calibration is None and knows(collection, rerank)
        own = None if self.calibration is None else self.calibration.threshold
        self.threshold = own if threshold is None else threshold
        self.convincing = THRESHOLD if threshold is None and self.convinces else self.threshold

    def identify(self, photo: Asked, box: Box | None = None, *, k: int = 5, objects: bool = False) -> Identification:
        """The instances that a photo, or the part of it in ``box``, may show.

        Args:
            photo: what ``Collection.search`` takes.
            box: in pixels of the upright photo.
            k: hits at most.
            objects: look for several objects, each with its own box; not by a classifier.

        Raises:
            PhotoRejected: the photo cannot be used; a classifier needs its pixels.
        """
        asked = self.collection.query(photo, box)
        if self.classes is not None:
            if objects:
                raise ValueError("several objects in one photo are identified by neighbours only")
            return self._classified(asked, self.classes, k)
        if objects:
            return self._objects(asked, k)
        vector = asked.vector(None if asked.has_vector else self.collection.encoder)
        if not self.depth:
            return self.identify_vector(vector, k=k, query=asked.name, box=asked.box)
        return self._reranked(self.collection.search(asked, k=self.depth, rerank=self.rerank), vector, k)

    def _classified(self, asked: Query, classes: Classes, k: int) -> Identification:
        """By class activations; the photos that speak for an instance are its references most alike."""
        maps = asked.maps(self.collection.encoder)
        scores = classes.scores(maps)
        confidence = None
        if self.calibration is not None:
            confidence = self.calibration.confidence(scores[None]).astype(np.float32)
        height, width = maps[0].shape[-2:]
        vector = self.collection.encoder.pool_parts(maps, [(0, 0, int(width), int(height))])[0]
        best = np.argsort(-scores, kind="stable")[:k]
        named = [int(i) for i in best if np.isfinite(scores[i])]
        share = shares(scores)
        hits = tuple(self._hit(rank, i, vector, share, confidence, None) for rank, i in enumerate(named, 1))
        return Identification(asked.name, asked.box, self._refused(hits), hits)

    def _reranked(self, ranking: Ranking, vector: Vectors, k: int) -> Identification:
        """Each instance rises with its photo that rose most; what geometry says of its photos counts both ways."""
        instance = {row.id: int(i) for row, i in zip(self.photos.rows, self.photos.instance, strict=True)}
        scores, confidence = self.judge(vector[None])
        rise = np.zeros(len(self.photos))
        looked: dict[int, Match] = {}
        for hit in ranking:
            i = instance.get(hit.id)
            if i is None:
                continue
            rise[i] = max(rise[i], hit.score - hit.similarity)
            if hit.match is not None and (i not in looked or hit.match.probability > looked[i].probability):
                looked[i] = hit.match
        scores = np.asarray(scores + rise, np.float32)
        if looked:
            confidence = self._convinced(looked, confidence)
        best = np.argsort(-scores[0], kind="stable")[:k]
        hits = tuple(
            replace(self._hit(rank, int(i), vector, scores[0], confidence, None), match=looked.get(int(i)))
            for rank, i in enumerate(best, 1)
        )
        return Identification(ranking.query, ranking.box, _refused(hits, self.convincing), hits)

    def _convinced(self, looked: Mapping[int, Match], confidence: Vectors | None) -> Vectors | None:
        """Confidences ``(1, I)`` after geometry.

        Where it knows the descriptor, its probability is the confidence; what was not looked at is no likelier than the
        least likely that was. Else its evidence multiplies the odds of the collection's own calibration.
        """
        least = min(looked, key=lambda i: looked[i].probability)
        if self.convinces:
            found = np.full((1, len(self.photos)), looked[least].probability, np.float32)
            for i, match in looked.items():
                found[0, i] = match.probability
            return found
        if confidence is None:
            return None
        evidence = np.full(len(self.photos), looked[least].log_evidence)
        for i, match in looked.items():
            evidence[i] = match.log_evidence
        odds = np.log(np.clip(confidence, 1e-9, 1)) - np.log1p(-np.clip(confidence, 0, 1 - 1e-9)) + evidence
        return np.asarray(1 / (1 + np.exp(-odds)), np.float32)

    def identify_vector(
        self, vector: Vectors, *, k: int = 5, query: str = "<vector>", box: Box | None = None
    ) -> Identification:
        """The same for a vector ``(dim,)`` of the collection's descriptor."""
        scores, confidence = self.judge(vector[None])
        best = np.argsort(-scores[0], kind="stable")[:k]
        hits = tuple(self._hit(rank, int(i), vector, scores[0], confidence, None) for rank, i in enumerate(best, 1))
        return Identification(query, box, self._refused(hits), hits)

    def judge(self, vectors: Vectors) -> tuple[Vectors, Vectors | None]:
        """Scores and confidences ``(q, I)`` of vectors ``(q, dim)``; no confidences without a calibration."""
        scores = self.gallery.scores(self.gallery.similarities(vectors))
        if self.calibration is None:
            return scores, None
        return scores, self.calibration.confidence(scores).astype(np.float32)

    def _hit(
        self, rank: int, instance: int, vector: Vectors, scores: Vectors, confidence: Vectors | None, box: Box | None
    ) -> InstanceHit:
        similar = self.photos.similarities(vector[None])[0]
        return InstanceHit(
            rank,
            self.gallery.names[instance],
            float(scores[instance]),
            None if confidence is None else float(confidence[0, instance]),
            tuple(row.name for row in self.photos.speaking(similar, instance)),
            box,
        )

    def _refused(self, hits: Sequence[InstanceHit]) -> bool:
        return _refused(hits, self.threshold)

    def _objects(self, asked: Query, k: int) -> Identification:
        from reseen.identify.objects import find_objects

        found = find_objects(self.collection.encoder, asked, self.judge, most=k, threshold=self.threshold)
        hits = []
        for rank, item in enumerate(found, 1):
            scores, confidence = self.judge(item.vector[None])
            hits.append(self._hit(rank, item.instance, item.vector, scores[0], confidence, item.box))
        return Identification(asked.name, asked.box, self._refused(hits), tuple(hits))


def _refused(hits: Sequence[InstanceHit], threshold: float | None) -> bool:
    if not hits:
        return True
    best = hits[0].confidence
    return best is not None and threshold is not None and best < threshold


def knows(collection: Collection, rerank: str) -> bool:
    """Whether what geometry says of a hit is a probability by itself, similarity and all, without a calibration."""
    return collection.fingerprint == default_calibration().descriptor and collection.verifies(rerank)


def identify(
    collection: Collection, photos: Sequence[Asked], *, k: int = 5, objects: bool = False, by: By = "neighbours"
) -> list[Identification | PhotoRejected]:
    """:meth:`Identifier.identify` of several photos; a bad one gives its rejection instead."""
    identifier = Identifier(collection, by=by)
    answers: list[Identification | PhotoRejected] = []
    for photo in photos:
        try:
            answers.append(identifier.identify(photo, k=k, objects=objects))
        except PhotoRejected as error:
            answers.append(error)
    return answers
