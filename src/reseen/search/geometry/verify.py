"""A homography or a fundamental matrix by MAGSAC, refused where no camera could have seen it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reseen.search.geometry.matching import Pairs, match_shortlist
from reseen.search.local.base import LocalFeatures

Polygon = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Geometry:
    """Settings of the verification; pixels are those of the extracted photos.

    Args:
        ratio: threshold of the ratio test.
        threshold: MAGSAC's largest residual in pixels.
        iterations: at most so many samples for a model.
        guided: half width in pixels of the search of the second pass, 0 for none.
        seed: of the sampler; the same seed gives the same ranking.
        least: fewer inliers are no match at all.
        mirror: accept homographies that turn the object over.
        area: a seen object is at most this many times larger or smaller than in the query.
    """

    ratio: float = 0.9
    threshold: float = 4.0
    iterations: int = 1000
    guided: float = 6.0
    seed: int = 0
    least: int = 6
    mirror: bool = False
    area: float = 60.0


@dataclass(frozen=True)
class Verification:
    """How a photo matches the query.

    Attributes:
        inliers: places (not keypoints) that agree with the model.
        tentative: matches before the model.
        kind: ``homography``, ``fundamental`` or ``none``.
        model: 3 x 3, query to photo in full-photo pixels (row by row), empty for ``none``.
        outline: the query's frame or box as seen in the photo, in its full pixels; empty without homography.
        lines: ``(x, y, x', y')`` of the inliers in full pixels of query and photo.
        coverage: share of the query's frame or box that the inliers' convex hull covers.
    """

    inliers: int
    tentative: int
    kind: str
    model: tuple[float, ...]
    outline: Polygon
    lines: tuple[tuple[float, float, float, float], ...]
    coverage: float


def verify(
    query: LocalFeatures,
    photos: Sequence[LocalFeatures],
    settings: Geometry | None = None,
    box: tuple[float, float, float, float] | None = None,
    threads: int = 4,
) -> list[Verification]:
    """Match a query, or its box, with every photo of a shortlist: one :class:`Verification` each, in order."""
    chosen = settings or Geometry()
    inside = query.inside(box)
    frame = np.array(box if box is not None else (0, 0, *query.size), np.float64).reshape(2, 2)
    pairs = match_shortlist(inside, photos, chosen.ratio, max(1, threads))

    def one(job: tuple[LocalFeatures, Pairs]) -> Verification:
        return _verify_pair(inside, job[0], job[1], frame, chosen)

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with ThreadPoolExecutor(max(1, threads)) as pool:
            return list(pool.map(one, zip(photos, pairs, strict=True)))
    finally:
        cv2.setNumThreads(before)


def _verify_pair(
    query: LocalFeatures, photo: LocalFeatures, pairs: Pairs, frame: NDArray[np.float64], settings: Geometry
) -> Verification:
    tentative = len(pairs.query)
    if tentative < settings.least:
        return Verification(0, tentative, "none", (), (), (), 0.0)
    q, p = query.points.astype(np.float64), photo.points.astype(np.float64)
    corners = _corners(frame, query)
    best: tuple[int, str, NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]] | None = None
    h, seen = cv2.findHomography(q[pairs.query], p[pairs.photo], _usac(settings))
    if h is not None and plausible(h, corners, settings):
        rows, columns = pairs.query[seen.ravel() > 0], pairs.photo[seen.ravel() > 0]
        if settings.guided:
            h, rows, columns = _guided(h, q, p, pairs, rows, columns, corners, settings)
        best = (distinct(q[rows], p[columns]), "homography", h, rows, columns)
    if tentative >= 2 * settings.least + 2 and (best is None or best[0] < tentative // 2):
        f, seen = cv2.findFundamentalMat(q[pairs.query], p[pairs.photo], _usac(settings))
        if f is not None and f.shape == (3, 3):
            rows, columns = pairs.query[seen.ravel() > 0], pairs.photo[seen.ravel() > 0]
            # any 7 points fit some fundamental matrix, and an epipolar line catches many by chance
            count = distinct(q[rows], p[columns]) // 2
            if count > (best[0] if best else settings.least):
                best = (count, "fundamental", f, rows, columns)
    if best is None or best[0] < settings.least:
        return Verification(0, tentative, "none", (), (), (), 0.0)
    inliers, kind, model, rows, columns = best
    outline: Polygon = ()
    if kind == "homography":
        seen_corners = cv2.perspectiveTransform(corners[None], model)[0] / photo.scale + np.array(photo.size) / 2
        outline = tuple((float(x), float(y)) for x, y in seen_corners)
    hull = cv2.contourArea(cv2.convexHull(q[rows].astype(np.float32)))
    coverage = float(min(1.0, hull / max(cv2.contourArea(corners.astype(np.float32)), 1.0)))
    ends = np.hstack([query.pixels()[rows], photo.pixels()[columns]])
    lines = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in ends)
    full = _in_full_pixels(model, query, photo, kind)
    return Verification(inliers, tentative, kind, tuple(map(float, full.ravel())), outline, lines, coverage)


def _usac(settings: Geometry) -> cv2.UsacParams:
    params = cv2.UsacParams()
    params.score = cv2.SCORE_METHOD_MAGSAC
    params.loMethod = cv2.LOCAL_OPTIM_SIGMA
    params.sampler = cv2.SAMPLING_UNIFORM
    params.threshold = settings.threshold
    params.maxIterations = settings.iterations
    params.confidence = 0.999
    params.randomGeneratorState = settings.seed
    params.isParallel = False
    return params


def plausible(h: NDArray[np.float64], corners: NDArray[np.float64], settings: Geometry) -> bool:
    """Whether a camera can see the query's frame so: in front, convex, not turned over, not tiny."""
    if not np.isfinite(h).all():
        return False
    homogeneous = np.hstack([corners, np.ones((4, 1))]) @ h.T
    depth = homogeneous[:, 2]
    if depth.min() * depth.max() <= 0 or abs(depth).min() < 0.1 * abs(depth).max():
        return False
    seen = homogeneous[:, :2] / depth[:, None]
    turns = _turns(seen)
    if not ((turns > 0).all() or (settings.mirror and (turns < 0).all())):
        return False
    growth = cv2.contourArea(seen.astype(np.float32)) / max(cv2.contourArea(corners.astype(np.float32)), 1e-9)
    return bool(1 / settings.area < growth < settings.area)


