"""``reseen verify``: whether a collection is sound."""

from __future__ import annotations

import typer

from reseen import schema
from reseen.cli import console, options


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def verify(
        collection: options.CollectionFolder,
        as_json: options.AsJson = False,
    ) -> int:
        """Read everything a collection holds and name what is damaged."""
        from reseen.collections import Collection
        from reseen.errors import CollectionDamaged

        version: int | None = None
        try:
            held = Collection.open(collection)
            version, problems = held.version, held.verify()
        except CollectionDamaged as error:
            problems = [str(error)]
        if as_json:
            report: schema.Verified = {"ok": not problems, "version": version, "problems": problems}
            console.emit(report)
        else:
            for problem in problems:
                console.error(problem)
            if not problems:
                console.note(f"version {version} is sound: {len(held)} photos")
        return 1 if problems else 0
