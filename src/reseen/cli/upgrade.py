"""``reseen upgrade``: a collection under another descriptor."""

from __future__ import annotations

from typing import Annotated

import typer

from reseen import schema
from reseen.cli import console, options
from reseen.cli.collections import Wait, opened


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def upgrade(
        collection: options.CollectionFolder,
        recipe: Annotated[str, typer.Option(help="Recipe or saved descriptor that takes the place.")] = "default",
        weights: options.Weights = None,
        drop: Annotated[
            bool, typer.Option("--drop", help="Remove photos that cannot be read again, instead of refusing.")
        ] = False,
        back_to: Annotated[
            int | None, typer.Option(min=1, help="Take an upgrade back: the version that was there before.")
        ] = None,
        wait: Wait = 10.0,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        """Encode a collection's photos again; ids and labels stay, and readers are not disturbed.

        What was begun goes on where it stopped. The version before stays until ``reseen compact`` removes it.
        """
        from reseen.collections.upgrading import upgrade as encode_again
        from reseen.descriptor import load

        held = opened(collection, wait_s=wait)
        before, dropped = held.version, []
        if back_to is not None:
            held.go_back(back_to)
        else:
            with console.progress("encoding again", quiet=quiet or as_json) as step:
                dropped = encode_again(held, load(recipe, weights=weights), drop=drop, progress=step)
        if as_json:
            report: schema.Upgraded = {
                "before": before,
                "version": held.version,
                "fingerprint": held.fingerprint,
                "rejected": [{"path": item.path, "reason": item.reason} for item in dropped],
            }
            console.emit(report)
        elif not quiet:
            for item in dropped:
                console.note(f"dropped {item.path}: {item.reason}")
            done = "nothing to do: it has this descriptor" if held.version == before else f"version {held.version}"
            console.note(f"{done}; {len(held)} photos in {collection}")
            if back_to is None and held.version != before:
                console.note(f"`reseen upgrade {collection} --back-to {before}` takes it back")
