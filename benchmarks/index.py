"""`reseen index` of this checkout and of another in turns, each time into a new collection.

    python benchmarks/index.py PHOTOS OTHER [--runs 9] [--recipe default]

OTHER is the src folder of the other checkout. Seconds are those on the clock, and of all processors.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = "import sys; from reseen.cli.main import main; sys.exit(main())"


def seconds(source: Path, photos: Path, recipe: str) -> tuple[float, float]:
    """One run: on the clock, of all processors."""
    with tempfile.TemporaryDirectory() as place:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [sys.executable, "-c", COMMAND, "index", photos, "--to", Path(place, "c"), "--recipe", recipe],
            env={**os.environ, "PYTHONPATH": str(source)},
            check=True,
            capture_output=True,
        )
        took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Run both in turns; print medians and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--recipe", default="default")
    arguments = parser.parse_args()
    sources = {"other": arguments.other, "this": Path(__file__).parents[1] / "src"}
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in sources}
    for _ in range(arguments.runs):
        for name, source in sources.items():
            times[name].append(seconds(source, arguments.photos, arguments.recipe))
    for what, column in (("on the clock", 0), ("of all processors", 1)):
        other, this = (statistics.median(run[column] for run in times[name]) for name in sources)
        print(f"seconds {what}: other {other:.2f}, this {this:.2f}, ratio {this / other:.3f}")


if __name__ == "__main__":
    main()
