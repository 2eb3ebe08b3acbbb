"""The inverted file with 5,000, 20,000 and 100,000 photos: bytes, milliseconds a query, and how both grow.

    python benchmarks/inverted.py PHOTOS... --cache CACHE

Local features are of the photos in the folders PHOTOS; what there are too few of is made up of jittered copies: half of
the postings of one photo and half of another's, drawn at random, one bit in sixteen of each signature flipped, all
directions and sizes shifted alike. Copies fill the lists as photos do, and say nothing about accuracy. Queries are 50
of the photos. Milliseconds are of CPU, which a busy machine changes least.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from reseen.evaluation import VectorCache
from reseen.evaluation.rerank import FeatureCache
from reseen.images import walk
from reseen.search.index.base import NOTHING
from reseen.search.index.inverted import InvertedFile, Loaded, Segment, rows_of

QUERIES = 50


def jittered(real: Segment, count: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Words, photos (from 0), signatures and frames of ``count`` copies."""
    arrays = real.arrays()
    words = np.repeat(np.arange(len(real.starts) - 1), np.diff(real.starts)).astype(np.uint16)
    order = np.argsort(arrays["photos"], kind="stable")
    ends = np.searchsorted(arrays["photos"][order], np.arange(len(real) + 1)).astype(np.int64)
    drawn = rng.integers(0, len(real), 2 * count)
    rows = rows_of(ends[drawn], ends[drawn + 1])
    photos = np.repeat(np.arange(2 * count, dtype=np.int32) // 2, ends[drawn + 1] - ends[drawn])
    kept = rng.random(len(rows)) < 0.5
    rows, photos = order[rows[kept]], photos[kept]
    flips = np.full(len(rows), 2**64 - 1, np.uint64)
    for _ in range(4):
        flips &= rng.integers(0, 2**64, len(rows), np.uint64)
    shift = rng.integers(0, 16, (count, 2), np.uint8)
    return words[rows], photos, arrays["signatures"][rows] ^ flips, arrays["frames"][rows] + shift[photos]


def enlarged(real: Segment, size: int, rng: np.random.Generator) -> Segment:
    """A segment of ``size`` photos: the real ones, and copies."""
    arrays = real.arrays()
    words, photos, signatures, frames = jittered(real, size - len(real), rng)
    words = np.concatenate([np.repeat(np.arange(len(real.starts) - 1), np.diff(real.starts)).astype(np.uint16), words])
    order = np.argsort(words, kind="stable")
    return Segment(
        np.searchsorted(words[order], np.arange(len(real.starts))).astype(np.int64),
        Loaded(np.concatenate([arrays["photos"], photos + np.int32(len(real))])[order]),
        Loaded(np.concatenate([arrays["signatures"], signatures])[order]),
        Loaded(np.concatenate([arrays["frames"], frames])[order]),
        np.arange(size),
        np.zeros(size, np.int64),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--cache", type=Path, required=True, help="folder of local features")
    parser.add_argument("--sizes", type=int, nargs="+", default=[5000, 20_000, 100_000])
    given = parser.parse_args()
    photos = [Path(os.fsdecode(item.path)) for item in walk(given.photos) if not item.ignored]
    items = [found for found in FeatureCache(VectorCache(given.cache)).read(photos) if len(found)]
    rng = np.random.default_rng(0)
    asked = [items[row] for row in rng.choice(len(items), QUERIES, replace=False)]
    start = time.process_time()
    real = InvertedFile.of(np.arange(len(items)), items)
    built = 1000 * (time.process_time() - start) / len(items)
    print(f"{len(items)} real photos; {built:.1f} ms to add one\n")
    print("| photos | features a photo | bytes a photo | to open, ms | a query, ms |\n|---|---|---|---|---|")
    lines = []
    for size in given.sizes:
        index = InvertedFile(real.vocabulary, [enlarged(real.segments[0], size, rng)])
        features = len(index.segments[0].photos) / size
        with tempfile.TemporaryDirectory() as folder:
            index.save(Path(folder))
            stored = sum(file.stat().st_size for file in Path(folder).glob("0-*"))
            start = time.perf_counter()
            opened = InvertedFile.open(Path(folder))
            seconds = time.perf_counter() - start
            opened.search(asked[:1], 50)
            start = time.process_time()
            found, _ = opened.search(asked, 50)
            query = 1000 * (time.process_time() - start) / len(asked)
        assert (found[:, 0] != NOTHING).all()
        print(f"| {size} | {features:.0f} | {stored / size:.0f} | {1000 * seconds:.0f} | {query:.1f} |", flush=True)
        lines.append((size, query))
    sizes, queries = np.log(np.array(lines)).T
    print(f"\nmilliseconds a query grow with the power {np.polyfit(sizes, queries, 1)[0]:.2f} of the photos")


if __name__ == "__main__":
    main()
