"""One self-contained page with queries, hits, scores and rejected files."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
from jinja2 import Environment, PackageLoader

from reseen.errors import PhotoRejected
from reseen.images import Longest, load_photo, resize_to
from reseen.search.ranking import Point, Ranking

THUMBNAIL = 320
"""Longest side of the page's pictures, in pixels."""


def write_page(
    path: str | os.PathLike[str],
    rankings: Sequence[Ranking],
    rejected: Sequence[PhotoRejected] = (),
    *,
    title: str = "Photos of the same thing",
) -> None:
    """Write the page; pictures are inside it as data URIs, photos that are gone show the reason."""
    shown: dict[str, dict[str, Any]] = {}
    queries = []
    for ranking in rankings:
        hits = [
            {
                "rank": hit.rank,
                "score": hit.score,
                "share": round(100 * min(max(hit.score, 0), 1)),
                "label": hit.label,
                "photo": _photo(hit.path, shown, hit.match.outline if hit.match else ()),
            }
            for hit in ranking
        ]
        outline: Sequence[Point] = ()
        if ranking.box is not None:
            x0, y0, x1, y1 = ranking.box
            outline = ((x0, y0), (x1, y0), (x1, y1), (x0, y1))
        queries.append({"photo": _photo(ranking.query, shown, outline), "hits": hits})
    environment = Environment(loader=PackageLoader("reseen.search", "."), autoescape=True)
    page = environment.get_template("page.html.j2").render(title=title, queries=queries, rejected=rejected)
    Path(path).write_text(page, encoding="utf-8")


def _photo(name: str | None, shown: dict[str, dict[str, Any]], outline: Sequence[Point]) -> dict[str, Any]:
    """What the template shows of a photo; each photo is decoded once."""
    key = name or ""
    if key not in shown:
        shown[key] = _thumbnail(key)
    return {**shown[key], "outline": outline}


def _thumbnail(name: str) -> dict[str, Any]:
    try:
        photo = load_photo(name, at_least=THUMBNAIL)
    except PhotoRejected as error:
        return {"name": name, "picture": None, "reason": error.reason}
    width, height = Longest(THUMBNAIL).target(*photo.size)
    small = resize_to(photo.pixels, width, height)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    picture = "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()
    return {"name": name, "picture": picture, "width": width, "height": height, "full": photo.size}
