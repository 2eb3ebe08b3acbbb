"""A photo set: numbered photos, and what is known of which match."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import block_diag, csr_array

from reseen.errors import PhotoSetError
from reseen.types import Box, Pairs, Rows


@dataclass(frozen=True)
class Geometry:
    """What a reconstruction knows of the photos of a set.

    Attributes:
        centres: ``(n, 3)`` camera centres, in the coordinates of the photo's own model.
        visible: ``(n, points)`` bool: which photo observes which 3D point.
        scales: ``(n,)`` size at which each photo sees the scene: focal length, in shares of its longest side, over
            median depth.
    """

    centres: NDArray[np.floating]
    visible: csr_array
    scales: NDArray[np.floating]


@dataclass(frozen=True)
class PhotoSet:
    """Photos by number, and who matches whom.

    Attributes:
        name: for logs and the run card.
        photos: path of each of the n photos.
        clusters: ``(n,)`` photos of different clusters do not match; those of one cluster may.
        pairs: ``(m, 2)`` query and positive of each tuple, chosen by the source; may be empty. A photo paired with
            itself matches virtual photos of itself.
        negatives: ``(m, k)`` negatives that the source gives, -1 for none; k is 0 when they are to be mined.
        virtual: ``(n,)`` True for reference photos, which nothing but virtual photos of themselves matches.
        unpaired: ``(n,)`` True for photos of which the source says clusters only: their pairs are to be drawn. By
            default all of them when there are no pairs, else none.
        candidates: photos among which negatives are mined; None for all of them.
        geometry: of a reconstruction, where there is one.
        skipped: entries of the source that name photos which do not exist, for the run card.
        boxes: what of each photo counts, in its pixels; None, the default, for all of it.
    """

    name: str
    photos: tuple[Path, ...]
    clusters: Rows
    pairs: Pairs = field(default_factory=lambda: np.zeros((0, 2), np.int64))
    negatives: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    virtual: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    unpaired: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, bool))
    candidates: Rows | None = None
    geometry: Geometry | None = None
    skipped: tuple[str, ...] = ()
    boxes: tuple[Box | None, ...] = ()

    def __post_init__(self) -> None:
        n, m = len(self.photos), len(self.pairs)
        if len(self.virtual) == 0:
            object.__setattr__(self, "virtual", np.zeros(n, bool))
        if len(self.unpaired) == 0:
            object.__setattr__(self, "unpaired", np.full(n, m == 0))
        if len(self.negatives) == 0:
            object.__setattr__(self, "negatives", np.zeros((m, 0), np.int64))
        if len(self.boxes) == 0:
            object.__setattr__(self, "boxes", (None,) * n)
        each = (self.clusters, self.virtual, self.unpaired, self.boxes)
        if {len(values) for values in each} != {n} or len(self.negatives) != m:
            raise ValueError(f"photo set {self.name!r}: its parts differ in length")

    @property
    def summary(self) -> str:
        """``distractors (500 photos, 0 pairs)``."""
        return f"{self.name} ({len(self.photos)} photos, {len(self.matching)} pairs)"

    @property
    def virtual_pairs(self) -> Pairs:
        """The pairs of a photo with itself."""
        own: Pairs = self.pairs[self.pairs[:, 0] == self.pairs[:, 1]]
        return own

    @property
    def matching(self) -> Pairs:
        """Different photos that match, ``(m, 2)``: the pairs that are given, and every two unpaired of a cluster."""
        given = self.pairs[self.pairs[:, 0] != self.pairs[:, 1]]
        free = np.flatnonzero(self.unpaired & ~self.virtual)
        free = free[np.argsort(self.clusters[free], kind="stable")]
        groups = np.split(free, np.flatnonzero(np.diff(self.clusters[free])) + 1)
        return np.concatenate([given, *(group[np.stack(np.triu_indices(len(group), 1), 1)] for group in groups)])

    @property
    def fingerprint(self) -> str:
        """Of paths, clusters and pairs: a resumed run must meet the same set."""
        digest = hashlib.sha256()
        for path in self.photos:
            digest.update(str(path).encode("utf-8", "surrogateescape") + b"\0")
        for array in (self.clusters, self.pairs, self.negatives, self.virtual, self.unpaired):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]

    def keep(self, photos: NDArray[np.bool_]) -> PhotoSet:
        """The part of the set whose photos are True in ``(n,)``, numbered anew."""
        number = np.where(photos, np.cumsum(photos) - 1, -1)
        number = np.append(number, -1)  # -1, none, stays -1
        rows = photos[self.pairs].all(1) if len(self.pairs) else np.zeros(0, bool)
        candidates = self.candidates
        if candidates is not None:
            candidates = number[candidates[photos[candidates]]]
        geometry = self.geometry
        if geometry is not None:
            kept = np.flatnonzero(photos)
            geometry = Geometry(geometry.centres[kept], geometry.visible[kept], geometry.scales[kept])
        return replace(
            self,
            photos=tuple(p for p, kept in zip(self.photos, photos, strict=True) if kept),
            clusters=self.clusters[photos],
            pairs=number[self.pairs[rows]],
            negatives=number[self.negatives[rows]],
            virtual=self.virtual[photos],
            unpaired=self.unpaired[photos],
            candidates=candidates,
            geometry=geometry,
            boxes=tuple(box for box, kept in zip(self.boxes, photos, strict=True) if kept),
        )

    def split(self, share: float, seed: int = 0) -> tuple[PhotoSet, PhotoSet]:
        """(training part, validation part): ``share`` of the clusters with something to match are held out.

        PhotoSetError when that leaves either part without any.
        """
        size = np.bincount(self.clusters, minlength=1)
        useful = np.unique(self.clusters[(size[self.clusters] > 1) | self.virtual])
        held = round(share * len(useful))
        if not 0 < held < len(useful):
            raise PhotoSetError(
                f"photo set {self.name!r} has {len(useful)} clusters with matching photos: "
                f"too few to hold out a share of {share} for validation; give a validation set"
            )
        chosen = np.random.default_rng(seed).choice(useful, held, replace=False)
        out = np.isin(self.clusters, chosen)
        return self.keep(~out), self.keep(out)


def join(sets: Sequence[PhotoSet]) -> PhotoSet:
    """One set of several, or of none: photos and clusters of different sets are different things.

    Geometry stays where all of them have it.
    """
    if not sets:
        return PhotoSet("", (), np.zeros(0, np.int64))
    if len(sets) == 1:
        return sets[0]
    offset = np.cumsum([0] + [len(s.photos) for s in sets])
    clusters, base = [], 0
    for part in sets:
        clusters.append(part.clusters + base)
        base += int(part.clusters.max(initial=-1)) + 1
    width = max(part.negatives.shape[1] for part in sets)
    negatives = [
        np.pad(
            np.where(s.negatives >= 0, s.negatives + o, -1),
            ((0, 0), (0, width - s.negatives.shape[1])),
            constant_values=-1,
        )
        for s, o in zip(sets, offset, strict=False)
    ]
    geometries = [part.geometry for part in sets if part.geometry is not None]
    return PhotoSet(
        name=" + ".join(s.name for s in sets),
        photos=tuple(p for s in sets for p in s.photos),
        clusters=np.concatenate(clusters),
        pairs=np.concatenate([s.pairs + o for s, o in zip(sets, offset, strict=False)]),
        negatives=np.concatenate(negatives),
        virtual=np.concatenate([s.virtual for s in sets]),
        unpaired=np.concatenate([s.unpaired for s in sets]),
        candidates=np.concatenate(
            [
                (np.arange(len(s.photos)) if s.candidates is None else s.candidates) + o
                for s, o in zip(sets, offset, strict=False)
            ]
        ),
        geometry=join_geometry(geometries) if len(geometries) == len(sets) else None,
        skipped=tuple(line for s in sets for line in s.skipped),
        boxes=tuple(box for s in sets for box in s.boxes),
    )


def join_geometry(parts: Sequence[Geometry]) -> Geometry:
    """The geometry of photos of several models, in order: points of different models are different points."""
    return Geometry(
        np.concatenate([part.centres for part in parts]),
        csr_array(block_diag([part.visible for part in parts], format="csr", dtype=bool)),
        np.concatenate([part.scales for part in parts]),
    )


def from_labels(name: str, photos: Sequence[Path], labels: Sequence[str], **more: object) -> PhotoSet:
    """A set whose clusters are the distinct labels, numbered in sorted order."""
    _, clusters = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    return PhotoSet(name, tuple(photos), clusters.astype(np.int64), **more)  # type: ignore[arg-type]


def components(n: int, edges: Pairs) -> Rows:
    """Clusters of n photos as the connected parts of matching ``edges (m, 2)``: ``(n,)``."""
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(edges), bool)
    graph = csr_array((ones, (edges[:, 0], edges[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)
