"""Which photos of a labelled collection become queries, candidate negatives and matching pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from reseen.local_features import LocalFeatures
from reseen.search.geometry import match, verify
from reseen.training.mining.negatives import Labels
from reseen.types import Pairs, Rows, Vectors

Model = Literal["affine", "homography", "fundamental"]
Agreement = Model | Literal["geometry"]
"""What the matches of a pair agree with; ``geometry`` is re-ranking's own verification."""
MINIMUM: dict[Agreement, int] = {"affine": 3, "homography": 4, "fundamental": 7, "geometry": 4}
"""Matches from which a model is made: any so many agree."""
RATIO = 0.8
"""Of the ratio test, for the models that are fitted to all matches at once."""


def choose_queries(clusters: Labels, *, share: float = 0.1, most: int = 30, seed: int = 0) -> Rows:
    """Training queries: ``share`` of each cluster, at least one, at most ``most`` (siaMAC, Section 5.1).

    Clusters of one photo give none. ``(q,)`` photo numbers, sorted.
    """
    random = np.random.default_rng(seed)
    chosen = [
        random.choice(rows, min(most, max(1, round(share * len(rows)))), replace=False)
        for rows in _members(clusters)
        if len(rows) > 1
    ]
    return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64)


def choose_candidates(clusters: Labels, used: Rows, *, extra: int = 20, seed: int = 0) -> Rows:
    """The pool of negatives: ``used`` photos and ``extra`` others of each cluster (siaMAC, Section 5.1)."""
    random = np.random.default_rng(seed)
    taken = np.zeros(len(clusters), bool)
    taken[used] = True
    for rows in _members(clusters):
        free = rows[~taken[rows]]
        taken[random.choice(free, min(extra, len(free)), replace=False)] = True
    return np.flatnonzero(taken)


def random_pairs(clusters: Labels, *, per_cluster: int = 50, seed: int = 0) -> NDArray[np.int64]:
    """``per_cluster`` different matching pairs of each cluster, ``(m, 2)`` (REMAP, Section IV-A: 50).

    Small clusters give all the pairs they have; clusters of one photo give none.
    """
    random = np.random.default_rng(seed)
    pairs = []
    for rows in _members(clusters):
        first, second = np.triu_indices(len(rows), 1)
        take = random.permutation(len(first))[:per_cluster]
        pairs.append(np.stack([rows[first[take]], rows[second[take]]], 1))
    return np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)


def middle_photos(vectors: Vectors, clusters: Labels) -> Rows:
    """The photo of each cluster that is most like all of it, ``(c,)`` photo numbers.

    REMAP, Section IV-A, chooses a query of each class by hand; this stands in for the hand.
    """
    return np.array([rows[(vectors[rows] @ vectors[rows].sum(0)).argmax()] for rows in _members(clusters)], np.int64)


def near_chosen(vectors: Vectors, clusters: Labels, chosen: Rows, farthest: float) -> NDArray[np.bool_]:
    """``(n,)``: False for photos farther than ``farthest`` from their cluster's chosen query.

    REMAP, Section IV-A drops such photos; clusters without a chosen query are kept whole.
    """
    keep = np.ones(len(clusters), bool)
    for query in chosen:
        rows = np.flatnonzero(clusters == clusters[query])
        keep[rows] = np.linalg.norm(vectors[rows] - vectors[query], axis=1) <= farthest
    return keep


def verified(inliers: NDArray[np.int64], least: int = 5, most: int = 30) -> NDArray[np.bool_]:
    """Pairs that are neither hopeless nor trivial: ``least`` to ``most`` inliers (REMAP, Section IV-A)."""
    return (inliers >= least) & (inliers <= most)


def inliers(
    pairs: Pairs, features: Mapping[int, LocalFeatures], model: Agreement = "affine", *, threads: int = 1
) -> NDArray[np.int64]:
    """How many matches of each pair of photos ``(m, 2)`` agree with one model, ``(m,)``; 0 for photos without features.

    Args:
        pairs: numbers of photos.
        features: of each photo, by number.
        model: see :func:`agreeing`; ``geometry`` counts the places that :func:`reseen.search.geometry.verify` does.
        threads: of ``geometry``.
    """
    counts = np.zeros(len(pairs), np.int64)
    readable = [place for place, pair in enumerate(pairs.tolist()) if features.keys() >= set(pair)]
    for number in np.unique(pairs[readable, 0]).tolist():
        places = [place for place in readable if pairs[place, 0] == number]
        query, photos = features[number], [features[other] for other in pairs[places, 1].tolist()]
        if model == "geometry":
            counts[places] = [found.inliers for found in verify(query, photos, threads=threads)]
            continue
        vectors = query.vectors()
        for place, photo in zip(places, photos, strict=True):
            found = match(vectors, photo.vectors(), RATIO)
            first, second = query.points[found.query], photo.points[found.photo]
            counts[place] = agreeing(first.astype(np.float32), second.astype(np.float32), model)
    return counts


def agreeing(
    first: NDArray[np.float32], second: NDArray[np.float32], model: Model = "affine", threshold: float = 5.0
) -> int:
    """How many matched places ``(m, 2)`` and ``(m, 2)`` agree with one model, by RANSAC; 0 when there is none.

    An ``affine`` model or a ``homography`` is of a plane, made from :data:`MINIMUM` matches, so that the lower bound of
    REMAP's 5 to 30 inliers (Section IV-A) excludes something; a ``fundamental`` matrix of any scene has 7 of its own.
    """
    if len(first) < max(MINIMUM[model], 8 if model == "fundamental" else 0):
        return 0
    try:
        if model == "affine":
            _, mask = cv2.estimateAffine2D(first, second, None, cv2.RANSAC, threshold, 2000, 0.999)
        elif model == "homography":
            _, mask = cv2.findHomography(first, second, cv2.RANSAC, threshold, None, 2000, 0.999)
        else:
            _, mask = cv2.findFundamentalMat(first, second, cv2.USAC_MAGSAC, threshold, 0.999, 2000)
    except cv2.error:  # OpenCV's assertion on matches that lie so that no matrix exists
        return 0
    return 0 if mask is None else int(mask.sum())


def _members(clusters: Labels) -> Sequence[Rows]:
    """Photo numbers of each cluster, clusters in order of their labels."""
    order = np.argsort(clusters, kind="stable")
    _, starts = np.unique(clusters[order], return_index=True)
    return np.split(order, starts[1:])
