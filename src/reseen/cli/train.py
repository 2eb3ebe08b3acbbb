"""``reseen train``: learn a descriptor from photos."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reseen import schema
from reseen.cli import console, options

if TYPE_CHECKING:
    from reseen.training import Progress


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(train)


def train(
    recipe: Annotated[str, typer.Argument(help="Recipe, .toml file or saved descriptor to start from.")],
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            help=f"Photos to learn from; repeat. {options.LEARNING_SETS}",
        ),
    ],
    to: Annotated[Path, typer.Option("--to", help="The run's folder; a stopped run there goes on.")],
    validate: Annotated[
        str | None,
        typer.Option(
            "--validate",
            help="Photo set (KIND:PATH; sfm-val:FILE.pkl for a list's own) or benchmark to choose the best epoch by; "
            "never score on it.",
        ),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change a setting of the recipe's training, e.g. views.longest=320."
        ),
    ] = None,
    weights: options.Weights = None,
    device: Annotated[str, typer.Option(help="Where: cpu, cuda, cuda:1; auto takes a GPU when there is one.")] = "auto",
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding threads.")] = None,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write TensorBoard events too.")] = False,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Train RECIPE on photos; the result in TO/descriptor is used like a recipe's name.

    Run it under torchrun to use several processes or GPUs. Ctrl-C is safe: the same command goes on.
    """
    import torch

    from reseen.descriptor import load
    from reseen.evaluation.benchmarks import load_benchmarks
    from reseen.evaluation.learning_sets import read_learning_set
    from reseen.photosets import join, parse, read_photo_set
    from reseen.training import Trainer, TrainingSettings
    from reseen.training.distributed import local_device
    from reseen.training.distributed import workers as torchrun
    from reseen.training.validation import from_benchmark, held_out_validation

    descriptor = load(recipe, weights=weights)
    settings = TrainingSettings.from_table(options.changed(descriptor.recipe.training, set_ or []))
    training_set = join([read_learning_set(spec) for spec in data])
    for line in training_set.skipped[:5]:
        console.note(f"skipped: {line}")
    if len(training_set.skipped) > 5:
        console.note(f"skipped: {len(training_set.skipped) - 5} more, see card.md")
    validation = None
    if validate:
        held_out = read_photo_set(parse(validate))
        if held_out is not None:
            validation = held_out_validation(held_out, settings)
        else:
            validation = from_benchmark(load_benchmarks(validate)[0])
    chosen = local_device(device)
    started = time.monotonic()
    with torchrun(chosen) as group:
        live = Line() if not (quiet or as_json) and group.first else None
        trainer = Trainer(
            descriptor,
            training_set,
            to,
            settings=settings,
            validation=validation,
            device=torch.device(chosen),
            workers=workers,
            group=group,
            progress=live,
            tensorboard=tensorboard,
        )
        trained = trainer.run()
        if live is not None:
            live.end()
        if not group.first:
            return
    best = trainer.at.best
    if as_json:
        report: schema.Trained = {
            "descriptor": str((to / "descriptor").resolve()),
            "fingerprint": trained.fingerprint,
            "dim": trained.dim,
            "epochs": trainer.at.epoch,
            "best_epoch": trainer.at.best_epoch,
            "validation_map": best,
            "photos": len(trainer.data.photos),
            "pairs": len(trainer.data.pairs),
            "rejected": [{"path": p, "reason": reason} for p, reason in trainer.at.rejected.items()],
            "seconds": round(time.monotonic() - started, 1),
        }
        console.emit(report)
        return
    score = f"validation mAP {100 * best:.1f} in epoch {trainer.at.best_epoch}, " if best is not None else ""
    console.note(f"{score}{len(trainer.at.rejected)} photos left out")
    console.note(
        f"trained descriptor: {to / 'descriptor'} (use it like a recipe's name; the run card is {to / 'card.md'})"
    )


class Line:
    """The live line of a run on stderr: loss, active terms, validation; one lasting line per epoch."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._drawn = 0.0

    def __call__(self, event: Progress) -> None:
        """Draw ``event``."""
        if event.stage == "epoch":
            self.end()
            score = f", validation mAP {100 * event.validation:.1f}" if event.validation is not None else ""
            best = f" (best {100 * event.best:.1f})" if event.best is not None else ""
            console.note(
                f"epoch {event.epoch}/{event.epochs}: loss {event.loss:.4f}, {event.active:.0%} active{score}{best}"
            )
            return
        now = time.monotonic()
        if not self._live or (event.stage == "train" and now - self._drawn < 0.1):
            return
        self._drawn = now
        words = {
            "start": "reading photos and preparing the network",
            "mine": f"epoch {event.epoch}/{event.epochs}: looking for hard negatives",
            "train": f"epoch {event.epoch}/{event.epochs}: {event.tuples}/{event.of} tuples, loss {event.loss:.4f}, "
            f"{event.active:.0%} active",
            "validate": "validating",
            "finish": "learning the projection and saving",
        }
        sys.stderr.write(f"\r\x1b[K{words[event.stage]}")
        sys.stderr.flush()

    def end(self) -> None:
        """Clear the live line."""
        if self._live:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
