"""``reseen evaluate``: recipes on benchmarks, exactly by their protocols."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from reseen import schema
from reseen.cli import console, options


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def evaluate(
        benchmarks: options.Benchmarks,
        recipe: options.Recipes = None,
        box: options.BoxRule = "crop",
        size: options.Size = None,
        scales: options.Scales = None,
        expand: Annotated[str, typer.Option(help="Query expansion: aqe:N, alpha:N:A.")] = "none",
        dba: Annotated[
            str, typer.Option(help="Database augmentation: uniform:N, rank:N, alpha:N:A, instance, instance:rank.")
        ] = "none",
        rerank: Annotated[str, typer.Option(help="Re-ranking: none, auto, or stages joined with +.")] = "none",
        first: Annotated[
            str, typer.Option(help="What makes that shortlist: global (vectors), local (words of SIFT), both.")
        ] = "global",
        depth: Annotated[int | None, typer.Option(min=1, help="Shortlist that is re-ranked.")] = None,
        as_typed: Annotated[
            bool, typer.Option("--as-typed", help="Index and search the photos as a user does without an option.")
        ] = False,
        junk: Annotated[str, typer.Option(help="Junk in that shortlist: kept or removed.")] = "kept",
        distractors: options.Distractors = None,
        pattern: Annotated[
            str | None, typer.Option(help="Label in file names, for folders:, clicide:, garofou:.")
        ] = None,
        partial: options.Partial = False,
        weights: options.Weights = None,
        precision: options.Precision = "auto",
        cache: options.Cache = None,
        to: Annotated[
            Path | None, typer.Option(help="Write results.json, results.csv, protocol.json and report.html there.")
        ] = None,
        as_json: options.AsJson = False,
        quiet: options.Quiet = False,
    ) -> int:
        """Measure how well recipes find what benchmarks ask for."""
        from reseen.collections.first_stage import First
        from reseen.evaluation import Protocol, VectorCache, bag_of_words, load_benchmarks
        from reseen.evaluation import evaluate as measure
        from reseen.evaluation.changed_recipes import open_recipe
        from reseen.evaluation.protocol import FIRST, card_lines
        from reseen.evaluation.reports import results

        options.one_of("--first", first, *FIRST)
        protocol = Protocol(
            box=box,
            expand=expand,
            dba=dba,
            rerank=rerank,
            depth=depth,
            junk=junk,
            as_typed=as_typed,
            first=cast(First, first),
        )
        sets = [
            benchmark
            for spec in benchmarks
            for benchmark in load_benchmarks(spec, distractors=distractors or [], partial=partial, pattern=pattern)
        ]
        held = VectorCache(cache)
        runs = []
        for name in recipe or ["default"]:
            descriptor = (
                bag_of_words.BagOfWords()
                if name == bag_of_words.NAME
                else open_recipe(name, size=size, scales=scales, weights=weights, precision=precision)
            )
            for benchmark in sets:
                for text in benchmark.notes:
                    console.note(f"{benchmark.name}: {text}")
                with console.progress(f"{descriptor.name} on {benchmark.name}", quiet=quiet) as step:
                    run = measure(descriptor, benchmark, protocol, cache=held, progress=step).to_json()
                runs.append(run)
                if not quiet and not as_json:
                    console.table(("protocol", ""), card_lines(run["protocol"]))
        if as_json:
            console.emit({"runs": runs})
        else:
            columns, rows = results.table(runs)
            console.table(columns, rows, title="mAP (95 % interval) / precision@1, per cent")
            _extras(runs)
        if to is not None:
            from reseen.evaluation.reports.report import write_report

            results.save(to, runs)
            write_report(to / "report.html", runs)
            console.note(f"wrote {to / 'report.html'}, results.json, results.csv and protocol.json")
        return 0


def _extras(runs: list[schema.Run]) -> None:
    """Open-set measures and the cost of re-ranking, for people."""
    from reseen.evaluation.reports.results import percent

    rows = []
    for run in runs:
        detection = run["open_set"]
        if detection is not None:
            found = (percent(value) for value in detection["identified_at"].values())
            rows.append((run["recipe"], run["benchmark"], percent(detection["auroc"]), *found))
    if rows:
        names = ("recipe", "benchmark", "AUROC", "found at 1 % alarms", "at 5 %", "at 10 %")
        console.table(names, rows, title="queries without a match, by the best score")
    staged = []
    for run in runs:
        for stage in run["measures"].get("rerank_stages", []):
            low, high = (percent(value) for value in stage["map_interval"])
            accuracy = percent(stage["precision_at_1"]), f"{percent(stage['map'])} ({low} to {high})"
            staged.append(
                (run["recipe"], run["benchmark"], stage["stage"], *accuracy, f"{stage['milliseconds_per_query']:.1f}")
            )
    if staged:
        columns = ("recipe", "benchmark", "after", "precision@1", "mAP", "ms a query")
        console.table(columns, staged, title="re-ranking, stage by stage")
