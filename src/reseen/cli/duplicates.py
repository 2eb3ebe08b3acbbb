"""``reseen duplicates``: photos that are one picture twice."""

from __future__ import annotations

import typer

from reseen import schema
from reseen.cli import console, options, pairs
from reseen.cli.collections import opened


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def duplicates(
        collection: options.CollectionFolder,
        depth: pairs.Depth = pairs.DEPTH,
        csv: pairs.Csv = None,
        html: pairs.Html = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        """Find near copies: the same file twice, or scaled, compressed, trimmed or recoloured."""
        held = opened(collection)
        with console.progress("comparing", quiet=quiet) as step:
            found = held.duplicates(depth=depth, progress=step)
        listed = pairs.listed(found, held)
        if csv is not None:
            pairs.write_csv(csv, [[one] for one in listed])
        if html is not None:
            pairs.write_page(html, "Near copies", pairs.by_first(found), held)
        if as_json:
            report: schema.Duplicates = {"photos": len(held), "pairs": listed}
            console.emit(report)
        elif not quiet:
            console.table(pairs.LINES, [*pairs.lines(listed)], title=f"{len(listed)} pairs of near copies")
