"""Make every shipped file that is learned, in the order in which one needs the other.

    python -m tools.remake --photos DATA --to RUN [--begin STEP]

The network takes longest. Afterwards the tables of the docs are made again by the commands in
`research/README.md`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

STEPS = {
    "network": "make_default train --photos {photos} --to {to} --sets distractors landmarks-web --until 200",
    "whitening": "make_default whiten --photos {photos} --backbone {to} --share 0.5",
    "basis": "make_sift_basis --photos {photos}",
    "vocabulary": "make_vocabulary --photos {photos}",
    "calibration": "calibrate_geometry --photos {photos} --write",
}
"""Modules of `tools` with what they are asked, in order."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--to", type=Path, required=True, help="folder of the training run")
    parser.add_argument("--begin", choices=STEPS, default="network", help="leave out what comes before")
    given = parser.parse_args()
    names = list(STEPS)
    for name in names[names.index(given.begin) :]:
        words = [word.format(photos=given.photos, to=given.to) for word in STEPS[name].split()]
        print(f"{name}: python -m tools.{' '.join(words)}", flush=True)
        done = subprocess.run([sys.executable, "-m", f"tools.{words[0]}", *words[1:]])
        if done.returncode:
            sys.exit(f"{name} failed; `--begin {name}` goes on from here")


if __name__ == "__main__":
    main()
