"""Two runs, query by query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from reseen.errors import BenchmarkError
from reseen.evaluation.measures.statistics import Difference, paired_difference
from reseen.evaluation.reports.results import Result, labels
from reseen.types import Values


@dataclass(frozen=True)
class Comparison:
    """The second run minus the first, on one benchmark.

    Attributes:
        benchmark, first, second: names; of runs of one recipe, with what differs.
        map, precision_at_1: differences with intervals and p values.
        queries: ``(query, ap of the first, ap of the second)``, largest loss first; queries without a value left out.
    """

    benchmark: str
    first: str
    second: str
    map: Difference
    precision_at_1: Difference
    queries: tuple[tuple[str, float, float], ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def compare(first: Result, second: Result) -> Comparison:
    """Compare two runs of one benchmark.

    Raises:
        BenchmarkError: the runs are of other benchmarks, other truth, or other queries.
    """
    for key in ("benchmark", "truth", "database"):
        a, b = first["protocol"][key], second["protocol"][key]
        if a != b:
            what = {"truth": "ground truth (the files differ)", "database": "number of database photos"}.get(key, key)
            detail = "" if key == "truth" else f": {a} and {b}"
            raise BenchmarkError(f"these runs cannot be compared, their {what} differs{detail}")
    names = [[_query(q) for q in run["per_query"]] for run in (first, second)]
    if names[0] != names[1]:
        raise BenchmarkError("these runs cannot be compared: their queries are not the same")
    a, b = _values(first, "ap"), _values(second, "ap")
    listed = [
        (name, float(x), float(y))
        for name, x, y in zip(names[0], a, b, strict=True)
        if np.isfinite(x) and np.isfinite(y)
    ]
    before, after = labels([first, second])
    return Comparison(
        first["benchmark"],
        before,
        after,
        paired_difference(a, b),
        paired_difference(_values(first, "p1"), _values(second, "p1")),
        tuple(sorted(listed, key=lambda entry: entry[2] - entry[1])),
    )


def matching(first: Sequence[Result], second: Sequence[Result]) -> list[tuple[Result, Result]]:
    """Runs of the same benchmark, pair by pair; BenchmarkError when there are none, or several of one benchmark."""
    by_name: list[dict[str, Result]] = []
    for runs in (first, second):
        named: dict[str, Result] = {}
        for run in runs:
            if run["benchmark"] in named:
                raise BenchmarkError(f"several runs on {run['benchmark']}: pick one with FILE#RECIPE or FILE#NUMBER")
            named[run["benchmark"]] = run
        by_name.append(named)
    shared = [name for name in by_name[0] if name in by_name[1]]
    if not shared:
        raise BenchmarkError(
            f"these runs have no benchmark in common: {', '.join(by_name[0])} and {', '.join(by_name[1])}"
        )
    return [(by_name[0][name], by_name[1][name]) for name in shared]


def _query(query: Result) -> str:
    """A query's name: its photo, and its box where there is one."""
    box = query["box"]
    return str(query["query"]) + (f" [{', '.join(f'{v:g}' for v in box)}]" if box else "")


def _values(run: Result, key: str) -> Values:
    read = [q["precision_at"]["1"] if key == "p1" else q[key] for q in run["per_query"]]
    return np.array([np.nan if value is None else value for value in read], np.float64)
