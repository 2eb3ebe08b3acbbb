"""``reseen match``: every photo of one collection in another."""

from __future__ import annotations

from typing import Annotated

import typer

from reseen import schema
from reseen.cli import console, options, pairs
from reseen.cli.collections import opened

SURE = 0.5


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def match(
        collection: options.CollectionFolder,
        other: Annotated[str, typer.Argument(help="The collection that is looked into.")],
        probability: Annotated[
            float, typer.Option("--probability", min=0, max=1, help="Leave out pairs that are less sure.")
        ] = SURE,
        depth: pairs.Depth = pairs.DEPTH,
        csv: pairs.Csv = None,
        html: pairs.Html = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        """Look for every photo of a collection in another one; an interrupted run goes on where it was."""
        asked, held = opened(collection), opened(other)
        with console.progress("comparing", quiet=quiet) as step:
            found = asked.match(held, depth=depth, progress=step)
        found = [one for one in found if one.probability is None or one.probability >= probability]
        listed = pairs.listed(found, asked, held)
        if csv is not None:
            pairs.write_csv(csv, [[one] for one in listed])
        if html is not None:
            pairs.write_page(html, "Photos in both collections", pairs.by_first(found), asked, held)
        if as_json:
            report: schema.Matches = {"photos": len(asked), "pairs": listed}
            console.emit(report)
        elif not quiet:
            console.table(pairs.LINES, [*pairs.lines(listed)], title=f"{len(listed)} pairs")
