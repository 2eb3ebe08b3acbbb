"""``reseen search``: photos of what a photo shows."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reseen.cli import console
from reseen.cli.collections import opened


def parse_box(text: str) -> tuple[float, float, float, float]:
    """``X0,Y0,X1,Y1`` in pixels of the upright photo."""
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not X0,Y0,X1,Y1") from None
    return x0, y0, x1, y1


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def search(
        collection: Annotated[str, typer.Argument(help="A collection.")],
        queries: Annotated[list[str], typer.Argument(help="Photos, or folders of photos.", metavar="QUERY...")],
        box: Annotated[
            list[str] | None,
            typer.Option(help="Part of the query, X0,Y0,X1,Y1 in its pixels; given once for all, or once a query."),
        ] = None,
        rerank: Annotated[
            str,
            typer.Option(
                help="Look at the first hits again: none, auto, or geometry, superglobal, diffusion, reciprocal, "
                "expansion joined with +; geometry:mirror, geometry:upright, and a number of hits as in geometry:100. "
                "auto is geometry+superglobal where the collection was indexed with --local sift, else none."
            ),
        ] = "auto",
        k: Annotated[int, typer.Option("-k", min=1, help="Hits per query.")] = 10,
        html: Annotated[Path | None, typer.Option(help="Write a page with queries and hits.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="One JSON object per query and line.")] = False,
        quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print no table.")] = False,
    ) -> int:
        """Rank the photos of a collection by how alike they are to what each query shows."""
        import os

        from reseen.errors import PhotoRejected
        from reseen.images import walk

        boxes = [parse_box(text) for text in box or []]
        held = opened(collection)
        photos = [os.fsdecode(item.path) for item in walk(queries) if not item.ignored]
        if len(boxes) not in (0, 1, len(photos)):
            raise typer.BadParameter(f"{len(boxes)} boxes for {len(photos)} queries: give one, or one a query")
        every: list[tuple[float, float, float, float] | None] = [None] * len(photos)
        if boxes:
            every = [*boxes * len(photos)] if len(boxes) == 1 else [*boxes]
        rankings, rejected = [], []
        for photo, part in zip(photos, every, strict=True):
            try:
                ranking = held.search(photo, box=part, k=k, rerank=rerank)
            except PhotoRejected as error:
                rejected.append(error)
                console.note(f"rejected {error}")
                continue
            rankings.append(ranking)
            if as_json:
                console.emit(ranking.to_json())
            elif not quiet:
                rows = [(hit.rank, f"{hit.score:.3f}", hit.label, hit.path) for hit in ranking]
                console.table(("rank", "score", "label", "photo"), rows, title=ranking.query)
        if html is not None:
            from reseen.search.page import write_page

            write_page(html, rankings, rejected)
            console.note(f"wrote {html}")
        return 0 if rankings else 1
