"""All development sets and ``distractors`` in one collection, searched as a user types it.

    python -m research.together --photos DATA [--to COLLECTION] [--step 1]

Prints for each set precision@1, mAP and the share of queries with a right photo among the first 50: by the descriptor
alone, with geometry after the descriptor, and as ``reseen search`` does without an option. Junk is left out. The two
weights of the order were learned on these sets (``research.rerank`` leaves the scored set out).
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from research.shortlists import SETS

import reseen
from reseen.collections.first_stage import First
from reseen.evaluation import load_benchmarks
from reseen.evaluation.benchmarks.benchmark import Query

WAYS: dict[str, tuple[First, str]] = {
    "descriptor": ("global", "none"),
    "and geometry": ("global", "auto"),
    "as typed": ("both", "auto"),
}
AMONG = 50


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--to", type=Path, help="where the collection is kept, made when it is not there")
    parser.add_argument("--step", type=int, default=1, help="every n-th query")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(given.photos, given.to or Path(folder) / "all.reseen", given.step)


def measure(photos: Path, to: Path, step: int) -> None:
    benchmarks = [load_benchmarks(str(photos / name))[0] for name in SETS]
    if not to.exists():
        began = time.perf_counter()
        every = [os.fspath(photo) for benchmark in benchmarks for photo in benchmark.database]
        collection = reseen.Collection.create(to, reseen.load("default"))
        report = collection.add(*every, photos / "distractors")
        spent = 1000 * (time.perf_counter() - began) / report.added
        print(f"{report.added} photos indexed, {spent:.0f} ms each, {len(report.rejected)} rejected")
    collection = reseen.Collection.open(to)
    number = {row.path: row.id for row in collection.photos()}
    print("| set | " + " | ".join(f"{way}: first, mAP, among {AMONG}" for way in WAYS) + " |")
    print("|---|" + "---|" * len(WAYS))
    pooled = {}
    for benchmark in benchmarks:
        ids = [number[os.fsencode(photo.absolute())] for photo in benchmark.database]
        found = np.array(
            [
                [of_query(collection, asked, ids, *way) for way in WAYS.values()]
                for asked in [query for query in benchmark.queries if len(query.positives)][::step]
            ]
        )
        pooled[benchmark.name] = found
        print(f"| {benchmark.name} ({len(found)}) | " + cells(found.mean(0)), flush=True)
    print("| mean | " + cells(np.mean([found.mean(0) for found in pooled.values()], axis=0)))
    official = [found for name, found in pooled.items() if name != "landmarks-web"]
    print("| all queries but those of landmarks-web | " + cells(np.concatenate(official).mean(0)))


def of_query(
    collection: reseen.Collection, query: Query, ids: list[int], first: First, rerank: str
) -> tuple[float, float, float]:
    """Whether the first hit is right, the average precision, and whether one of the first 50 is right."""
    right, junk = ({ids[row] for row in rows} for rows in (query.positives, query.junk))
    ranking = collection.search(query.photo, query.box, k=len(collection), first=first, rerank=rerank)
    marks = np.array([hit.id in right for hit in ranking if hit.id not in junk])
    ranks = np.flatnonzero(marks)
    precision = np.arange(1, len(ranks) + 1) / (ranks + 1)
    return float(marks[0]), float(precision.sum() / len(right)), float(marks[:AMONG].any())


def cells(shares: np.ndarray) -> str:
    return " | ".join(", ".join(f"{100 * value:.1f}" for value in way) for way in shares) + " |"


if __name__ == "__main__":
    main()
