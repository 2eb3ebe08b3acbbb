"""Which photos are looked at again: found by vectors, by words of local features, or by both.

    python -m research.firststage --photos DATA --cache CACHE

All development sets and ``distractors`` in one collection. Prints for each set the share of queries whose first hit is
right, and those with a right photo among the first 50, before any verification; then the cost. The descriptor is
``default``; the vocabulary is the shipped one (learned on ``distractors`` and ``views-train``).
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import reseen
from reseen.collections.first_stage import fused
from reseen.evaluation import load_benchmarks
from reseen.images import load_photo, ordered_map, walk
from reseen.local_features import LocalFeatures
from reseen.search.index.exact import ExactIndex
from reseen.search.index.inverted import InvertedFile
from reseen.search.local import RootSift
from reseen.types import Vectors

SETS = ("smvs-dvd", "smvs-landmarks", "paris-sub", "views-objects", "landmarks-web")
DEEP = 80
"""Hits of each kind that are asked for, junk included."""
WAYS = ("global", "local", "both")


class Kept:
    """Vectors and local features of photos, made once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "firststage.pkl"
        self.held: dict[str, bytes] = pickle.loads(self.file.read_bytes()) if self.file.is_file() else {}

    def features(self, photos: Sequence[Path]) -> list[LocalFeatures]:
        """Of whole photos."""
        missing = [photo for photo in dict.fromkeys(photos) if str(photo) not in self.held]
        extractor = RootSift()

        def one(photo: Path) -> bytes:
            found = load_photo(photo, at_least=extractor.side)
            return extractor.extract(found.pixels, found.size).to_bytes()

        for photo, data in zip(missing, ordered_map(one, missing, workers=2), strict=True):
            self.held[str(photo)] = data
        self.file.write_bytes(pickle.dumps(self.held))
        return [LocalFeatures.from_bytes(self.held[str(photo)]) for photo in photos]

    def vectors(self, name: str, photos: Sequence[Path], boxes: Sequence[object]) -> Vectors:
        """Of photos, or what their boxes hold."""
        file = self.file.with_name(f"{name}.npy")
        if not file.is_file():
            np.save(file, reseen.load("default").encode([*photos], boxes=[*boxes]))
        return np.load(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--cache", type=Path, required=True, help="folder for vectors and local features")
    given = parser.parse_args()
    kept = Kept(given.cache)
    benchmarks = [load_benchmarks(given.photos / name)[0] for name in SETS]
    others = [Path(item.path.decode()) for item in walk([given.photos / "distractors"]) if not item.ignored]
    photos = list(dict.fromkeys([*(photo for b in benchmarks for photo in b.database), *others]))
    number = {photo: i for i, photo in enumerate(photos)}
    ids = np.arange(len(photos))
    exact = ExactIndex.of(ids, kept.vectors("database", photos, [None] * len(photos)))
    items = kept.features(photos)
    start = time.perf_counter()
    words = InvertedFile.of(ids, items)
    built = 1000 * (time.perf_counter() - start) / len(photos)
    print("| set | " + " | ".join(f"{way}: first, among 50" for way in WAYS) + " |\n|---|" + "---|" * len(WAYS))
    spent, asked, means = 0.0, 0, []
    for benchmark in benchmarks:
        queries = [query for query in benchmark.queries if len(query.positives)]
        every = [query.photo for query in queries]
        vectors = kept.vectors(f"queries-{benchmark.name}", every, [query.box for query in queries])
        right = np.zeros((len(WAYS), 2))
        for query, vector, features in zip(queries, vectors, kept.features(every), strict=True):
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
