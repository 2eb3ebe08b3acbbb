"""Results on disk: JSON with everything, CSV with a row per query, and the table for people."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reseen.errors import BenchmarkError

Result = Mapping[str, Any]
"""What ``Run.to_json`` gives."""


def save(folder: Path, runs: Sequence[Result]) -> None:
    """Write ``results.json``, ``results.csv`` (a row per query) and ``protocol.json`` (the cards)."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"runs": list(runs)}, allow_nan=False, indent=1)
    (folder / "results.json").write_text(text + "\n", encoding="utf-8")
    (folder / "results.csv").write_text(to_csv(runs), encoding="utf-8", newline="")
    cards = json.dumps([run["protocol"] for run in runs], allow_nan=False, indent=1)
    (folder / "protocol.json").write_text(cards + "\n", encoding="utf-8")


def to_csv(runs: Sequence[Result]) -> str:
    """One row per run and query."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(
        ["recipe", "benchmark", "query", "ap", "ap_finite", "p@1", "p@5", "p@10", "relevant", "junk", "first"]
    )
    for run in runs:
        for query in run["per_query"]:
            values = [query["ap"], query["ap_finite"], *query["precision_at"].values()]
            numbers = ["" if value is None else f"{value:.6f}" for value in values]
            counts = [query["relevant"], query["junk"], query["first"]]
            rows.writerow([run["recipe"], run["benchmark"], query["query"], *numbers, *counts])
    return text.getvalue()


def read_runs(source: str | Path) -> list[dict[str, Any]]:
    """The runs of a results file, or of the folder that holds ``results.json``.

    ``FILE#RECIPE``, ``FILE#RECIPE@BENCHMARK`` or ``FILE#N`` (from 1) picks some of them.

    Raises:
        BenchmarkError: no such file, not results, or nothing picked.
    """
    name, _, choice = (str(source), "", "") if Path(source).exists() else str(source).partition("#")
    path = Path(name)
    if path.is_dir():
        path = path / "results.json"
    try:
        runs: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["runs"]
        for run in runs:
            run["recipe"], run["benchmark"], run["per_query"], run["map"]
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror or error})") from None
    except (ValueError, KeyError, TypeError):
        raise BenchmarkError(f"{path}: not the results of `reseen evaluate`") from None
    if not choice:
        return runs
    recipe, _, benchmark = choice.partition("@")
    if choice.isdigit() and 1 <= int(choice) <= len(runs):
        return [runs[int(choice) - 1]]
    picked = [run for run in runs if run["recipe"] == recipe and benchmark in ("", run["benchmark"])]
    if not picked:
        held = ", ".join(f"{run['recipe']}@{run['benchmark']}" for run in runs)
        raise BenchmarkError(f"{path} has no run {choice!r}; it has {held}")
    return picked


TELLING = ("expansion", "database_augmentation", "reranking", "box", "engine", "precision", "fingerprint")
"""Of protocol cards: what tells runs of one recipe on one benchmark apart."""


def labels(runs: Sequence[Result]) -> list[str]:
    """A name for each run: its recipe's, and how it was made where runs of that recipe on one benchmark differ."""
    alike: dict[tuple[str, str], list[Result]] = {}
    for run in runs:
        alike.setdefault((run["recipe"], run["benchmark"]), []).append(run["protocol"])
    differing: dict[str, set[str]] = {}
    for (recipe, _), cards in alike.items():
        differing.setdefault(recipe, set()).update(key for key in TELLING if len({card[key] for card in cards}) > 1)
    named = []
    for run in runs:
        told = {key: run["protocol"][key] for key in TELLING if key in differing[run["recipe"]]}
        parts = [f"{key.replace('_', ' ')} {value:.24}" for key, value in told.items() if value != "none"]
        named.append(run["recipe"] + (f" ({', '.join(parts)})" if parts else ""))
    return named


def percent(value: float | None) -> str:
    """A rate for people."""
    return "-" if value is None else f"{100 * value:.1f}"


def signed(difference: float) -> str:
    """A difference of rates for people: ``+1.2``, ``-0.3``, ``0.0``."""
    text = f"{100 * difference:+.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def headline(run: Result) -> tuple[str, float | None]:
    """The benchmark's own figure of merit: its name, and its value (0..1; UKB's 0..4)."""
    measures = run.get("measures", {})
    for name in ("map@100", "ukb"):
        if name in measures:
            return name, measures[name]
    return "mAP", run["map"]


def table(runs: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows: a row per label, ``mAP (interval) / P@1`` per benchmark, the mean mAP last."""
    names = labels(runs)
    recipes = list(dict.fromkeys(names))
    benchmarks = list(dict.fromkeys(run["benchmark"] for run in runs))
    cells = {(name, run["benchmark"]): run for name, run in zip(names, runs, strict=True)}
    columns = ["recipe", *benchmarks, *(["mean mAP"] if len(benchmarks) > 1 else [])]
    rows = []
    for recipe in recipes:
        row = [recipe]
        maps = []
        for benchmark in benchmarks:
            run = cells.get((recipe, benchmark))
            row.append(cell(run) if run is not None else "-")
            if run is not None and run["map"] is not None:
                maps.append(run["map"])
        if len(benchmarks) > 1:
            row.append(percent(sum(maps) / len(maps)) if len(maps) == len(benchmarks) else "-")
        rows.append(row)
    return columns, rows


def cell(run: Result) -> str:
    """``71.2 (68.0-74.1) / 90.1``: figure of merit, interval of mAP, precision@1."""
    name, value = headline(run)
    low, high = run["interval"]
    figure = f"{value:.2f}" if name == "ukb" and value is not None else percent(value)
    named = "" if name == "mAP" else f"{name} "
    spread = f" ({percent(low)}-{percent(high)})" if name == "mAP" else ""
    return f"{named}{figure}{spread} / {percent(run['precision_at']['1'])}"
