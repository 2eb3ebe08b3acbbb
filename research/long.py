"""Run the long harnesses of faults, damage and mutation and keep what they counted, with date and commit.

python -m research.long [--every N] [--only EXPRESSION] [--to docs/long.md]
"""

from __future__ import annotations

import argparse
import datetime
import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from collections.abc import Sequence
from pathlib import Path

HOSTILE = ("tests/images/test_hostile.py", "tests/test_parsers.py", "tests/test_safe_pickle.py")
"""What `make test` runs whole, counted beside the long harnesses."""


def run(options: Sequence[str], every: int) -> tuple[int, int, list[str]]:
    """Run pytest: how many tests, how many failed, and the counts that they recorded."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-n", "auto", f"--junit-xml={report}", "-o", "junit_family=legacy"]
        subprocess.run([*command, *options], check=False, env={**os.environ, "RESEEN_EVERY": str(every)})
        suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
        assert suite is not None
        counts = [found.get("value") or "" for found in suite.iter("property") if found.get("name") == "counts"]
        return int(suite.get("tests", 0)), int(suite.get("failures", 0)) + int(suite.get("errors", 0)), counts


def main() -> int:
    """Run the harnesses; write the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="disturb each N-th call only")
    parser.add_argument("--only", default="", help="as pytest's -k")
    parser.add_argument("--to", type=Path, default=Path("docs/long.md"))
    arguments = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    started = time.monotonic()
    tests, failed, counts = run(["-m", "long", "-k", arguments.only], arguments.every)
    seconds = time.monotonic() - started
    what = f"`--only '{arguments.only}'` of the harnesses" if arguments.only else "All harnesses"
    what += f", at each {arguments.every}th call or moment (`--every {arguments.every}`)" if arguments.every > 1 else ""
    lines = [
        "# The last long run",
        "",
        f"Written by `python -m research.long` (`make long`) on {datetime.date.today()} at commit {commit.strip()}. "
        f"{what}: {tests} tests, {failed} failed, {seconds:.0f} s.",
        "",
        *(f"- {line}" for line in sorted(counts)),
    ]
    if not arguments.only:
        tried, refuted, _ = run(HOSTILE, arguments.every)
        failed += refuted
        lines += [f"- hostile photos, pickles and lists: {tried} tests, {refuted} failed"]
    arguments.to.write_text("\n".join(lines) + "\n")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
