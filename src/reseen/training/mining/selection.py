"""Which photos of a labelled collection become queries, candidate negatives and matching pairs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from reseen.training.mining.negatives import Labels
from reseen.types import Rows, Vectors

SIDE = 640
"""Longest side in pixels at which photos are matched."""
Agreement = Literal["affine", "homography", "fundamental"]
"""What the matches of a pair agree with."""
MINIMUM: dict[Agreement, int] = {"affine": 3, "homography": 4, "fundamental": 7}
"""Matches from which a model is made: any so many agree."""


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


class PairMatcher:
    """Counts RANSAC inliers of SIFT matches between photos; keypoints of a photo are found once.

    Args:
        model: see :func:`agreeing`.
        features: keypoints kept per photo.
        ratio: Lowe's ratio test.
        threshold: RANSAC's, in pixels.
    """

    def __init__(
        self, model: Agreement = "affine", *, features: int = 1000, ratio: float = 0.8, threshold: float = 5.0
    ) -> None:
        self.model, self.ratio, self.threshold = model, ratio, threshold
        self._sift = cv2.SIFT.create(nfeatures=features)
        self._known: dict[int, tuple[NDArray[np.float32], NDArray[np.float32]]] = {}

    def add(self, number: int, pixels: NDArray[np.uint8]) -> None:
        """Find the keypoints of photo ``number``, ``uint8 (H, W, 3)``, with RootSIFT descriptors."""
        if number in self._known:
            return
        factor = min(1.0, SIDE / max(pixels.shape[:2]))
        grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
        if factor < 1:
            grey = cv2.resize(grey, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        points, found = self._sift.detectAndCompute(grey, None)
        places = np.array([p.pt for p in points], np.float32).reshape(-1, 2)
        rows = np.zeros((0, 128), np.float32) if found is None else np.asarray(found, np.float32)
        rows = np.sqrt(rows / np.maximum(rows.sum(1, keepdims=True), 1e-9))
        self._known[number] = (places, rows)

    def inliers(self, first: int, second: int) -> int:
        """Matches of two added photos that agree with one model."""
        (where_a, a), (where_b, b) = self._known[first], self._known[second]
        if min(len(a), len(b)) < 2:
            return 0
        matches = cv2.BFMatcher(cv2.NORM_L2).knnMatch(a, b, k=2)
        good = [m for m, n in matches if m.distance < self.ratio * n.distance]
        places = where_a[[m.queryIdx for m in good]], where_b[[m.trainIdx for m in good]]
        return agreeing(*places, self.model, self.threshold)


def agreeing(
    first: NDArray[np.float32], second: NDArray[np.float32], model: Agreement = "affine", threshold: float = 5.0
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
