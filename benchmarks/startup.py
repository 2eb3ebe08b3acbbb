"""A one-shot `reseen search` of one photo, of this checkout and of another in turns.

    python benchmarks/startup.py PHOTOS OTHER [--runs 5] [--recipe default] [--cores 2]

OTHER is the src folder of the other checkout. A collection of PHOTOS is made first. This checkout searches with an
empty cache (cold) and with what that left (warm). Seconds are those on the clock, and of all processors; then what this
checkout imports, from `python -X importtime`, and whether all answers are the same.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from reseen.images import walk

COMMAND = "import sys; from reseen.cli.main import main; sys.exit(main())"
THIS = Path(__file__).resolve().parents[1] / "src"
PACKAGES = ("reseen", "torch", "torchvision", "timm", "openvino", "faiss", "lance", "scipy", "numpy", "cv2")


def ran(source: Path, cache: Path, arguments: list[str], *options: str) -> tuple[float, float, str, str]:
    """One process: seconds on the clock, of all processors, and what it wrote on stdout and stderr."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [sys.executable, *options, "-c", COMMAND, *arguments],
        env={**os.environ, "PYTHONPATH": str(source), "RESEEN_CACHE": str(cache)},
        check=True,
        capture_output=True,
        text=True,
    )
    took, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout, done.stderr


def imported(told: str) -> dict[str, float]:
    """Seconds that the modules of each package took by themselves, from the lines of ``-X importtime``."""
    spent = dict.fromkeys((*PACKAGES, "others"), 0.0)
    for line in told.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[0].strip().isdigit():
            package = parts[2].strip().split(".")[0]
            spent[package if package in spent else "others"] += int(parts[0]) / 1e6
    return spent


def main() -> None:
    """Run the three in turns; print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--cores", type=int, help="use no more than these many")
    arguments = parser.parse_args()
    if arguments.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.cores])
    photo = next(os.fsdecode(item.path) for item in walk([str(arguments.photos)]) if not item.ignored)
    with tempfile.TemporaryDirectory() as place:
        cold, warm, folder = Path(place, "cold"), Path(place, "warm"), str(Path(place, "c"))
        ran(THIS, warm, ["index", str(arguments.photos), "--to", folder, "--recipe", arguments.recipe])
        asked = ["search", folder, photo, "--json"]
        ways = {"other": (arguments.other, cold), "cold": (THIS, cold), "warm": (THIS, warm)}
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        answers = set()
        for _ in range(arguments.runs):
            for name, (source, cache) in ways.items():
                shutil.rmtree(cold, ignore_errors=True)
                clock, processors, answer, _ = ran(source, cache, asked)
                times[name].append((clock, processors))
                answers.add(answer)
        spent = imported(ran(THIS, warm, asked, "-X", "importtime")[3])
    for what, column in (("on the clock", 0), ("of all processors", 1)):
        medians = {name: statistics.median(run[column] for run in times[name]) for name in ways}
        told = ", ".join(f"{name} {value:.2f} ({value / medians['other']:.2f})" for name, value in medians.items())
        print(f"seconds {what} (ratio to other): {told}")
    print("seconds of imports, warm: " + ", ".join(f"{name} {value:.2f}" for name, value in spent.items() if value))
    print("all answers are the same" if len(answers) == 1 else f"{len(answers)} different answers")


if __name__ == "__main__":
    main()
