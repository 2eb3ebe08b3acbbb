"""Queries that are turned, mirrored, cropped, shrunk: what still works as a user types it.

    python -m research.changed_queries --photos DATA --to COLLECTION [--step 4]

The collection is that of ``research.together``: all development sets and ``distractors``. For each change of the query,
precision@1 without geometry and as typed, and how many of the right first hits are verified. Boxes are left out.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

import reseen
from reseen.evaluation import load_benchmarks
from reseen.images import load_photo

SETS = ("smvs-dvd", "smvs-landmarks", "paris-sub", "views-objects")
Pixels = NDArray[np.uint8]


def turned(degrees: float) -> Callable[[Pixels], Pixels]:
    """Turned about its centre, the frame enlarged to hold it."""

    def turn(pixels: Pixels) -> Pixels:
        return np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BICUBIC, expand=True))

    return turn


def cropped(share: float) -> Callable[[Pixels], Pixels]:
    """The middle, of so much of the area."""

    def crop(pixels: Pixels) -> Pixels:
        height, width = pixels.shape[:2]
        h, w = (max(1, round(side * share**0.5)) for side in (height, width))
        top, left = (height - h) // 2, (width - w) // 2
        return pixels[top : top + h, left : left + w]

    return crop


def shrunk(factor: float) -> Callable[[Pixels], Pixels]:
    """Fewer pixels."""
    return lambda pixels: cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def far(pixels: Pixels) -> Pixels:
    """Four times smaller in a grey frame of the same size."""
    frame = np.full_like(pixels, 128)
    small = shrunk(0.25)(pixels)
    top, left = (pixels.shape[0] - small.shape[0]) // 2, (pixels.shape[1] - small.shape[1]) // 2
    frame[top : top + small.shape[0], left : left + small.shape[1]] = small
    return frame


CHANGES: dict[str, Callable[[Pixels], Pixels]] = {
    "as it is": lambda pixels: pixels,
    "turned by 20 degrees": turned(20),
    "turned by 90 degrees": turned(90),
    "turned by 180 degrees": turned(180),
    "mirrored": lambda pixels: np.ascontiguousarray(pixels[:, ::-1]),
    "middle half of the area": cropped(0.5),
    "middle quarter": cropped(0.25),
    "middle tenth": cropped(0.1),
    "a quarter of the size": shrunk(0.25),
    "seen four times smaller": far,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--to", type=Path, required=True, help="the collection of research.together")
    parser.add_argument("--step", type=int, default=4, help="every n-th query")
    given = parser.parse_args()
    collection = reseen.Collection.open(given.to)
    number = {row.path: row.id for row in collection.photos()}
    print("| query | " + " | ".join(f"{name}: vectors, as typed, verified" for name in SETS) + " |")
    print("|---|" + "---|" * len(SETS))
    for name, change in CHANGES.items():
        shares = [of_set(collection, given.photos / one, number, change, given.step) for one in SETS]
        print(
            f"| {name} | " + " | ".join(", ".join(f"{100 * s:.0f}" for s in share) for share in shares) + " |",
            flush=True,
        )


def of_set(
    collection: reseen.Collection, folder: Path, number: dict[bytes, int], change: Callable[[Pixels], Pixels], step: int
) -> NDArray[np.float64]:
    benchmark = load_benchmarks(str(folder))[0]
    ids = [number[os.fsencode(photo.absolute())] for photo in benchmark.database]
    found = []
    for query in [query for query in benchmark.queries if len(query.positives)][::step]:
        right, junk = ({ids[row] for row in rows} for rows in (query.positives, query.junk))
        asked = collection.query(change(load_photo(query.photo).pixels))
        plain, typed = (
            next(hit for hit in collection.search(asked, k=60, rerank=rerank) if hit.id not in junk)
            for rerank in ("none", "auto")
        )
        found.append((plain.id in right, typed.id in right, typed.id in right and typed.verified))
    return np.mean(found, axis=0)


if __name__ == "__main__":
    main()
