"""One self-contained page with queries, hits, why they match, and rejected files."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader

from reseen.errors import PhotoRejected
from reseen.images import Longest, resize_to
from reseen.search.query import Query
from reseen.search.ranking import Hit, Match, Ranking
from reseen.types import Point

THUMBNAIL = 320
"""Longest side of the page's pictures, in pixels."""
LINES = 60
"""Correspondences that are drawn between a query and a hit."""
SHOWN = 0.5
"""Probability from which a match is drawn; below it a model is more likely chance."""


class Page:
    """Queries and their hits, taken up one after the other; pictures are made at once, each photo's once."""

    def __init__(self) -> None:
        self._pictures: dict[str, dict[str, Any]] = {}
        self._queries: list[dict[str, Any]] = []

    def add(self, query: Query, ranking: Ranking) -> None:
        """Take up an answer; what the query has decoded is not decoded again."""
        photo = self._taken(query.path or f"query {len(self._queries)}", query)
        hits = [self._hit(hit) for hit in ranking]
        matches = [
            _match(hit.match, photo, self._shown(hit)) | {"rank": hit.rank}
            for hit in ranking
            if hit.match is not None and hit.match.lines and hit.match.probability >= SHOWN
        ]
        self._queries.append({"photo": photo, "outline": _corners(ranking), "hits": hits, "matches": matches})

    def write(
        self,
        path: str | os.PathLike[str],
        rejected: Sequence[PhotoRejected] = (),
        *,
        title: str = "Photos of the same thing",
    ) -> None:
        """Write the page; pictures are inside it as data URIs; photos that are gone show the reason."""
        environment = Environment(loader=PackageLoader("reseen.search", "."), autoescape=True)
        template = environment.get_template("page.html.j2")
        pictures = list(self._pictures.values())
        page = template.render(title=title, pictures=pictures, queries=self._queries, rejected=rejected)
        Path(path).write_text(page, encoding="utf-8")

    def _hit(self, hit: Hit) -> dict[str, Any]:
        sure = hit.match is not None and hit.match.probability >= SHOWN
        return {
            "rank": hit.rank,
            "score": hit.score,
            "share": round(100 * min(max(hit.score, 0), 1)),
            "label": hit.label,
            "probability": hit.match.probability if hit.match is not None else None,
            "why": hit.why,
            "photo": self._shown(hit),
            "outline": hit.match.outline if hit.match is not None and sure else (),
        }

    def _shown(self, hit: Hit) -> dict[str, Any]:
        name = hit.path or ""
        return self._taken(name, Query(name))

    def _taken(self, key: str, query: Query) -> dict[str, Any]:
        """What the template shows of a photo."""
        if key not in self._pictures:
            self._pictures[key] = {"number": len(self._pictures), **_thumbnail(query)}
        return self._pictures[key]


def _corners(ranking: Ranking) -> Sequence[Point]:
    if ranking.box is None:
        return ()
    x0, y0, x1, y1 = ranking.box
    return ((x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _match(match: Match, query: dict[str, Any], hit: dict[str, Any]) -> dict[str, Any]:
    """A hit to the right of its query, in thumbnail pixels: lines, the region that they cover in each, the outline."""
    step = max(1, -(-len(match.lines) // LINES))
    shift = query.get("width", 0) + 12
    (qx, qy), (hx, hy) = _reduction(query), _reduction(hit)
    ends = [((x * qx, y * qy), (u * hx, v * hy)) for (x, y), (u, v) in match.lines]
    return {
        "query": query,
        "photo": hit,
        "shift": shift,
        "lines": [(*start, end[0] + shift, end[1]) for start, end in ends[::step]],
        "regions": [_hull([pair[side] for pair in ends]) for side in (0, 1)],
        "outline": [(x * hx, y * hy) for x, y in match.outline],
        "inliers": match.inliers,
    }


def _hull(points: Sequence[Point]) -> Sequence[Point]:
    """Corners of the convex hull."""
    return [(float(x), float(y)) for ((x, y),) in cv2.convexHull(np.array(points, np.float32))]


def _reduction(photo: dict[str, Any]) -> tuple[float, float]:
    if photo["picture"] is None:
        return 0.0, 0.0
    return photo["width"] / photo["full"][0], photo["height"] / photo["full"][1]


def _thumbnail(query: Query) -> dict[str, Any]:
    try:
        photo = query.photo(THUMBNAIL)
    except PhotoRejected as error:
        return {"name": query.name, "picture": None, "reason": error.reason}
    width, height = Longest(THUMBNAIL).target(*photo.size)
    small = resize_to(photo.pixels, width, height)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    picture = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
    return {"name": query.name, "picture": picture, "width": width, "height": height, "full": photo.size}
