"""Several photos of a thing as one question, beside each of them alone.

    python -m research.several --photos DATA --cache CACHE

Things of ``views-objects`` with four photos or more are asked for by their first one, two and three photos; what is
scored is the same for all: where the other photos of the thing stand among the rest of all development sets and
``distractors``. ``not``: by the first photo alone, with a photo of the thing whose photo came first wrongly, or of the
first other thing, as an example of what is not meant.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np
from research.groups import ALL, collection

from reseen.evaluation import VectorCache, load_benchmarks
from reseen.images import walk

ASKED = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--cache", type=Path, required=True, help="folder for vectors and local features")
    given = parser.parse_args()
    benchmarks = [load_benchmarks(given.photos / name)[0] for name in ALL]
    others = [Path(item.path.decode()) for item in walk([given.photos / "distractors"]) if not item.ignored]
    photos = list(dict.fromkeys([*(photo for b in benchmarks for photo in b.database), *others]))
    with tempfile.TemporaryDirectory() as folder:
        held = collection(Path(folder) / "c", photos, VectorCache(given.cache))
        things: dict[str, list[int]] = defaultdict(list)
        for row in held.photos():
            if "/views-objects/" in row.name:
                things[Path(row.name).parent.name].append(row.id)
        scored: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for ids in things.values():
            if len(ids) <= ASKED:
                continue
            wanted = set(ids[ASKED:])

            def score(way: str, hits: list[int], asked: set[int], wanted: set[int] = wanted) -> None:
                listed = [photo for photo in hits if photo not in asked]
                ranks = np.flatnonzero([photo in wanted for photo in listed])
                precision = (np.arange(len(ranks)) + 1) / (ranks + 1)
                scored[way].append((float(bool(listed) and listed[0] in wanted), precision.sum() / len(wanted)))

            for count in range(1, ASKED + 1):
                answer = held.search_as_one(ids[:count], k=60)
                score(f"{count} as one", [hit.id for hit in answer.ranking], set(ids[:ASKED]))
            alone = [held.search(photo, k=60) for photo in ids[:ASKED]]
            for hits in alone:
                score("each alone", [hit.id for hit in hits], set(ids[:ASKED]))
            wrong = next(hit.id for hit in alone[0] if hit.id not in ids)
            answer = held.search_as_one(ids[:1], k=60, against=[wrong])
            score("1, not the first wrong one", [hit.id for hit in answer.ranking], set(ids[:ASKED]) | {wrong})
            score("1, that one left out", [hit.id for hit in alone[0]], set(ids[:ASKED]) | {wrong})
    print(f"{len(photos)} photos\n\n| asked with | first hit right, % | mAP |\n|---|---|---|")
    for way, values in scored.items():
        first, precision = 100 * np.mean(values, axis=0)
        print(f"| {way} | {first:.1f} | {precision:.1f} |")


if __name__ == "__main__":
    main()
