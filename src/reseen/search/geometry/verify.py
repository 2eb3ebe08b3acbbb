"""Whether a query and the photos of a shortlist show one rigid object, or one scene."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from reseen.local_features import LocalFeatures
from reseen.search.geometry.matching import match
from reseen.search.geometry.models import Geometry, Model, fundamental, homography
from reseen.search.geometry.threads import one_thread_each
from reseen.search.geometry.voting import agreeing
from reseen.search.local.sift import mirrored
from reseen.types import Box

Polygon = tuple[tuple[float, float], ...]

SCENE = 8
"""Places that must agree before a fundamental matrix, which has 7 degrees of freedom, is asked for."""


@dataclass(frozen=True)
class Verification:
    """How a photo matches the query.

    Attributes:
        votes: places (not keypoints) that agree on one similarity transform, loosely.
        inliers: places that agree with the model; half of them for a fundamental matrix of features without frames.
        tentative: matches before either.
        strength: sum of the margins of the matches that agree (see ``Pairs``): a few distinctive ones outweigh many
            of repeated texture.
        kind: ``homography``, ``fundamental`` or ``none``.
        model: 3 x 3, query to photo in full-photo pixels (row by row), empty for ``none``.
        outline: the query's frame or box as seen in the photo, in its full pixels; empty without homography.
        lines: ``(x, y, x', y')`` of the inliers in full pixels of query and photo.
        coverage: share of the query's frame or box that a homography's inliers cover with their convex hull.
        mirrored: the photo shows the query as a mirror does.
    """

    votes: int
    inliers: int
    tentative: int
    kind: str
    model: tuple[float, ...] = ()
    outline: Polygon = ()
    lines: tuple[tuple[float, float, float, float], ...] = ()
    coverage: float = 0.0
    mirrored: bool = False
    strength: float = 0.0

    @property
    def explained(self) -> float:
        """Share of the votes that the model explains; chance agreement seldom is one plane."""
        return self.inliers / max(self.votes, 1)


def verify(
    query: LocalFeatures,
    photos: Sequence[LocalFeatures],
    settings: Geometry | None = None,
    box: Box | None = None,
    threads: int = 4,
) -> list[Verification]:
    """Match a query, or its box, with every photo of a shortlist: one :class:`Verification` each, in order.

    Each photo is matched and verified as one piece of work by one of ``threads``: its products stay in the cache,
    which is several times faster than one product for the whole shortlist.
    """
    chosen = settings or Geometry()
    frame = box if box is not None else (0.0, 0.0, float(query.size[0]), float(query.size[1]))
    sides = [_Side.of(query.inside(box), frame, turned_over=False)]
    if chosen.mirror:
        width = query.size[0]
        flipped = (width - frame[2], frame[1], width - frame[0], frame[3])
        sides.append(_Side.of(mirrored(query.inside(box)), flipped, turned_over=True))

    def one(photo: LocalFeatures) -> Verification:
        return max((_verify_pair(side, photo, chosen) for side in sides), key=lambda found: found.votes)

    with one_thread_each(), ThreadPoolExecutor(max(1, threads)) as pool:
        return list(pool.map(one, photos))


@dataclass(frozen=True)
class _Side:
    """The query as it is matched, with what does not depend on the photo."""

    features: LocalFeatures
    vectors: NDArray[np.float32]
    corners: NDArray[np.float64]
    turned_over: bool

    @classmethod
    def of(cls, features: LocalFeatures, frame: Box, *, turned_over: bool) -> _Side:
        (x0, y0), (x1, y1) = (np.array(frame).reshape(2, 2) - np.array(features.size) / 2) * features.scale
        corners = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float64)
        return cls(features, features.vectors(), corners, turned_over)


def _verify_pair(side: _Side, photo: LocalFeatures, settings: Geometry) -> Verification:
    query = side.features
    if query.codes.shape[1] != photo.codes.shape[1]:
        sizes = f"{query.codes.shape[1]} and {photo.codes.shape[1]}"
        raise ValueError(f"descriptors of {sizes} dimensions come from two extractors and cannot be matched")
    pairs = match(side.vectors, photo.vectors(), settings.ratio)
    nothing = Verification(0, 0, len(pairs), "none")
    if len(pairs) < settings.least:
        return nothing
    q, p = query.points.astype(np.float64), photo.points.astype(np.float64)
    rows = np.arange(len(pairs))
    framed = query.frames is not None and photo.frames is not None
    if query.frames is not None and photo.frames is not None:
        places = q[pairs.query].astype(np.float32), p[pairs.photo].astype(np.float32)
        frames = query.frames[pairs.query], photo.frames[pairs.photo]
        rows = np.flatnonzero(agreeing(*places, *frames, upright=settings.upright))
    votes = distinct(q[pairs.query[rows]], p[pairs.photo[rows]])
    nothing = replace(nothing, votes=votes, strength=float(pairs.margin[rows].sum()))
    if votes < settings.least:
        return nothing
    plane = homography(q, p, pairs, rows, side.corners, settings)
    inliers = _places(plane, q, p)
    model = plane
    if votes >= SCENE and 2 * inliers < votes:
        scene = fundamental(q, p, pairs, rows, settings)
        # matches fit some epipolar geometry too easily for it to beat a plane of half as many
        if _places(scene, q, p) > max(SCENE, 2 * inliers):
            model, inliers = scene, _places(scene, q, p) // (1 if framed else 2)
    if not framed:  # without directions and sizes nothing voted: the model's own places count
        agree = np.isin(pairs.query, model.query) if model is not None else np.zeros(len(pairs), bool)
        votes, nothing = inliers, replace(nothing, votes=inliers, strength=float(pairs.margin[agree].sum()))
    if model is None or inliers < settings.least:
        return nothing
    return _described(replace(nothing, votes=votes, inliers=inliers, kind=model.kind), model, side, photo)


def _described(found: Verification, model: Model, side: _Side, photo: LocalFeatures) -> Verification:
    """The same with the model, its outline and its lines in pixels of the full photos."""
    query = side.features
    over = np.diag([-1.0 if side.turned_over else 1.0, 1.0, 1.0])
    a, b = _centring(query), _centring(photo)
    full = b.T @ model.matrix @ over @ a
    outline: Polygon = ()
    coverage = 0.0
    if model.kind == "homography":
        full = np.linalg.inv(b) @ model.matrix @ over @ a
        full = full / full[2, 2]
        corners = cv2.perspectiveTransform(side.corners[None], model.matrix)[0] / photo.scale + np.array(photo.size) / 2
        outline = tuple((float(x), float(y)) for x, y in corners)
        hull = cv2.contourArea(cv2.convexHull(query.points[model.query].astype(np.float32)))
        coverage = float(min(1.0, hull / max(cv2.contourArea(side.corners.astype(np.float32)), 1.0)))
    starts = query.pixels()[model.query]
    if side.turned_over:
        starts[:, 0] = query.size[0] - starts[:, 0]
    ends = photo.pixels()[model.photo]
    lines = tuple((float(a), float(b), float(c), float(d)) for (a, b), (c, d) in zip(starts, ends, strict=True))
    return replace(
        found,
        model=tuple(map(float, full.ravel())),
        outline=outline,
        lines=lines,
        coverage=coverage,
        mirrored=side.turned_over,
    )


def _places(model: Model | None, q: NDArray[np.float64], p: NDArray[np.float64]) -> int:
    return 0 if model is None else distinct(q[model.query], p[model.photo])


def distinct(query: NDArray[np.float64], photo: NDArray[np.float64], cell: float = 3.0) -> int:
    """Inliers that lie apart in both photos: SIFT repeats a keypoint with several orientations and scales."""
    if not len(query):
        return 0
    places = [len(set(map(tuple, np.floor(x / cell).tolist()))) for x in (query, photo)]
    return min(places)


def _centring(features: LocalFeatures) -> NDArray[np.float64]:
    """From full pixels to extracted, centred ones."""
    s, (w, h) = features.scale, features.size
    return np.array([[s, 0, -s * w / 2], [0, s, -s * h / 2], [0, 0, 1.0]])
