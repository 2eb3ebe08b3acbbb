"""``reseen calibrate``: when an answer of ``identify`` is good enough."""

from __future__ import annotations

from typing import Annotated

import typer

from reseen.cli import console, options
from reseen.cli.collections import opened


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def calibrate(
        collection: options.CollectionFolder,
        false_accepts: Annotated[
            float | None,
            typer.Option(min=0, max=1, help="Share of unknown objects that may be named. [default: fewest errors]"),
        ] = None,
        trials: Annotated[int | None, typer.Option(min=1, help="Virtual photos to try. [default: 240 at most]")] = None,
        by: options.By = "neighbours",
        seed: Annotated[int, typer.Option(help="Of the virtual photos.")] = 0,
        force: options.Force = False,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        """Learn a collection's confidence and no-match threshold from its own photos, and keep them in it.

        Virtual photos of the references are tried with and without their own object in the collection; so are
        references of objects that have several.
        """
        from dataclasses import asdict

        from reseen.collections.gallery import Gallery
        from reseen.identify import calibrate as measure

        options.one_of("--by", by, "neighbours", "classifier")
        held = opened(collection)
        gallery = Gallery.of(held, force=force)
        with console.progress("calibrating", quiet=quiet or as_json) as step:
            found = measure(
                held,
                gallery,
                trials=trials,
                false_accepts=false_accepts,
                seed=seed,
                by=by,  # type: ignore[arg-type]
                progress=step,
            )
        if as_json:
            console.emit(asdict(found))
        elif not quiet:
            rows = [
                (f"{p.threshold:.2f}", f"{p.false_accepts:.1%}", f"{p.misses:.1%}")
                for p in found.curve[:: max(1, len(found.curve) // 20)]
            ]
            console.table(("confidence", "false accepts", "misses"), rows)
            at = found.at_threshold
            console.note(
                f"threshold {found.threshold:.2f}: {at.false_accepts:.1%} of unknown objects get an answer, "
                f"{at.misses:.1%} of known ones get none or a wrong one "
                f"({found.known} and {found.unknown} trials, {found.instances} instances)"
            )
