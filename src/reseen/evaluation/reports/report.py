"""One page that shows what happened: the table, curves, differences, and the worst queries with their photos."""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from reseen.errors import PhotoRejected
from reseen.evaluation.protocol import card_lines
from reseen.evaluation.reports import results
from reseen.evaluation.reports.compare import Comparison, compare
from reseen.evaluation.reports.figures import figure, svg
from reseen.evaluation.reports.results import Result, percent, signed
from reseen.images import check_box, load_photo

SIDE = 132
"""Height of thumbnails, in pixels."""
WORST, HITS, CHANGED = 12, 8, 10


def write_report(path: Path, runs: Sequence[Result], compared: Sequence[tuple[Result, Result]] | None = None) -> None:
    """Write the page; everything it shows is inside it.

    Args:
        path: of the page.
        runs: as ``Run.to_json`` gives them.
        compared: pairs of runs whose differences are shown; by default each recipe against the first one.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reseen.evaluation", "."), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"percent": percent, "signed": signed}
    columns, rows = results.table(runs)
    pairs = list(compared) if compared is not None else _against_first(runs)
    thumbnails = lru_cache(None)(thumbnail)
    page = environment.get_template("report.html.j2").render(
        columns=columns,
        rows=rows,
        runs=[_shown(run, label, thumbnails) for run, label in zip(runs, results.labels(runs), strict=True)],
        curves=[_curves(name, listed) for name, listed in _by_benchmark(runs).items()],
        differences=[_difference(compare(a, b)) for a, b in pairs],
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def thumbnail(photo: str, box: tuple[float, ...] | None = None) -> str | None:
    """A photo as a ``data:`` address, only what its box holds; None when it cannot be read."""
    try:
        loaded = load_photo(photo, at_least=None if box else 2 * SIDE)
        pixels = loaded.pixels
        if box is not None:
            x0, y0, x1, y1 = check_box((box[0], box[1], box[2], box[3]), loaded.size)
            sx, sy = pixels.shape[1] / loaded.size[0], pixels.shape[0] / loaded.size[1]
            pixels = pixels[
                int(y0 * sy) : max(int(y1 * sy), int(y0 * sy) + 1), int(x0 * sx) : max(int(x1 * sx), int(x0 * sx) + 1)
            ]
    except PhotoRejected:
        return None
    image = Image.fromarray(pixels)
    image.thumbnail((2 * SIDE, SIDE))
    data = io.BytesIO()
    image.save(data, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode()


def _by_benchmark(runs: Sequence[Result]) -> dict[str, list[Result]]:
    grouped: dict[str, list[Result]] = {}
    for run in runs:
        grouped.setdefault(run["benchmark"], []).append(run)
    return grouped


def _against_first(runs: Sequence[Result]) -> list[tuple[Result, Result]]:
    return [(listed[0], other) for listed in _by_benchmark(runs).values() for other in listed[1:]]


def _shown(run: Result, label: str, thumbnails: Any) -> dict[str, Any]:
    """A run for the page, its worst queries with pictures."""
    scored = [query for query in run["per_query"] if query["ap"] is not None]
    worst = sorted(scored, key=lambda query: (query["ap"], query["query"]))[:WORST]
    return {
        **run,
        "label": label,
        "cell": results.cell(run),
        "card": card_lines(run["protocol"]),
        "worst": [
            {
                **query,
                "name": _short(query["query"]),
                "image": thumbnails(query["query"], tuple(query["box"]) if query["box"] else None),
                "hits": [_pictured(hit, thumbnails) for hit in query["hits"][:HITS]],
                "wanted": None
                if any(hit["mark"] == "positive" for hit in query["hits"][:HITS])
                else _pictured({"path": query["wanted"]}, thumbnails),
            }
            for query in worst
        ],
    }


def _pictured(hit: Result, thumbnails: Any) -> dict[str, Any]:
    return {**hit, "name": _short(hit["path"]), "image": thumbnails(hit["path"])}


def _short(path: str) -> str:
    """A photo's name and its folder."""
    return "/".join(Path(path).parts[-2:])


def _difference(found: Comparison) -> dict[str, Any]:
    """A comparison for the page: the queries that changed most, both ways, and a bar for each query."""
    changed = [entry for entry in found.queries if entry[1] != entry[2]]
    lost = [entry for entry in changed if entry[2] < entry[1]][:CHANGED]
    won = [entry for entry in reversed(changed) if entry[2] > entry[1]][:CHANGED]
    return {
        "comparison": found,
        "lost": [(_short(name), a, b) for name, a, b in lost],
        "won": [(_short(name), a, b) for name, a, b in won],
        "bars": _bars([b - a for _, a, b in found.queries]),
    }


def _curves(benchmark: str, runs: Sequence[Result]) -> str:
    """Mean interpolated precision by recall, and how many queries have a relevant photo by rank; a line per run."""
    drawn = figure(10.6, 3.4)
    by_recall, by_rank = drawn.subplots(1, 2)
    styles = itertools.cycle(("-", "--", "-.", ":"))
    for run, label, style in zip(runs, results.labels(runs), styles, strict=False):
        precision = [np.nan if value is None else value for value in run["curve"]]
        by_recall.plot(np.linspace(0, 1, len(precision)), precision, style, label=label)
        first = np.sort([query["first"] or np.inf for query in run["per_query"] if query["ap"] is not None])
        ranks = np.unique(np.round(np.geomspace(1, max(run["protocol"]["database"], 2), 60)))
        by_rank.plot(ranks, np.searchsorted(first, ranks, "right") / max(len(first), 1), style, label=label)
    by_recall.set(xlim=(0, 1), xlabel="recall", ylabel="precision", title=benchmark)
    by_rank.set(xscale="log", xlim=(1, None), xlabel="rank", ylabel="queries with a relevant photo", title=benchmark)
    by_rank.xaxis.set_major_formatter("{x:g}")
    for axes in (by_recall, by_rank):
        axes.set_ylim(0, 1.02)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, loc="lower left" if axes is by_recall else "lower right")
    return svg(drawn)


def _bars(deltas: Sequence[float]) -> str:
    """A bar per query, drawn as two areas: as small for ten thousand queries as for ten."""
    drawn = figure(9, 1.8)
    axes = drawn.add_subplot()
    heights = np.array([*deltas, 0.0])
    edges = np.arange(len(heights)) - 0.5
    for part, colour in ((np.maximum(heights, 0), "#1a9850"), (np.minimum(heights, 0), "#d73027")):
        axes.fill_between(edges, part, step="post", color=colour, linewidth=0)
    axes.axhline(0, color="#555", linewidth=0.6)
    reach = max(0.1, *np.abs(heights)) * 1.05
    axes.set(xlabel="queries, by difference", ylabel="AP", xlim=(-0.5, len(deltas) - 0.5), ylim=(-reach, reach))
    return svg(drawn)
