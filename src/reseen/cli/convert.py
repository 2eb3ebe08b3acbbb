"""``reseen convert``: networks as their authors publish them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reseen import schema
from reseen.cli import console, options


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def convert(
        file: Annotated[Path, typer.Argument(help="Checkpoint of cirtorch or of deep image retrieval.")],
        to: options.To,
        whitening: Annotated[
            str | None,
            typer.Option(help="Which of the file's whitenings, a file with another, or none. [default: its first]"),
        ] = None,
        multiscale: Annotated[
            bool | None,
            typer.Option("--multiscale/--one-scale", help="See photos at three scales. [default: as published]"),
        ] = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        """Make a descriptor of a published network, so that it can be used, and checked against its paper's numbers.

        Only tensors and plain data are read; a file that asks for anything else is refused.
        """
        from reseen.descriptor.published import from_published

        options.descriptor_folder(to)
        made = from_published(file, whitening=whitening, multiscale=multiscale)
        made.save(to)
        if as_json:
            report: schema.Converted = {
                "descriptor": str(to.resolve()),
                "fingerprint": made.fingerprint,
                "dim": made.dim,
                "scales": len(made.recipe.scales.factors),
                "whitening": made.projection is not None,
            }
            console.emit(report)
        elif not quiet:
            scales = len(made.recipe.scales.factors)
            console.note(
                f"{made.recipe.head['kind']} of {made.backbone.name}, {made.dim} dimensions, {scales} "
                f"scale{'s' if scales > 1 else ''}, {'whitened' if made.projection is not None else 'not whitened'}: "
                f"{to} (use it like a recipe's name)"
            )
