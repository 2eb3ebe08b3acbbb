"""What local features by default cost: time and disk of `index`, and a search stage by stage.

    python benchmarks/as_typed.py --photos DATA [--count 150] [--rounds 3] [--queries 30]

Indexing without and with local features takes turns. A search's parts are ratios to encoding one photo.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import reseen
from reseen.images import walk
from reseen.search.local import create_extractor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--count", type=int, default=150, help="photos that are indexed")
    parser.add_argument("--rounds", type=int, default=3, help="how often each way is taken")
    parser.add_argument("--queries", type=int, default=30, help="photos that are searched for")
    given = parser.parse_args()
    found = [
        os.fsdecode(item.path) for item in walk([given.photos / "smvs-dvd", given.photos / "smvs-landmarks"]) if item
    ]
    photos = np.random.default_rng(0).permutation([path for path in found if path.endswith(".jpg")])
    descriptor = reseen.load("default")
    spent: dict[str, list[float]] = {"none": [], "sift": []}
    size: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(given.rounds):
            for local, times in spent.items():
                to = Path(folder) / f"{local}-{number}"
                collection = reseen.Collection.create(to, descriptor, local=local)
                times.append(timed(lambda c=collection: c.add(*photos[: given.count])) / given.count)  # type: ignore[misc]
                size[local] = sum(file.stat().st_size for file in to.rglob("*") if file.is_file())
        medians = {local: float(np.median(times)) for local, times in spent.items()}
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}; {given.count} photos, {given.rounds} rounds")
        print(f"index: {medians['none']:.0f} ms a photo without local features, {medians['sift']:.0f} with; ", end="")
        print(f"{medians['sift'] / medians['none']:.2f} times; ", end="")
        print(f"{(size['sift'] - size['none']) / given.count / 1000:.1f} kB a photo more")
        search(collection, photos[given.count : given.count + given.queries])


def search(collection: reseen.Collection, photos: np.ndarray) -> None:
    extractor = create_extractor(collection.manifest.local)
    collection.search(photos[0])
    rows = []
    for photo in photos:
        asked = collection.query(photo)
        parts = {
            "decode": timed(asked.photo),
            "encode": timed(lambda a=asked: a.vector(collection.encoder)),  # type: ignore[misc]
            "local features": timed(lambda a=asked: a.features(extractor)),  # type: ignore[misc]
            "vectors": timed(lambda a=asked: collection.search(a, rerank="none")),  # type: ignore[misc]
        }
        first = timed(lambda a=asked: collection.search(a, rerank="geometry", first="global"))  # type: ignore[misc]
        both = timed(lambda a=asked: collection.search(a, rerank="geometry"))  # type: ignore[misc]
        whole = timed(lambda a=asked: collection.search(a))  # type: ignore[misc]
        rows.append(
            {
                **parts,
                "verification of 50": first - parts["vectors"],
                "words": both - first,
                "all that search does": whole,
            }
        )
    encode = float(np.median([row["encode"] for row in rows]))
    print("| part | ms, median | times encoding |\n|---|---|---|")
    for name in rows[0]:
        middle = float(np.median([row[name] for row in rows]))
        print(f"| {name} | {middle:.1f} | {middle / encode:.2f} |")


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
