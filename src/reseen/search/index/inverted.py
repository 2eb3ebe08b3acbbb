"""An inverted file of local features: which photos hold the words of a query, with signatures that agree.

Hamming embedding and weak geometric consistency (Jegou, Douze and Schmid, 2008), the weight of bursts within a photo
(the same, 2009); similarities grow as those of the selective match kernel (Tolias, Avrithis and Jegou, 2013).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from reseen.errors import ReseenError
from reseen.local_features import LocalFeatures
from reseen.search.index.base import NOTHING, Allowed, Takes
from reseen.search.vocabulary import SIGNATURE_BITS, Vocabulary, default_vocabulary
from reseen.types import Ids, Rows, Vectors

ARRAYS = ("starts", "photos", "signatures", "frames", "ids", "checks")
"""Of a :class:`Segment`."""
ANGLES, SCALES = 16, 8
"""Bins of differences of direction (of a whole turn) and of size (two bins an octave, the outer ones open)."""


class Held(Protocol):
    """An array on disk or in memory, read by ranges of rows."""

    def __len__(self) -> int: ...

    def ranges(self, starts: Rows, stops: Rows) -> NDArray[Any]:
        """Rows ``starts[i]:stops[i]`` of every i, one range after another."""


@dataclass(frozen=True)
class Loaded:
    """An array in memory."""

    values: NDArray[Any]

    def __len__(self) -> int:
        return len(self.values)

    def ranges(self, starts: Rows, stops: Rows) -> NDArray[Any]:
        """See :class:`Held`."""
        found: NDArray[Any] = self.values[rows_of(starts, stops)]
        return found


def rows_of(starts: Rows, stops: Rows) -> Rows:
    """Row numbers of ranges, one after another."""
    lengths = stops - starts
    ends = np.cumsum(lengths)
    first: Rows = np.repeat(starts - ends + lengths, lengths)
    return np.asarray(np.arange(len(first)) + first, np.int64)


@dataclass(frozen=True, eq=False)
class Segment:
    """Postings of some photos, those of a word together.

    Attributes:
        starts: ``(k + 1,)`` int64, where the postings of each word begin.
        photos: ``(n,)`` int32, row of the photo in ``ids``; 14 bytes a feature with the next two.
        signatures: ``(n,)`` uint64. frames: ``(n, 2)`` uint8, direction and size (see ``LocalFeatures``).
        ids: ``(m,)`` of the photos.
        checks: ``(m,)`` int64, what the caller knows the state of each photo by; 0 where it does not.
    """

    starts: Rows
    photos: Held
    signatures: Held
    frames: Held
    ids: Ids
    checks: Ids

    @classmethod
    def of(cls, vocabulary: Vocabulary, ids: Ids, items: Sequence[LocalFeatures], checks: Ids | None = None) -> Segment:
        """Postings of photos by their local features."""
        words, signatures, frames = [], [], []
        for features in items:
            described = vocabulary.describe(features)
            own = vocabulary.nearest(described)[:, 0]
            words.append(own)
            signatures.append(vocabulary.signatures(described, own))
            frames.append(features.frames if features.frames is not None else np.zeros((len(features), 2), np.uint8))
        every = np.concatenate([*words, np.zeros(0, np.int64)])
        order = np.argsort(every, kind="stable")
        photos = np.repeat(np.arange(len(items), dtype=np.int32), [len(own) for own in words])
        return cls(
            np.searchsorted(every[order], np.arange(len(vocabulary) + 1)).astype(np.int64),
            Loaded(photos[order]),
            Loaded(np.concatenate([*signatures, np.zeros(0, np.uint64)])[order]),
            Loaded(np.concatenate([*frames, np.zeros((0, 2), np.uint8)])[order]),
            np.asarray(ids, np.int64),
            np.zeros(len(ids), np.int64) if checks is None else np.asarray(checks, np.int64),
        )

    @classmethod
    def merged(cls, segments: Sequence[Segment]) -> Segment:
        """One segment of the photos of several; those that were removed are left out."""
        kept = [segment.ids != NOTHING for segment in segments]
        rows = [np.cumsum(mask) - 1 + before for mask, before in zip(kept, _before(kept), strict=True)]
        words, lists = [], []
        for segment, mask, new in zip(segments, kept, rows, strict=True):
            arrays = segment.arrays()
            there = mask[arrays["photos"]]
            words.append(np.repeat(np.arange(len(segment.starts) - 1), np.diff(segment.starts))[there])
            moved = new[arrays["photos"][there]].astype(np.int32)
            lists.append((moved, arrays["signatures"][there], arrays["frames"][there]))
        every = np.concatenate(words)
        order = np.argsort(every, kind="stable")
        photos, signatures, frames = (Loaded(np.concatenate(part)[order]) for part in zip(*lists, strict=True))
        starts = np.searchsorted(every[order], np.arange(len(segments[0].starts))).astype(np.int64)
        ids, checks = (
            np.concatenate([getattr(s, name)[mask] for s, mask in zip(segments, kept, strict=True)])
            for name in ("ids", "checks")
        )
        return cls(starts, photos, signatures, frames, ids, checks)

    def __len__(self) -> int:
        return len(self.ids)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All of it in memory, to be kept: see :meth:`from_arrays`."""
        every = np.zeros(1, np.int64), np.array([len(self.photos)])
        lists = {name: getattr(self, name).ranges(*every) for name in ("photos", "signatures", "frames")}
        return {"starts": self.starts, **lists, "ids": self.ids, "checks": self.checks}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Any]) -> Segment:
        """A segment of kept arrays; ``photos``, ``signatures`` and ``frames`` may stay on disk (:class:`Held`)."""
        lists = {name: Loaded(a) if isinstance(a := arrays[name], np.ndarray) else a for name in ARRAYS[1:4]}
        return cls(arrays["starts"], **lists, ids=arrays["ids"], checks=arrays["checks"])


