"""``reseen info``: what a collection is."""

from __future__ import annotations

from typing import Annotated

import typer

from reseen.cli import console
from reseen.cli.collections import opened


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def info(
        collection: Annotated[str, typer.Argument(help="A collection.")],
        as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    ) -> None:
        """Show what a collection holds, and which descriptor made it."""
        values = opened(collection).info()
        if as_json:
            console.emit(values)
            return
        shown = {"bytes": console.size(values["bytes"]), "damage": "; ".join(values["damage"]) or "none"}
        console.table(("", ""), list({**values, **shown}.items()))
