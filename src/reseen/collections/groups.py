"""From verified pairs to near copies, and to groups of photos of one thing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reseen.collections.pairs import Pair, common_share
from reseen.collections.table import Row

SURE = 0.5
"""Probability from which two photos show the same thing."""
STRONG = 0.8
"""Probability from which a single pair joins two groups; below it a second pair has to agree."""
SAME_PART = 0.5
"""Cells of a photo that two pairs have in common, of the fewer, from which they are about the same part of it."""
COPIED, FRAMED = 0.25, 0.6
"""Near copies: share of the features that agree at least, and overlap of the frames."""
ALIKE = 0.97
"""Similarity of vectors from which photos without local features count as near copies."""


@dataclass(frozen=True, slots=True)
class Group:
    """Photos of one thing.

    Attributes:
        photos: ids; the one that most others were found with comes first.
        pairs: those that hold it together, the surest first.
    """

    photos: tuple[int, ...]
    pairs: tuple[Pair, ...]


def near_copies(pairs: Iterable[Pair], rows: Mapping[int, Row], others: Mapping[int, Row] | None = None) -> list[Pair]:
    """The pairs that are one picture twice: the same file, or scaled, compressed, trimmed, recoloured.

    Args:
        pairs: of :mod:`reseen.collections.pairs`.
        rows: photos by id, of the first of each pair.
        others: of the second, where that is another collection.
    """
    theirs = others if others is not None else rows
    return [pair for pair in pairs if rows[pair.first].sha256 == theirs[pair.second].sha256 or is_copy(pair)]


def is_copy(pair: Pair) -> bool:
    """Whether much of one photo agrees with the other, frame on frame; by vectors alone where nothing was verified."""
    if pair.inliers:
        return pair.share >= COPIED and pair.overlap >= FRAMED
    return pair.similarity is not None and pair.similarity >= ALIKE


def same_files(rows: Mapping[int, Row]) -> list[Pair]:
    """Photos whose files are the same, byte by byte: each with the first of them."""
    first: dict[str, int] = {}
    found = []
    for photo in sorted(rows):
        kept = first.setdefault(rows[photo].sha256, photo)
        if kept != photo:
            found.append(Pair(kept, photo, 1.0))
    return found


def grouped(
    pairs: Iterable[Pair], *, sure: float = SURE, strong: float = STRONG, same_part: float = SAME_PART
) -> list[Group]:
    """Groups of photos, the largest first, from pairs at least as probable as ``sure``.

    Two pairs with a photo in common are of one thing only where they agree on the same part of it: covers on one desk
    are not one cover. So a photo of two things may be in two groups. From the surest pair down, each joins the groups
    that it touches; but groups of several pairs each are only joined by a pair as probable as ``strong``, or by two
    that have no photo in common: one doubtful pair does not chain two things together.

    Args:
        pairs: of :mod:`reseen.collections.pairs`.
        sure, strong, same_part: see :data:`SURE`, :data:`STRONG`, :data:`SAME_PART`.
    """
    things = _Things(same_part)
    doubtful: list[Pair] = []
    for pair in sorted((p for p in pairs if (p.probability or 0) >= sure), key=_surest):
        large = things.large(pair)
        if len(large) < 2 or (pair.probability or 0) >= strong:
            things.add(pair)
            continue
        apart = [p for p in doubtful if not {p.first, p.second} & {pair.first, pair.second}]
        seconds = [p for p in apart if len(things.large(p) & large) > 1]
        if seconds:
            things.add(pair)
            things.add(seconds[0])
        else:
            doubtful.append(pair)
    return things.groups()


def _surest(pair: Pair) -> tuple[float, int, int]:
    return -pair.log_evidence, pair.first, pair.second


class _Things:
    """Pairs, put together where they agree on the same part of a photo that they have in common."""

    def __init__(self, same_part: float) -> None:
        self._same_part = same_part
        self._pairs: dict[int, list[Pair]] = {}
        self._at: dict[int, list[Pair]] = {}
        self._thing: dict[tuple[int, int], int] = {}

    def touched(self, pair: Pair) -> set[int]:
        """Things that a pair is about."""
        return {
            self._thing[other.first, other.second]
            for photo, own in zip((pair.first, pair.second), pair.cells, strict=True)
            for other in self._at.get(photo, ())
            if common_share(own, other.cells[other.second == photo]) >= self._same_part
        }

    def large(self, pair: Pair) -> set[int]:
        """Those of them that several pairs are about."""
        return {thing for thing in self.touched(pair) if len(self._pairs[thing]) > 1}

    def add(self, pair: Pair) -> None:
        """Add a pair, which joins all that it touches."""
        kept, *joined = sorted(self.touched(pair), key=lambda thing: -len(self._pairs[thing])) or [len(self._thing)]
        taken = [pair, *(other for thing in joined for other in self._pairs.pop(thing))]
        self._pairs.setdefault(kept, []).extend(taken)
        self._thing |= {(other.first, other.second): kept for other in taken}
        for photo in (pair.first, pair.second):
            self._at.setdefault(photo, []).append(pair)

    def groups(self) -> list[Group]:
        """All of them; of each the photo with most pairs first."""
        found = []
        for pairs in self._pairs.values():
            links = Counter(photo for pair in pairs for photo in (pair.first, pair.second))
            photos = sorted(links, key=lambda photo: (-links[photo], photo))
            found.append(Group(tuple(photos), tuple(sorted(pairs, key=_surest))))
        return sorted(found, key=lambda group: (-len(group.photos), group.photos))