def _before(masks: Sequence[NDArray[np.bool_]]) -> list[int]:
    """How many are set in the masks before each."""
    return [0, *np.cumsum([int(mask.sum()) for mask in masks]).tolist()][:-1]


@dataclass(frozen=True)
class Scoring:
    """How postings become scores.

    Attributes:
        words: nearest words of each feature of the query that are looked up (multiple assignment).
        most: bits of two signatures that may differ.
        alpha: exponent of the signatures' similarity ``1 - 2 h / 64``.
        consistent: whether matches must agree on a turn and a change of size.
    """

    words: int = 2
    most: int = 22
    alpha: float = 3.0
    consistent: bool = True


@dataclass
class InvertedFile:
    """An index of photos by their local features, as segments that are searched one after another."""

    takes: ClassVar[Takes] = "features"
    vocabulary: Vocabulary = field(default_factory=default_vocabulary)
    segments: list[Segment] = field(default_factory=list)
    scoring: Scoring = field(default_factory=Scoring)
    _known: tuple[list[Segment], tuple[Vectors, list[Vectors]]] | None = field(default=None, init=False, repr=False)

    @classmethod
    def of(cls, ids: Ids, items: Sequence[LocalFeatures], vocabulary: Vocabulary | None = None) -> InvertedFile:
        """See :class:`reseen.search.index.Index`."""
        index = cls(vocabulary or default_vocabulary())
        index.add(np.asarray(ids, np.int64), items)
        return index

    def __len__(self) -> int:
        return sum(int((segment.ids != NOTHING).sum()) for segment in self.segments)

    def add(self, ids: Ids, items: Sequence[LocalFeatures], checks: Ids | None = None) -> None:
        """Add photos as a segment of their own, in place of those that are there already."""
        if len(ids) != len(items) or len(set(ids.tolist())) != len(ids):
            raise ValueError(f"{len(ids)} ids (each once) and {len(items)} photos do not fit together")
        self.remove(ids)
        self.segments.append(Segment.of(self.vocabulary, ids, items, checks))

    def remove(self, ids: Ids) -> None:
        """Take photos out: their postings stay, and are passed over."""
        for i, segment in enumerate(self.segments):
            found = np.isin(segment.ids, ids)
            if found.any():
                kept = np.where(found, NOTHING, segment.ids)
                self.segments[i] = Segment(
                    segment.starts, segment.photos, segment.signatures, segment.frames, kept, segment.checks
                )

    def search(self, asked: Sequence[LocalFeatures], k: int, allowed: Allowed | None = None) -> tuple[Ids, Vectors]:
        """See :class:`reseen.search.index.Index`; scores are 0 or more, photos without a match are not found."""
        if k < 1:
            raise ValueError(f"k must be 1 or more, not {k}")
        ids = np.concatenate([*(segment.ids for segment in self.segments), np.zeros(0, np.int64)])
        possible = ids != NOTHING
        if allowed is not None:
            possible &= allowed if allowed.dtype == np.bool_ else np.isin(ids, allowed)
        width = min(k, int(possible.sum()))
        found = np.full((len(asked), width), NOTHING, np.int64)
        best = np.full((len(asked), width), -np.inf, np.float32)
        for row, features in enumerate(asked):
            scores = np.where(possible, self.scores(features), 0)
            rows = np.flatnonzero(scores > 0)
            rows = rows[np.lexsort((ids[rows], -scores[rows]))][:width]
            found[row, : len(rows)], best[row, : len(rows)] = ids[rows], scores[rows]
        return found, best

    def scores(self, features: LocalFeatures) -> Vectors:
        """Score of every photo of every segment, ``(m,)`` float32."""
        described = self.vocabulary.describe(features)
        words = self.vocabulary.nearest(described, min(self.scoring.words, len(self.vocabulary)))
        feature = np.repeat(np.arange(len(features)), words.shape[1])
        looked_up = words.ravel()
        signatures = self.vocabulary.signatures(described[feature], looked_up)
        idf, norms = self._weights()
        parts = [
            self._segment_scores(segment, features, feature, looked_up, signatures, idf) / norm
            for segment, norm in zip(self.segments, norms, strict=True)
        ]
        return np.concatenate([*parts, np.zeros(0, np.float32)]).astype(np.float32)

    def _weights(self) -> tuple[Vectors, list[Vectors]]:
        """Squared idf of each word ``(k,)``, and the norm of each photo of each segment; worked out once."""
        if self._known is None or self._known[0] != self.segments:
            self._known = [*self.segments], self._weigh()
        return self._known[1]

    def _weigh(self) -> tuple[Vectors, list[Vectors]]:
        k = len(self.vocabulary)
        holding = np.zeros(k)
        listed = []
        for segment in self.segments:
            every = np.zeros(1, np.int64), np.array([len(segment.photos)])
            photos = segment.photos.ranges(*every).astype(np.int64)
            words = np.repeat(np.arange(k), np.diff(segment.starts))
            pairs = np.unique(words * max(len(segment), 1) + photos)
            holding += np.bincount(pairs // max(len(segment), 1), minlength=k)
            listed.append((words, photos))
        total = sum(map(len, self.segments))
        idf = np.maximum(np.log(max(total, 1) / np.maximum(holding, 1)) ** 2, 1e-6).astype(np.float32)
        norms = [
            np.sqrt(np.maximum(np.bincount(photos, idf[words], len(segment)), 1e-6)).astype(np.float32)
            for segment, (words, photos) in zip(self.segments, listed, strict=True)
        ]
        return idf, norms

    def _segment_scores(
        self,
        segment: Segment,
        features: LocalFeatures,
        feature: Rows,
        words: Rows,
        signatures: NDArray[np.uint64],
        idf: Vectors,
    ) -> Vectors:
        starts, stops = segment.starts[words], segment.starts[words + 1]
        asked = np.repeat(np.arange(len(words)), stops - starts)
        differing = np.bitwise_count(segment.signatures.ranges(starts, stops) ^ signatures[asked])
        near = np.flatnonzero(differing <= self.scoring.most)
        scores = np.zeros(len(segment), np.float32)
        if not len(near):
            return scores
        asked, differing = asked[near], differing[near]
        photos = segment.photos.ranges(starts, stops)[near].astype(np.int64)
        similar = (1 - 2 * differing.astype(np.float32) / SIGNATURE_BITS) ** np.float32(self.scoring.alpha)
        # a feature that a photo repeats counts as the root of how often
        _, group, count = np.unique(feature[asked] * len(segment) + photos, return_inverse=True, return_counts=True)
        weight = idf[words[asked]] * similar / np.sqrt(count[group])
        touched, place = np.unique(photos, return_inverse=True)
        if not self.scoring.consistent or features.frames is None:
            scores[touched] = np.bincount(place, weight)
            return scores
        theirs, own = segment.frames.ranges(starts, stops)[near].astype(np.int64), features.frames.astype(np.int64)
        change = theirs - own[feature[asked]]
        turn = (change[:, 0] % 256) * ANGLES // 256
        size = np.clip(change[:, 1] // 8 + SCALES // 2, 0, SCALES - 1)
        turns = np.bincount(place * ANGLES + turn, weight, len(touched) * ANGLES).reshape(-1, ANGLES)
        sizes = np.bincount(place * SCALES + size, weight, len(touched) * SCALES).reshape(-1, SCALES)
        turns = turns + np.roll(turns, 1, 1) + np.roll(turns, -1, 1)
        sizes[:, 1:-1] = sizes[:, 1:-1] + sizes[:, :-2] + sizes[:, 2:]
        scores[touched] = np.minimum(turns.max(1), sizes.max(1))
        return scores

    def save(self, folder: Path) -> None:
        """See :class:`reseen.search.index.Index`; one segment of all photos, NumPy files that are memory-mapped."""
        folder.mkdir(parents=True, exist_ok=True)
        self.vocabulary.save(folder / "vocabulary.safetensors")
        for number, segment in enumerate(self.segments):
            for name, values in segment.arrays().items():
                np.save(folder / f"{number}-{name}.npy", values, allow_pickle=False)
        (folder / "segments.json").write_text(json.dumps({"segments": len(self.segments)}), encoding="utf-8")

    @classmethod
    def open(cls, folder: Path) -> InvertedFile:
        """See :class:`reseen.search.index.Index`. ReseenError: it is not there, or not whole."""
        try:
            count = int(json.loads((folder / "segments.json").read_text(encoding="utf-8"))["segments"])
            segments = [
                Segment.from_arrays(
                    {n: np.load(folder / f"{i}-{n}.npy", mmap_mode="r", allow_pickle=False) for n in ARRAYS}
                )
                for i in range(count)
            ]
        except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
            raise ReseenError(f"{folder}: not an inverted file ({error})") from None
        return cls(Vocabulary.read(folder / "vocabulary.safetensors"), segments)
