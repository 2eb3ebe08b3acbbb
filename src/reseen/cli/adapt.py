"""``reseen adapt``: tune a collection's descriptor to its own photos."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reseen.cli import console, options
from reseen.cli.collections import opened

if TYPE_CHECKING:
    from reseen.training.museum import Adaptation
    from reseen.training.museum.adapt import Event

WORDS = {
    "encode": "encoding the references",
    "try": "encoding held-out virtual photos",
    "learn": "encoding virtual photos to learn from",
    "train": "training",
}


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def adapt(
        collection: options.CollectionFolder,
        minutes: Annotated[float, typer.Option(min=0.1, help="Time for everything.")] = 10.0,
        validate: Annotated[
            str | None,
            typer.Option(help="Benchmark of real photos of its objects (manifest, clicide:FOLDER, ...): scored only."),
        ] = None,
        recipe: Annotated[
            str | None,
            typer.Option(help="Train this museum recipe instead (museum-lite0, ...), for as many epochs as it says."),
        ] = None,
        save: Annotated[
            Path | None, typer.Option(help="Folder for the learned descriptor, whether or not it is kept.")
        ] = None,
        seed: Annotated[int, typer.Option(help="Of every choice.")] = 0,
        force: options.Force = False,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> None:
        """Tune the descriptor of a collection to its own photos, and keep the result only if it gains.

        Learns a whitening from virtual photos of the references, or trains a museum recipe, and shows its gain on
        other virtual photos. Ctrl-C is safe: the collection changes at the end, at once.
        """
        from reseen.training.museum import AdaptSettings
        from reseen.training.museum import adapt as run

        held = opened(collection)
        line = None if quiet or as_json else Line()
        try:
            done = run(
                held,
                settings=AdaptSettings(minutes=minutes, seed=seed),
                validate=validate,
                recipe=recipe,
                save=save,
                force=force,
                progress=line,
            )
        finally:
            if line is not None:
                line.end()
        if as_json:
            console.emit(done.to_json())
        elif not quiet:
            _report(done)


def _report(done: Adaptation) -> None:
    """Before and after, for people."""
    rows = []
    for name, before in done.before.items():
        after = done.after[name]
        rows.append(
            (
                f"{after.photos} {name} photos",
                f"{before.precision:.1%}",
                f"{after.precision:.1%}",
                f"{before.reciprocal_rank:.3f}",
                f"{after.reciprocal_rank:.3f}",
            )
        )
    console.table(("held out", "named rightly before", "after", "1 / rank before", "after"), rows)
    spent = f"learned from {done.learned_from} photos, {done.seconds / 60:.1f} minutes"
    if not done.adapted:
        console.note(f"nothing was gained: the collection keeps its descriptor ({spent})")
        return
    console.note(f"the collection has a new descriptor ({spent})")
    if done.calibration is not None:
        at = done.calibration.at_threshold
        console.note(
            f"no match below {done.calibration.threshold:.0%} confidence: {at.false_accepts:.1%} of unknown objects "
            f"get an answer, {at.misses:.1%} of known ones get none or a wrong one"
        )


class Line:
    """The live line on stderr; where stderr is no terminal, one line per stage."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._drawn, self._stage = 0.0, ""

    def __call__(self, event: Event) -> None:
        """Draw an event."""
        now = time.monotonic()
        new = event.stage != self._stage
        if not new and (not self._live or now - self._drawn < 0.2):
            return
        self._drawn, self._stage = now, event.stage
        counted = f"{WORDS[event.stage]}, {event.done} of {event.total}"
        text = f"{counted}; {event.spent / 60:.1f} of {event.allowed / 60:.1f} minutes"
        if self._live:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()
        else:
            console.note(text)

    def end(self) -> None:
        """Clear the live line."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
