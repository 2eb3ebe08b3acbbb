"""Which photos are looked at again: found by vectors, by words of local features, or by both.

    python -m research.firststage --photos DATA --cache CACHE

All development sets and ``distractors`` in one collection. Prints for each set the share of queries whose first hit is
right, and those with a right photo among the first 50, before any verification; then the cost. The descriptor is
``default``; the vocabulary is the shipped one (learned on ``distractors`` and ``views-train``).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np

import reseen
from reseen.collections.first_stage import fused
from reseen.evaluation import VectorCache, load_benchmarks
from reseen.evaluation.rerank import FeatureCache
from reseen.images import walk
from reseen.search.index.exact import ExactIndex
from reseen.search.index.inverted import InvertedFile

SETS = ("smvs-dvd", "smvs-landmarks", "paris-sub", "views-objects", "landmarks-web")
DEEP = 80
"""Hits of each kind that are asked for, junk included."""
WAYS = ("global", "local", "both")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--cache", type=Path, required=True, help="folder for vectors and local features")
    given = parser.parse_args()
    descriptor, cache = reseen.load("default"), VectorCache(given.cache)
    local = FeatureCache(cache)
    benchmarks = [load_benchmarks(given.photos / name)[0] for name in SETS]
    others = [Path(item.path.decode()) for item in walk([given.photos / "distractors"]) if not item.ignored]
    photos = list(dict.fromkeys([*(photo for b in benchmarks for photo in b.database), *others]))
    number = {photo: i for i, photo in enumerate(photos)}
    ids = np.arange(len(photos))
    exact = ExactIndex.of(ids, cache.encode(descriptor, photos).vectors)
    items = local.read(photos)
    start = time.perf_counter()
    words = InvertedFile.of(ids, items)
    built = 1000 * (time.perf_counter() - start) / len(photos)
    print("| set | " + " | ".join(f"{way}: first, among 50" for way in WAYS) + " |\n|---|" + "---|" * len(WAYS))
    spent, asked, means = 0.0, 0, []
    for benchmark in benchmarks:
        queries = [query for query in benchmark.queries if len(query.positives)]
        every = [query.photo for query in queries]
        vectors = cache.encode(descriptor, every, [query.box for query in queries]).vectors
        right = np.zeros((len(WAYS), 2))
        for query, vector, features in zip(queries, vectors, local.read(every), strict=True):
            positives = {number[benchmark.database[row]] for row in query.positives.tolist()}
            junk = {number[benchmark.database[row]] for row in query.junk.tolist()}
            near = exact.search(vector[None], DEEP)[0][0].tolist()
            start = time.perf_counter()
            said = words.search([features.inside(query.box)], DEEP)[0][0].tolist()
            spent, asked = spent + time.perf_counter() - start, asked + 1
            lists = [[i for i in found if i >= 0 and i not in junk][:50] for found in (near, said)]
            for way, found in enumerate([*lists, fused(lists, 50)]):
                right[way] += bool(found) and found[0] in positives, bool(positives & {*found})
        share = 100 * right / len(queries)
        means.append(share)
        print(f"| {benchmark.name} | " + " | ".join(f"{first:.1f}, {among:.1f}" for first, among in share) + " |")
    print("| mean | " + " | ".join(f"{first:.1f}, {among:.1f}" for first, among in np.mean(means, axis=0)) + " |")
    features = sum(map(len, items)) / len(items)
    print(
        f"\n{len(photos)} photos of {features:.0f} features: 14 bytes a feature, {14 * features / 1000:.1f} kB a photo;"
    )
    print(f"{built:.1f} ms a photo to build, {1000 * spent / asked:.1f} ms a query")


if __name__ == "__main__":
    main()
