"""``reseen ablate``: a grid of recipes, projections, dimensions and expansions on benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reseen.cli import console, options


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def ablate(
        benchmarks: options.Benchmarks,
        recipe: options.Recipes = None,
        projection: Annotated[
            list[str] | None,
            typer.Option(
                "--projection",
                "-p",
                help="What follows: own, raw, pca:power=0.5, lw:shrinkage=0.1, lda; repeat.",
            ),
        ] = None,
        dim: Annotated[
            list[str] | None, typer.Option("--dim", "-d", help="Dimensions kept, or full; repeat for more.")
        ] = None,
        expand: Annotated[
            list[str] | None, typer.Option(help="Query expansion: none, aqe:N, alpha:N:A; repeat for more.")
        ] = None,
        dba: Annotated[
            list[str] | None,
            typer.Option(
                help="Database augmentation: none, uniform:N, rank:N, alpha:N:A, instance, instance:rank; repeat."
            ),
        ] = None,
        learn: Annotated[
            list[str] | None,
            typer.Option(help=f"What projections learn on; repeat. {options.LEARNING_SETS}"),
        ] = None,
        box: options.BoxRule = "crop",
        size: options.Size = None,
        scales: options.Scales = None,
        distractors: options.Distractors = None,
        partial: options.Partial = False,
        weights: options.Weights = None,
        precision: options.Precision = "auto",
        cache: options.Cache = None,
        to: Annotated[
            Path | None, typer.Option(help="Write ablation.json, ablation.csv and ablation.svg there.")
        ] = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> int:
        """Measure every combination of recipes, projections, dimensions and expansions.

        Photos pass each network once; recipes that differ in their heads share that pass.
        """
        from reseen.evaluation import Protocol, VectorCache, ablation, load_benchmarks
        from reseen.evaluation.changed_recipes import open_recipe
        from reseen.evaluation.learning_sets import read_learning_set, with_virtual_photos

        grid = ablation.Grid(
            tuple(projection or [ablation.OWN]),
            tuple(options.dimensions(text) for text in dim or ["full"]),
            tuple(expand or ["none"]),
            tuple(dba or ["none"]),
        )
        protocol = Protocol(box=box)
        sets = [
            benchmark
            for spec in benchmarks
            for benchmark in load_benchmarks(spec, distractors=distractors or [], partial=partial)
        ]
        held = VectorCache(cache)
        learn_on = [with_virtual_photos(read_learning_set(spec), held) for spec in learn or []]
        descriptors = [
            open_recipe(name, size=size, scales=scales, weights=weights, precision=precision)
            for name in recipe or ["default"]
        ]
        with console.progress("extracting", quiet=quiet) as step:
            points = list(
                ablation.ablate(
                    descriptors,
                    sets,
                    grid,
                    learn_on,
                    protocol=protocol,
                    cache=held,
                    progress=lambda _, done, total: step(done, total),
                )
            )
        if to is not None:
            ablation.save(to, points)
            console.note(f"wrote {to / 'ablation.json'}, ablation.csv and ablation.svg")
        if as_json:
            console.emit({"runs": [point.to_json() for point in points]})
            return 0
        for note in dict.fromkeys(note for point in points for note in point.run.card["notes"]):
            console.note(note)
        if learn_on:
            console.note("learned on " + ", ".join(one.summary for one in learn_on))
        columns, rows = ablation.table(points)
        console.table(columns, rows, title="mAP / precision@1, per cent")
        return 0
