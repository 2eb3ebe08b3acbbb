"""``reseen label``: labels of the photos of a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from reseen import schema
from reseen.cli import console, options
from reseen.cli.collections import Wait, opened
from reseen.errors import CollectionError


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def label(
        collection: options.CollectionFolder,
        labels: Annotated[str, typer.Argument(help="CSV with the columns path and label.", metavar="CSV")],
        wait: Wait = 10.0,
        as_json: options.AsJson = False,
    ) -> None:
        """Label the photos of a collection from a CSV (paths relative to the CSV)."""
        from reseen.collections import read_labels

        held = opened(collection, wait_s=wait)
        named = read_labels(labels)
        ids = {row.name: row.id for row in held.photos()}
        unknown = [path for path in named if path not in ids]
        if len(unknown) == len(named):
            raise CollectionError(f"{labels}: none of its {len(named)} paths is in {collection}")
        held.set_labels({ids[path]: text or None for path, text in named.items() if path in ids})
        if as_json:
            report: schema.Labelled = {"labelled": len(named) - len(unknown), "unknown": unknown}
            console.emit(report)
            return
        for path in unknown:
            console.note(f"not in the collection: {path}")
        console.note(f"{len(named) - len(unknown)} photos labelled")
