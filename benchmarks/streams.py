"""Two streams of vectors that are read in turns, beside one after the other, and what is left to the caller's torch.

    python benchmarks/streams.py PHOTOS [--recipe rmac-lite0] [--count 24] [--rounds 3]

Each round takes both ways on the same photos and descriptors; the ratio is of their times. Between two photos the
caller multiplies matrices with torch, as a user's own network would.
"""

from __future__ import annotations

import argparse
import itertools
import os
import time
from collections.abc import Iterable

import torch

import reseen
from reseen.images import walk


def own_work(matrix: torch.Tensor) -> float:
    """Seconds of the caller's own torch."""
    start = time.perf_counter()
    matrix @ matrix
    return time.perf_counter() - start


def consume(items: Iterable[object], matrix: torch.Tensor) -> tuple[float, float]:
    """Seconds of the streams, and of the caller's own work between their photos."""
    start, own = time.perf_counter(), 0.0
    for _ in items:
        own += own_work(matrix)
    return time.perf_counter() - start - own, own


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos")
    parser.add_argument("--recipe", default="rmac-lite0")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    found = [os.fsdecode(item.path) for item in walk([arguments.photos]) if not item.ignored]
    photos = list(itertools.islice(itertools.cycle(found), arguments.count))
    one, other = (reseen.load(arguments.recipe, engine="torch") for _ in range(2))
    for descriptor in (one, other):
        descriptor.encode(photos[:2])
    matrix = torch.rand(1500, 1500)
    own_work(matrix)
    before = torch.get_num_threads()
    print(f"{arguments.recipe}, twice {len(photos)} photos, torch has {before} threads")
    for _ in range(arguments.rounds):
        torch.set_num_threads(before)
        alone, own_alone = consume(itertools.chain(one.stream(photos), other.stream(photos)), matrix)
        between = torch.get_num_threads()
        turns = itertools.chain.from_iterable(zip(one.stream(photos), other.stream(photos), strict=True))
        mixed, own_mixed = consume(turns, matrix)
        print(
            f"one after the other {2 * len(photos) / alone:5.1f} photos/s, in turns {2 * len(photos) / mixed:5.1f} "
            f"photos/s, ratio {alone / mixed:.2f}; the caller's own torch {own_alone:.2f} s and {own_mixed:.2f} s; "
            f"threads afterwards {between} and {torch.get_num_threads()}",
            flush=True,
        )


if __name__ == "__main__":
    main()
