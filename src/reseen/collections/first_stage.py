"""The inverted file of a collection's local features, derived data; the shortlist it makes with the vectors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from reseen.collections.derived import Derived, StaleBlock
from reseen.collections.snapshot import CHUNK, Snapshot
from reseen.collections.table import Row
from reseen.local_features import LocalFeatures
from reseen.search.index.base import NOTHING
from reseen.search.index.inverted import ARRAYS, InvertedFile, Segment
from reseen.search.vocabulary import Vocabulary, default_vocabulary
from reseen.types import Ids

First = Literal["both", "global", "local"]
"""What makes the shortlist: the vectors, the local features, or both."""

TAIL = 0.1
"""Share of new photos from which their segment is merged into the large one."""
SMOOTH = 20
"""k of reciprocal rank fusion ``1 / (k + rank)`` (Cormack, Clarke and Buettcher, 2009)."""


OWN = "vocabulary"
"""Name of the blob with a collection's own vocabulary."""


def vocabulary_of(snapshot: Snapshot) -> Vocabulary | None:
    """The vocabulary for a collection's local features: its own, or the shipped one; None where none fits them."""
    own = snapshot.blob(OWN)
    vocabulary = Vocabulary.from_bytes(own) if own is not None else default_vocabulary()
    return vocabulary if vocabulary.fits(snapshot.manifest.local) else None


def open_inverted(snapshot: Snapshot, *, anew: bool = False) -> InvertedFile | None:
    """The inverted file of a version: what is kept of it, brought up to date; None where there are no local features.

    Args:
        snapshot: the version.
        anew: make all of it, whatever is kept: a block of that was not what was written.

    What had to be made is kept for the next reader, where the disk lets it.
    """
    vocabulary = vocabulary_of(snapshot)
    if vocabulary is None:
        return None
    index = InvertedFile(vocabulary)
    named = {"vocabulary": vocabulary.digest, "local": snapshot.manifest.local}
    base, tail = (Derived(snapshot.files, kind, named) for kind in ("words", "words-tail"))
    wanted = {photo: _check(row) for photo, row in snapshot.rows.items()}
    for derived in () if anew else (base, tail):
        segment = _kept(derived, len(vocabulary))
        if segment is not None:
            current = [wanted.get(p) == c for p, c in zip(segment.ids.tolist(), segment.checks.tolist(), strict=True)]
            index.segments.append(segment)
            index.remove(segment.ids[~np.array(current, bool)])
    held = {photo for segment in index.segments for photo in segment.ids.tolist()}
    missing = [photo for photo in wanted if photo not in held]
    if not missing:
        return index
    for ids, items in _features(snapshot, missing):
        index.add(ids, items, np.array([wanted[photo] for photo in ids.tolist()], np.int64))
    fresh = index.segments[1 if index.segments and len(held) else 0 :]
    if not fresh:  # what is missing has no local features
        return index
    if len(held) and sum(map(len, fresh)) < TAIL * len(held):
        index.segments[1:] = [Segment.merged(fresh)]
        tail.put(**index.segments[1].arrays())
    else:
        index.segments[:] = [Segment.merged(index.segments)]
        if base.put(**index.segments[0].arrays()):
            tail.drop()
    return index


def _kept(derived: Derived, words: int) -> Segment | None:
    arrays = {name: derived.array(name) for name in ARRAYS}
    try:
        whole = {name: arrays[name].whole() for name in ("starts", "ids", "checks")}  # type: ignore[union-attr]
    except (AttributeError, StaleBlock):
        return None
    lists = [arrays[name] for name in ("photos", "signatures", "frames")]
    if whole["starts"].shape != (words + 1,) or any(a is None or len(a) != whole["starts"][-1] for a in lists):
        return None
    return Segment.from_arrays({**arrays, **whole})


def _check(row: Row) -> int:
    """What tells whether a photo is the one whose features were kept."""
    return int(row.sha256[:15], 16)


def _features(snapshot: Snapshot, ids: Sequence[int]) -> Iterator[tuple[Ids, list[LocalFeatures]]]:
    for start in range(0, len(ids), CHUNK):
        kept = snapshot.features(ids[start : start + CHUNK])
        if kept:
            yield np.array([*kept], np.int64), [LocalFeatures.from_bytes(data) for data in kept.values()]


def fused(rankings: Sequence[Sequence[int]], count: int) -> list[int]:
    """The best ``count`` ids of several rankings by the sum of ``1 / (SMOOTH + rank)``; ties as the first one has them.

    Half of the places go to the first of each ranking, so that what only one of them finds is looked at.
    """
    score: dict[int, float] = {}
    for ranking in rankings:
        for rank, photo in enumerate(ranking, 1):
            if photo != NOTHING:
                score[photo] = score.get(photo, 0.0) + 1 / (SMOOTH + rank)
    order = sorted(score, key=lambda photo: -score[photo])
    sure = {photo for ranking in rankings for photo in ranking[: count // (2 * len(rankings))] if photo != NOTHING}
    chosen = [*sure, *(photo for photo in order if photo not in sure)][:count]
    return sorted(chosen, key=lambda photo: -score[photo])
