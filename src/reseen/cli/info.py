"""``reseen info``: what a collection is."""

from __future__ import annotations

import typer

from reseen.cli import console, options
from reseen.cli.collections import opened


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def info(
        collection: options.CollectionFolder,
        as_json: options.AsJson = False,
    ) -> None:
        """Show what a collection holds, and which descriptor made it."""
        values = opened(collection).info()
        if as_json:
            console.emit(values)
            return
        shown = {"bytes": console.size(values["bytes"]), "damage": "; ".join(values["damage"]) or "none"}
        console.table(("", ""), list({**values, **shown}.items()))
