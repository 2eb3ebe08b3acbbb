"""``reseen compact``: give back the room of old versions."""

from __future__ import annotations

from typing import Annotated

import typer

from reseen import schema
from reseen.cli import console, options
from reseen.cli.collections import Wait, opened


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def compact(
        collection: options.CollectionFolder,
        grace: Annotated[
            float, typer.Option(min=0, help="Seconds for which readers of older versions are not disturbed.")
        ] = 3600.0,
        wait: Wait = 10.0,
        as_json: options.AsJson = False,
    ) -> None:
        """Merge small files and remove versions that no reader holds any more."""
        held = opened(collection, wait_s=wait)
        freed = held.compact(grace_s=grace)
        if as_json:
            report: schema.Compacted = {"freed_bytes": freed, "version": held.version}
            console.emit(report)
        else:
            console.note(f"{console.size(freed)} freed")
