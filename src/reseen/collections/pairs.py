"""Pairs of photos that geometry explains: shortlisted by vectors and by words, verified once, kept beside a collection.

Never every photo with every other: a photo is compared with the nearest few by each of the two.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from reseen.collections.derived import Derived, StaleBlock
from reseen.collections.first_stage import open_inverted
from reseen.collections.snapshot import Snapshot
from reseen.collections.table import Row
from reseen.errors import CollectionError
from reseen.local_features import LocalFeatures
from reseen.search.geometry import Geometry, Verification, verify
from reseen.search.geometry.probability import default_calibration
from reseen.search.geometry.verify import Polygon
from reseen.search.index.base import NOTHING
from reseen.search.index.exact import ExactIndex
from reseen.search.index.inverted import InvertedFile
from reseen.types import Ids, Progress, Values

DEPTH = 10
"""Photos that a photo is compared with: the nearest so many by vectors, and as many by words."""
CHUNK = 64
"""Photos whose shortlists are verified together."""
HELD = 4096
"""Photos whose local features stay in memory, 80 kB each."""
SAVE_S = 10.0
"""Seconds of work that an interruption may lose."""

GRID = 8
"""A photo has GRID x GRID cells."""

Key = tuple[int, int]
Found = tuple[int, float, float, float, tuple[int, int]]
"""The last five values of a :class:`Pair`."""
NOTHING_FOUND: Found = (0, 0.0, 0.0, 0.0, (0, 0))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two photos, and what geometry found between them.

    Attributes:
        first, second: ids; the second may be of another collection.
        similarity: inner product of their vectors; None where these cannot be compared.
        inliers: places that agree on one plane or one scene; 0 where nothing was verified.
        log_evidence: log of how many times more likely true pairs look so than others.
        share: inliers, of the features of the photo that has fewer.
        overlap: of one photo's frame, as it is seen in the other, with the other's: intersection over union.
        cells: where the inliers lie in the first and in the second photo, see :func:`cells_of`.
    """

    first: int
    second: int
    similarity: float | None
    inliers: int = 0
    log_evidence: float = 0.0
    share: float = 0.0
    overlap: float = 0.0
    cells: tuple[int, int] = (0, 0)

    @property
    def probability(self) -> float | None:
        """That both show the same thing, were one pair of fifty right; None where nothing was verified."""
        if not self.inliers:
            return None
        prior = default_calibration().prior
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, self.log_evidence + math.log(prior / (1 - prior))))))


def pairs_within(snapshot: Snapshot, *, depth: int = DEPTH, progress: Progress | None = None) -> list[Pair]:
    """Pairs of a collection's photos that have anything in common, each once, the surest first.

    Args:
        snapshot: the collection.
        depth: see :data:`DEPTH`.
        progress: called with (photos done, photos in all).

    What was verified is kept: after an interruption, or when photos were added, only the rest is.
    """
    return _pairs(snapshot, snapshot, depth, progress)


def pairs_between(
    asked: Snapshot, held: Snapshot, *, depth: int = DEPTH, progress: Progress | None = None
) -> list[Pair]:
    """The same of photos of one collection with those of another; what was verified is kept beside the first.

    Raises:
        CollectionError: they have neither comparable vectors nor the same local features.
    """
    if asked.manifest.fingerprint != held.manifest.fingerprint and not _comparable(asked, held):
        raise CollectionError(
            f"{asked.folder} and {held.folder}: were indexed with different recipes and local features; "
            "index one of them anew with the recipe and --local of the other"
        )
    return _pairs(asked, held, depth, progress)


def _comparable(asked: Snapshot, held: Snapshot) -> bool:
    return asked.manifest.local == held.manifest.local != "none"


def _pairs(asked: Snapshot, held: Snapshot, depth: int, progress: Progress | None) -> list[Pair]:
    within = asked is held
    look = _Shortlists(asked, held, depth)
    verified = _Verified(asked) if _comparable(asked, held) else None
    similarities: dict[Key, float | None] = {}
    photos = sorted(asked.rows)
    try:
        for start in range(0, len(photos), CHUNK):
            chunk = photos[start : start + CHUNK]
            fresh = [(a, b) for a, found in zip(chunk, look.of(chunk), strict=True) for b in found]
            if within:
                fresh = [(min(pair), max(pair)) for pair in fresh if pair[0] != pair[1]]
            fresh = [pair for pair in dict.fromkeys(fresh) if pair not in similarities]
            similarities |= look.similarities(fresh)
            if verified is not None:
                verified.see([(asked.rows[a], held.rows[b]) for a, b in fresh], look.ours, look.theirs)
            if progress is not None:
                progress(start + len(chunk), len(photos))
    finally:
        if verified is not None:
            verified.save()
    found = [
        Pair(a, b, similarity, *(verified.of(asked.rows[a], held.rows[b]) if verified is not None else ()))
        for (a, b), similarity in similarities.items()
    ]
    order = sorted(found, key=lambda pair: (-pair.log_evidence, -(pair.similarity or 0), pair.first, pair.second))
    return [pair for pair in order if pair.inliers or verified is None]


