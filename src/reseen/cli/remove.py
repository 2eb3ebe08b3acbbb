"""``reseen remove``: photos out of a collection."""

from __future__ import annotations

from typing import Annotated

import typer

from reseen import schema
from reseen.cli import console, options
from reseen.cli.collections import Wait, opened


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def remove(
        collection: options.CollectionFolder,
        photos: Annotated[list[str], typer.Argument(help="Paths, folders, or ids.")],
        wait: Wait = 10.0,
        as_json: options.AsJson = False,
    ) -> None:
        """Remove photos from a collection (the files are left alone)."""
        held = opened(collection, wait_s=wait)
        ids = {row.id for row in held.photos()}
        given = [int(text) if text.isdigit() and int(text) in ids else text for text in photos]
        removed = held.remove(*given)
        if as_json:
            report: schema.Removed = {"removed": removed, "photos": len(held)}
            console.emit(report)
        else:
            console.note(f"{removed} removed; {len(held)} photos left")
