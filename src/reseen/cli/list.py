"""``reseen list``: the photos of a collection."""

from __future__ import annotations

import typer

from reseen import schema
from reseen.cli import console, options
from reseen.cli.collections import opened


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command("list")
    def list_photos(
        collection: options.CollectionFolder,
        as_json: options.AsJson = False,
    ) -> None:
        """List the photos of a collection."""
        rows = opened(collection).photos()
        if as_json:
            report: schema.Photos = {
                "photos": [{"id": row.id, "path": row.name, "label": row.label, "sha256": row.sha256} for row in rows]
            }
            console.emit(report)
            return
        console.table(("id", "label", "photo"), [(row.id, row.label, row.name) for row in rows])
