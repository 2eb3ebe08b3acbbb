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
        from reseen.collections.labels import join, read_labels

        held = opened(collection, wait_s=wait)
        named = read_labels(labels)
        ids = {row.path: row.id for row in held.photos() if row.path}
        joined = join(named, ids)
        if not joined.labels:
            raise CollectionError(f"{labels}: none of its {len(named)} paths is in {collection}")
        held.set_labels({ids[path]: text or None for path, text in joined.labels.items()})
        if as_json:
            report: schema.Labelled = {
                "labelled": len(joined.labels),
                "unknown": joined.unknown,
                "ambiguous": joined.ambiguous,
            }
            console.emit(report)
            return
        for path in joined.unknown:
            console.note(f"not in the collection: {path}")
        for path in joined.ambiguous:
            console.note(f"means several photos, none of which was labelled: {path}")
        console.note(f"{len(joined.labels)} photos labelled")
