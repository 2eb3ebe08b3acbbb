"""``reseen compare``: two runs, query by query."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reseen.cli import console, options


def register(app: typer.Typer) -> None:
    """Add the verb."""

    @app.command()
    def compare(
        first: Annotated[
            str, typer.Argument(help="Results of evaluate: a folder or file, #RECIPE or #NUMBER to pick.")
        ],
        second: Annotated[str, typer.Argument(help="The run that is compared with it.")],
        html: Annotated[Path | None, typer.Option(help="Write a page with the differences and the photos.")] = None,
        as_json: options.AsJson = False,
    ) -> int:
        """Tell whether the second of two runs on the same benchmarks is better, and where."""
        from reseen.evaluation.reports.compare import compare as between
        from reseen.evaluation.reports.compare import matching
        from reseen.evaluation.reports.results import read_runs, signed

        pairs = matching(read_runs(first), read_runs(second))
        found = [between(a, b) for a, b in pairs]
        if html is not None:
            from reseen.evaluation.reports.report import write_report

            write_report(html, [run for pair in pairs for run in pair], pairs)
            console.note(f"wrote {html}")
        if as_json:
            console.emit({"comparisons": [one.to_json() for one in found]})
            return 0
        rows = [
            (
                one.benchmark,
                f"{one.first} -> {one.second}",
                f"{signed(one.map.mean)} ({signed(one.map.interval[0])} to {signed(one.map.interval[1])})",
                f"{one.map.p_value:.4f}",
                signed(one.precision_at_1.mean),
                f"{one.map.better}/{one.map.equal}/{one.map.worse}",
            )
            for one in found
        ]
        console.table(("benchmark", "runs", "mAP (95 % interval)", "p", "precision@1", "better/equal/worse"), rows)
        return 0
