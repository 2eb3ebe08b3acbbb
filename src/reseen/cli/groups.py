"""``reseen groups``: photos of the same thing, together."""

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
    def groups(
        collection: options.CollectionFolder,
        sure: Annotated[
            float, typer.Option("--sure", min=0, max=1, help="Probability from which two photos show the same thing.")
        ] = SURE,
        depth: pairs.Depth = pairs.DEPTH,
        csv: pairs.Csv = None,
        html: pairs.Html = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        """Put photos of the same thing together, verified by geometry; an interrupted run goes on where it was."""
        held = opened(collection)
        with console.progress("comparing", quiet=quiet) as step:
            found = held.groups(sure=sure, depth=depth, progress=step)
        listed = [pairs.listed(group.pairs, held) for group in found]
        if csv is not None:
            pairs.write_csv(csv, listed)
        if html is not None:
            pairs.write_page(html, "Photos of the same thing", [(g.photos[0], g.photos[1:]) for g in found], held)
        rows = {row.id: row for row in held.photos()}
        named = [[pairs.photo(rows[photo]) for photo in group.photos] for group in found]
        if as_json:
            each: list[schema.Group] = [
                {"photos": photos, "pairs": some} for photos, some in zip(named, listed, strict=True)
            ]
            report: schema.Groups = {"photos": len(held), "groups": each}
            console.emit(report)
        elif not quiet:
            lines = [(number, one["label"], one["path"]) for number, group in enumerate(named, 1) for one in group]
            count = sum(map(len, named))
            title = f"{len(named)} groups of {count} photos; {len(held) - count} others stand alone"
            console.table(("group", "label", "photo"), lines, title=title)
