"""Run the long harnesses of faults and damage and keep what they counted, with date and commit.

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
from pathlib import Path


def main() -> int:
    """Run pytest; write the counts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="disturb each N-th call only")
    parser.add_argument("--only", default="", help="as pytest's -k")
    parser.add_argument("--to", type=Path, default=Path("docs/long.md"))
    arguments = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        command = [
            "-m",
            "long",
            "-n",
            "auto",
            "-k",
            arguments.only,
            f"--junit-xml={report}",
            "-o",
            "junit_family=legacy",
        ]
        every = {**os.environ, "RESEEN_EVERY": str(arguments.every)}
        code = subprocess.run([sys.executable, "-m", "pytest", *command], check=False, env=every).returncode
        suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
        assert suite is not None
        counts = [found.get("value") or "" for found in suite.iter("property") if found.get("name") == "counts"]
        tests, failed = int(suite.get("tests", 0)), int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout
    what = f"`--only '{arguments.only}'` of the harnesses" if arguments.only else "All harnesses"
    what += f", at each {arguments.every}th call or moment (`--every {arguments.every}`)" if arguments.every > 1 else ""
    lines = [
        "# The last long run",
        "",
        f"Written by `python -m research.long` (`make long`) on {datetime.date.today()} at commit {commit.strip()}. "
        f"{what}: {tests} tests, {failed} failed, {time.monotonic() - started:.0f} s.",
        "",
        *(f"- {line}" for line in sorted(counts)),
    ]
    arguments.to.write_text("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
