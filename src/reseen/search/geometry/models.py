"""A homography or a fundamental matrix of matched places by MAGSAC, refused where no camera could have seen it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from reseen.search.geometry.matching import Pairs
from reseen.types import Rows, Values


@dataclass(frozen=True)
class Geometry:
    """Settings of the verification; pixels are those of the extracted photos.

    Args:
        ratio: threshold of the ratio test.
        threshold: MAGSAC's largest residual in pixels.
        iterations: at most so many samples for a model.
        guided: half width in pixels of the search of the second pass, 0 for none.
        seed: of the sampler; the same seed gives the same ranking.
        least: pairs with fewer agreeing places are no match, and are not looked at further.
        upright: the object may be turned by 45 degrees at most.
        mirror: the query is also matched as a mirror shows it.
        area: a seen object is at most this many times larger or smaller than in the query.
    """

    ratio: float = 0.9
    threshold: float = 4.0
    iterations: int = 300
    guided: float = 6.0
    seed: int = 0
    least: int = 4
    upright: bool = False
    mirror: bool = False
    area: float = 60.0


@dataclass(frozen=True)
class Model:
    """A model and the rows of the features that agree with it.

    Attributes:
        kind: ``homography`` or ``fundamental``.
        matrix: 3 x 3, from the query's to the photo's extracted, centred pixels.
        query, photo: ``(m,)`` rows of the features.
    """

    kind: str
    matrix: Values
    query: Rows
    photo: Rows


def homography(q: Values, p: Values, pairs: Pairs, rows: Rows, corners: Values, settings: Geometry) -> Model | None:
    """The plane that explains the matches ``rows`` of ``pairs``, refined by a guided second pass; None for none.

    Args:
        q, p: ``(n, 2)`` and ``(k, 2)`` all places of query and photo.
        pairs: their matches.
        rows: of the matches to be explained.
        corners: ``(4, 2)`` of the query's frame, as :func:`plausible` needs them.
        settings: of the verification.
    """
    try:
        h, seen = cv2.findHomography(q[pairs.query[rows]], p[pairs.photo[rows]], _usac(settings))
    except cv2.error:  # points on a line, or all in one place
        return None
    if h is None or not plausible(h, corners, settings):
        return None
    inliers = rows[seen.ravel() > 0]
    found = Model("homography", h, pairs.query[inliers], pairs.photo[inliers])
    return _guided(found, q, p, pairs, corners, settings) if settings.guided else found


def fundamental(q: Values, p: Values, pairs: Pairs, rows: Rows, settings: Geometry) -> Model | None:
    """The epipolar geometry of the matches ``rows`` of ``pairs``, at least 8; None for none."""
    try:
        f, seen = cv2.findFundamentalMat(q[pairs.query[rows]], p[pairs.photo[rows]], _usac(settings))
    except cv2.error:
        return None
    if f is None or f.shape != (3, 3):
        return None
    inliers = rows[seen.ravel() > 0]
    return Model("fundamental", f, pairs.query[inliers], pairs.photo[inliers])


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


def plausible(h: Values, corners: Values, settings: Geometry) -> bool:
    """Whether a camera can see the query's frame so: in front, convex, not turned over, not tiny.

    The frame's ``corners (4, 2)`` are given clockwise from the top left.
    """
    if not np.isfinite(h).all():
        return False
    homogeneous = np.hstack([corners, np.ones((4, 1))]) @ h.T
    depth = homogeneous[:, 2]
    if depth.min() * depth.max() <= 0 or abs(depth).min() < 0.1 * abs(depth).max():
        return False
    seen = homogeneous[:, :2] / depth[:, None]
    if not (_turns(seen) > 0).all():
        return False
    along, down = seen[1] - seen[0]
    if settings.upright and along < abs(down):
        return False
    growth = cv2.contourArea(seen.astype(np.float32)) / max(cv2.contourArea(corners.astype(np.float32)), 1e-9)
    return bool(1 / settings.area < growth < settings.area)


def _turns(polygon: Values) -> Values:
    """Cross products at the corners: all positive for a convex polygon in the frame's own direction."""
    ahead = np.roll(polygon, -1, 0) - polygon
    behind = np.roll(ahead, 1, 0)
    return np.asarray(behind[:, 0] * ahead[:, 1] - behind[:, 1] * ahead[:, 0])


def _guided(found: Model, q: Values, p: Values, pairs: Pairs, corners: Values, settings: Geometry) -> Model:
    """Match again near the place where the model sees each keypoint, and fit again.

    Instead of the ratio test a match must be better than everything elsewhere in the photo: with a bare
    threshold, unrelated photos gather dozens of matches under any model.
    """
    expected = cv2.perspectiveTransform(q[None], found.matrix)[0].astype(np.float32)
    close = ((p.astype(np.float32)[:, None] - expected[None]) ** 2).sum(2) < settings.guided**2
    near = np.where(close, pairs.similarity, np.float32(-1))
    elsewhere = np.where(close, np.float32(-1), pairs.similarity).max(0)
    photo, back = near.argmax(0), near.argmax(1)
    ours = np.arange(len(q))
    good = np.flatnonzero((back[photo] == ours) & (near[photo, ours] > elsewhere))
    if len(good) <= len(found.query):
        return found
    refined, _ = cv2.findHomography(q[good], p[photo[good]], 0)
    if refined is None or not plausible(refined, corners, settings):
        refined = found.matrix
    return Model("homography", refined, good, photo[good])