class _Features:
    """Local features of a collection's photos; those that were read last stay in memory."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._held: OrderedDict[int, LocalFeatures | None] = OrderedDict()

    def of(self, ids: Iterable[int]) -> dict[int, LocalFeatures]:
        """Of photos by id; photos without are left out."""
        wanted = list(dict.fromkeys(ids))
        missing = [photo for photo in wanted if photo not in self._held]
        if missing:
            kept = self._snapshot.features(missing)
            for photo in missing:
                self._held[photo] = LocalFeatures.from_bytes(kept[photo]) if photo in kept else None
        found = {}
        for photo in wanted:
            self._held.move_to_end(photo)
            features = self._held[photo]
            if features is not None:
                found[photo] = features
        while len(self._held) > HELD:
            self._held.popitem(last=False)
        return found


class _Shortlists:
    """The nearest photos of one collection to photos of another (or of itself)."""

    def __init__(self, asked: Snapshot, held: Snapshot, depth: int) -> None:
        self.asked, self.held = asked, held
        self.ours = _Features(asked)
        self.theirs = self.ours if held is asked else _Features(held)
        self._depth = depth + (held is asked)  # a photo finds itself
        self._vectors = asked.manifest.fingerprint == held.manifest.fingerprint
        self._index = ExactIndex(held.vectors[1], held.vectors[0]) if self._vectors else None
        self._words: InvertedFile | None = open_inverted(held) if _comparable(asked, held) else None

    def of(self, photos: Sequence[int]) -> list[list[int]]:
        """Ids for each photo."""
        found: list[list[int]] = [[] for _ in photos]
        if self._index is not None and len(self._index):
            for listed, near in zip(found, self._nearest(photos), strict=True):
                listed += near.tolist()
        if self._words is not None:
            features = self.ours.of(photos)
            rows = [row for row, photo in enumerate(photos) if photo in features]
            said = self._said([features[photos[row]] for row in rows])
            for row, near in zip(rows, said, strict=True):
                found[row] += near.tolist()
        return [[photo for photo in dict.fromkeys(listed) if photo != NOTHING] for listed in found]

    def _nearest(self, photos: Sequence[int]) -> Ids:
        assert self._index is not None
        return self._index.search(self.asked.vectors_of(photos), self._depth)[0]

    def _said(self, features: Sequence[LocalFeatures]) -> Ids:
        assert self._words is not None
        try:
            return self._words.search(features, self._depth)[0]
        except StaleBlock:
            self._words = open_inverted(self.held, anew=True)
            assert self._words is not None
            return self._words.search(features, self._depth)[0]

    def similarities(self, pairs: Sequence[Key]) -> dict[Key, float | None]:
        """Of vectors, by pair."""
        if not self._vectors or not pairs:
            return dict.fromkeys(pairs)
        first, second = zip(*pairs, strict=True)
        products = np.einsum("nd,nd->n", self.asked.vectors_of(first), self.held.vectors_of(second))
        return dict(zip(pairs, map(float, products), strict=True))


class _Verified:
    """What geometry found between photos, by the contents of both: labels, paths and other photos change nothing."""

    def __init__(self, snapshot: Snapshot) -> None:
        calibration = repr((Geometry(), default_calibration().to_json()))
        self._named: dict[str, str | int] = {
            "local": snapshot.manifest.local,
            "geometry": hashlib.sha256(calibration.encode()).hexdigest()[:16],
        }
        self._derived = Derived(snapshot.files, "pairs", self._named)
        self._known: dict[Key, Found] = dict(self._kept())
        self._new: list[Key] = []
        self._saved = time.monotonic()

    def _kept(self) -> Iterator[tuple[Key, Found]]:
        arrays = [self._derived.array(name) for name in ("keys", "values", "cells")]
        if any(array is None or len(array) != len(arrays[0] or ()) for array in arrays):
            return
        try:
            keys, values, cells = (array.whole().tolist() for array in arrays if array is not None)
        except StaleBlock:
            return
        for (a, b), (inliers, *others), (here, there) in zip(keys, values, cells, strict=True):
            yield (a, b), (int(inliers), *others, (here, there))

    def of(self, first: Row, second: Row) -> Found:
        """What was found of a pair that was seen; nothing without local features."""
        key, turned = _key(first, second)
        inliers, evidence, share, framed, (here, there) = self._known.get(key, NOTHING_FOUND)
        return inliers, evidence, share, framed, ((there, here) if turned else (here, there))

    def see(self, pairs: Sequence[tuple[Row, Row]], ours: _Features, theirs: _Features) -> None:
        """Verify what is not known yet."""
        new: dict[int, list[tuple[Key, LocalFeatures, LocalFeatures]]] = {}
        unknown = [(a, b) for a, b in pairs if _key(a, b)[0] not in self._known]
        left, right = ours.of(a.id for a, _ in unknown), theirs.of(b.id for _, b in unknown)
        for a, b in unknown:
            if a.id in left and b.id in right:
                key, turned = _key(a, b)
                sides = (right[b.id], left[a.id]) if turned else (left[a.id], right[b.id])
                new.setdefault(key[0], []).append((key, *sides))
        for group in new.values():
            asked = group[0][1]
            for (key, _, photo), found in zip(group, verify(asked, [photo for _, _, photo in group]), strict=True):
                if key not in self._known:
                    self._new.append(key)
                self._known[key] = _measured(asked, photo, found)
        if time.monotonic() > self._saved + SAVE_S:
            self.save()

    def save(self) -> None:
        """Keep what is new, where the disk lets it."""
        if self._new:
            fresh = self._arrays(self._new)
            extended = self._derived.extended(self._named, **fresh)
            if extended is None:
                self._derived.put(**self._arrays([*self._known]))
            else:
                self._derived = extended
            self._new = []
        self._saved = time.monotonic()

    def _arrays(self, keys: Sequence[Key]) -> dict[str, Any]:
        known = [self._known[key] for key in keys]
        return {
            "keys": np.array(keys, np.int64).reshape(-1, 2),
            "values": np.array([values[:4] for values in known], np.float64).reshape(-1, 4),
            "cells": np.array([values[4] for values in known], np.uint64).reshape(-1, 2),
        }


def _key(first: Row, second: Row) -> tuple[Key, bool]:
    """What both photos are known by, in the order in which they are verified, and whether that turns them round."""
    a, b = (int(row.sha256[:15], 16) for row in (first, second))
    return ((b, a), True) if b < a else ((a, b), False)


def _measured(query: LocalFeatures, photo: LocalFeatures, found: Verification) -> Found:
    if not found.inliers:
        return NOTHING_FOUND
    share = min(1.0, found.inliers / max(1, min(len(query), len(photo))))
    places = np.array(found.lines, np.float64).reshape(-1, 2, 2)
    cells = cells_of(places[:, 0], query.size), cells_of(places[:, 1], photo.size)
    return found.inliers, default_calibration().log_evidence_of(found), share, overlap(found.outline, photo.size), cells


def cells_of(places: Values, size: tuple[int, int]) -> int:
    """Which cells of a photo of ``size`` (W, H) hold any of the places ``(n, 2)``: a bit for each of 64 cells."""
    columns, rows = np.clip(places * GRID / np.array(size), 0, GRID - 1).astype(np.int64).T
    return sum(1 << cell for cell in np.unique(rows * GRID + columns).tolist())


def common_share(one: int, other: int) -> float:
    """Cells that two sets have in common, of the smaller set; 0 where one is empty."""
    fewer = min(one.bit_count(), other.bit_count())
    return (one & other).bit_count() / fewer if fewer else 0.0


def overlap(outline: Polygon, size: tuple[int, int]) -> float:
    """Intersection over union of an outline and the frame of a photo of ``size`` (W, H); 0 without an outline."""
    quad = np.array(outline, np.float32)
    if len(quad) < 3 or not cv2.isContourConvex(quad):
        return 0.0
    width, height = size
    frame = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    common, _ = cv2.intersectConvexConvex(quad, frame)
    return float(common / max(cv2.contourArea(quad) + width * height - common, 1e-6))
