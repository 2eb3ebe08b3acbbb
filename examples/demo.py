"""A small museum, painted; visitors' photos of it; and how often reseen finds the painting.

    python examples/demo.py FOLDER

Only the paintings are indexed. Each visitor's photo is then searched for, and counted as right when the first
hit is the painting that it shows. The default descriptor has learned from other paintings of the same painter, never
from these, and never from visitors' photos.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from reseen.scenes import paint, visit

PAINTINGS = 60
VISITORS = 120
SHOWN = 24


def main() -> int:
    """Build, index, search, count."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the museum is built; what is there is painted again")
    folder: Path = parser.parse_args().folder
    truth = build(folder)
    say(f"{PAINTINGS} paintings and {VISITORS} visitors' photos are in {folder}")
    reseen("index", folder / "paintings", "--to", folder / "museum.reseen")
    photos = list(truth)
    found = reseen("search", folder / "museum.reseen", *photos, "-k", PAINTINGS, "--json")
    page = folder / "hits.html"
    reseen("search", folder / "museum.reseen", *photos[:SHOWN], "-k", 5, "--html", page, "--quiet")
    ranks = [rank_of(truth[photo], json.loads(line)) for photo, line in zip(photos, found.splitlines(), strict=True)]
    say(f"the first {SHOWN} photos with their hits: {page}")
    print(f"precision@1 {np.mean([r == 1 for r in ranks]):.3f} mAP {np.mean([precision(r) for r in ranks]):.3f}")
    return 0


def build(folder: Path) -> dict[Path, Path]:
    """Paint everything; returns which painting each visitor's photo shows."""
    paintings = [paint(number) for number in range(PAINTINGS)]
    canvases = [painting.pixels for painting in paintings]
    files = [folder / "paintings" / f"{p.number:03d} {p.manner}.jpg" for p in paintings]
    photos = [folder / "visitors" / f"{number:03d}.jpg" for number in range(VISITORS)]
    for place in (folder / "paintings", folder / "visitors"):
        place.mkdir(parents=True, exist_ok=True)

    def photograph(number: int) -> None:
        shown = number % PAINTINGS
        others = canvases[:shown] + canvases[shown + 1 :]
        scene = visit(canvases[shown], np.random.default_rng((2026, number)), others=others)
        Image.fromarray(scene.pixels).save(photos[number], quality=90)

    for pixels, file in zip(canvases, files, strict=True):
        Image.fromarray(pixels).save(file, quality=92)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(photograph, range(VISITORS)))
    return {photo: files[number % PAINTINGS] for number, photo in enumerate(photos)}


def reseen(*words: object) -> str:
    """Run the command line as a user would, showing the command; its standard output."""
    arguments = [str(word) for word in words]
    shown = shlex.join(arguments if len(arguments) < 12 else [*arguments[:3], "...", *arguments[-3:]])
    say(f"$ reseen {shown}")
    done = subprocess.run([sys.executable, "-m", "reseen.cli.main", *arguments], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise SystemExit(done.returncode)
    return done.stdout


def rank_of(painting: Path, answer: dict[str, list[dict[str, object]]]) -> int | None:
    """Rank of the right painting among all hits, from 1."""
    for hit in answer["hits"]:
        if Path(str(hit["path"])).name == painting.name:
            return int(str(hit["rank"]))
    return None


def precision(rank: int | None) -> float:
    """Average precision with one right answer, by the Oxford rule (trapezoid from the rank before)."""
    if rank is None:
        return 0.0
    return 1.0 if rank == 1 else 0.5 / rank


def say(line: str) -> None:
    """What is going on, beside the result on standard output."""
    print(line, file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
