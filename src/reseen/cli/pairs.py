"""Pairs of photos as JSON, as CSV, as a page and as a table: what ``duplicates``, ``groups`` and ``match`` share."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reseen import schema
from reseen.cli import console

if TYPE_CHECKING:
    from reseen.collections import Collection
    from reseen.collections.pairs import Pair
    from reseen.collections.table import Row

Depth = Annotated[
    int, typer.Option("--depth", min=1, help="Photos that each is compared with: so many by vectors, and by words.")
]
Csv = Annotated[Path | None, typer.Option("--csv", help="Write the pairs as a table.")]
Html = Annotated[Path | None, typer.Option("--html", help="Write a page with the pairs side by side.")]
DEPTH = 10
PAGE = 200
"""Photos or groups that a page shows at most."""
COLUMNS = ("group", "first", "second", "similarity", "inliers", "probability", "share", "overlap")


def photo(row: Row) -> schema.PairedPhoto:
    """A photo, JSON-able."""
    return {"id": row.id, "path": row.name, "label": row.label}


def pair(found: Pair, first: Row, second: Row) -> schema.Pair:
    """A pair, JSON-able."""
    return {
        "first": photo(first),
        "second": photo(second),
        "similarity": found.similarity,
        "inliers": found.inliers,
        "probability": found.probability,
        "share": found.share,
        "overlap": found.overlap,
    }


def listed(pairs: Sequence[Pair], held: Collection, other: Collection | None = None) -> list[schema.Pair]:
    """Pairs of photos of a collection, or of one and another."""
    rows = {row.id: row for row in held.photos()}
    theirs = rows if other is None else {row.id: row for row in other.photos()}
    return [pair(found, rows[found.first], theirs[found.second]) for found in pairs]


def write_csv(to: Path, groups: Sequence[Sequence[schema.Pair]]) -> None:
    """A line for each pair; the number of its group is the first column, counted from 1."""
    with to.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        table = csv.writer(file)
        table.writerow(COLUMNS)
        for number, pairs in enumerate(groups, 1):
            for one in pairs:
                values = [one["similarity"], one["inliers"], one["probability"], one["share"], one["overlap"]]
                shown = [f"{value:.4g}" if isinstance(value, float) else value for value in values]
                table.writerow([number, one["first"]["path"], one["second"]["path"], *shown])
    console.note(f"wrote {to}")


def write_page(
    to: Path, title: str, listed: Sequence[tuple[int, Sequence[int]]], held: Collection, other: Collection | None = None
) -> None:
    """A page of photos, each with those that were found for it, and where they agree."""
    from reseen.search import Hit, Ranking
    from reseen.search.page import Page

    page, within = Page(), other or held
    rows = {row.id: row for row in within.photos()}
    verified = within.manifest.local == held.manifest.local != "none"
    for asked, found in listed[:PAGE]:
        query = held.query(asked)
        scores = [0.0] * len(found)
        if within.fingerprint == held.fingerprint:
            scores = (within.vectors_of(found) @ held.vectors_of([asked])[0]).tolist()
        hits = [Hit(1, i, rows[i].name, score, rows[i].label) for i, score in zip(found, scores, strict=True)]
        ranking = Ranking(query.name, None, ()).reordered(hits)
        page.add(query, within.rerank(ranking, query, f"geometry:{len(found)}" if verified else "none"))
    page.write(to, title=title)
    rest = len(listed) - PAGE
    console.note(f"wrote {to}" + (f", the first {PAGE}; {rest} more are in --json and --csv" if rest > 0 else ""))


def by_first(pairs: Sequence[Pair]) -> list[tuple[int, list[int]]]:
    """Each first photo with its second ones, in order."""
    found: dict[int, list[int]] = {}
    for one in pairs:
        found.setdefault(one.first, []).append(one.second)
    return [*found.items()]


def lines(pairs: Sequence[schema.Pair]) -> Iterator[tuple[str, ...]]:
    """Pairs for people."""
    for one in pairs:
        probability = "" if one["probability"] is None else f"{one['probability']:.3f}"
        similarity = "" if one["similarity"] is None else f"{one['similarity']:.3f}"
        yield similarity, str(one["inliers"]), probability, one["first"]["path"], one["second"]["path"]


LINES = ("similarity", "inliers", "probability", "photo", "is also in")