def _turns(polygon: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross products at the corners: all positive for a convex polygon in the frame's own direction."""
    ahead = np.roll(polygon, -1, 0) - polygon
    behind = np.roll(ahead, 1, 0)
    return np.asarray(behind[:, 0] * ahead[:, 1] - behind[:, 1] * ahead[:, 0])


def distinct(query: NDArray[np.float64], photo: NDArray[np.float64], cell: float = 3.0) -> int:
    """Inliers that lie apart in both photos: SIFT repeats a keypoint with several orientations and scales."""
    if not len(query):
        return 0
    places = [len(np.unique(np.floor(x / cell), axis=0)) for x in (query, photo)]
    return min(places)


def _guided(
    h: NDArray[np.float64],
    q: NDArray[np.float64],
    p: NDArray[np.float64],
    pairs: Pairs,
    rows: NDArray[np.int64],
    columns: NDArray[np.int64],
    corners: NDArray[np.float64],
    settings: Geometry,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Match again near the place where the model sees each keypoint, and fit again.

    Instead of the ratio test a match must be better than everything elsewhere in the photo: with a bare
    threshold, unrelated photos gather dozens of matches under any model.
    """
    expected = cv2.perspectiveTransform(q[None], h)[0]
    gap = ((expected[:, None, :] - p[None]) ** 2).sum(2)
    close = gap < settings.guided**2
    near = np.where(close, pairs.similarity, -1.0)
    elsewhere = np.where(close, -1.0, pairs.similarity).max(1)
    right, left = near.argmax(1), near.argmax(0)
    ours = np.arange(len(q))
    good = np.flatnonzero((left[right] == ours) & (near[ours, right] > elsewhere))
    if len(good) <= len(rows):
        return h, rows, columns
    refined, _ = cv2.findHomography(q[good], p[right[good]], 0)
    if refined is None or not plausible(refined, corners, settings):
        return h, good, right[good]
    return refined, good, right[good]


def _corners(frame: NDArray[np.float64], features: LocalFeatures) -> NDArray[np.float64]:
    (x0, y0), (x1, y1) = (frame - np.array(features.size) / 2) * features.scale
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)


def _in_full_pixels(
    model: NDArray[np.float64], query: LocalFeatures, photo: LocalFeatures, kind: str
) -> NDArray[np.float64]:
    """The same model between full photos instead of centred, reduced ones."""
    a, b = _centring(query), _centring(photo)
    if kind == "homography":
        full = np.linalg.inv(b) @ model @ a
        return np.asarray(full / full[2, 2])
    return np.asarray(b.T @ model @ a)


def _centring(features: LocalFeatures) -> NDArray[np.float64]:
    s, (w, h) = features.scale, features.size
    return np.array([[s, 0, -s * w / 2], [0, s, -s * h / 2], [0, 0, 1.0]])
