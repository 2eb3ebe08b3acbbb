"""Photos of the same thing in a whole collection: pairs that are right, pairs that are found, seconds.

    python -m research.groups accuracy --photos DATA --cache CACHE
    python -m research.groups copies --photos DATA --cache CACHE
    python -m research.groups growth --photos DATA --cache CACHE

``accuracy``: ``smvs-dvd``, ``smvs-landmarks`` and ``paris-sub`` with their queries in one collection. Two photos show
the same thing where a query has both for positives, or one is a positive of the other. Photos that the truth does not
name, and junk, are in the collection and in no pair that counts. ``copies``: every twelfth photo again, trimmed, scaled
and compressed. ``growth``: 500 to 2,000 photos of all development sets in one order drawn at random.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import itertools
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

import reseen
from reseen.collections import Collection
from reseen.collections.groups import SAME_PART, grouped
from reseen.encoder import Encoded
from reseen.evaluation import VectorCache, load_benchmarks
from reseen.evaluation.rerank import FeatureCache
from reseen.images import walk

SCORED = ("smvs-dvd", "smvs-landmarks", "paris-sub")
ALL = (*SCORED, "views-objects", "landmarks-web")
SIZES = (500, 1000, 2000)


class Kept:
    """A descriptor whose vectors of these photos are read from the cache of evaluation."""

    gives: frozenset[str] = frozenset()

    def __init__(self, cache: VectorCache, photos: Iterable[Path]) -> None:
        self.inner, self.cache = reseen.load("default"), cache
        self.name, self.fingerprint = self.inner.name, self.inner.fingerprint
        self.dim, self.side = self.inner.dim, self.inner.side
        self.paths = {hashlib.sha256(photo.read_bytes()).digest(): photo for photo in photos}

    def save(self, folder: Path) -> Path:
        return self.inner.save(folder)

    def stream(self, photos: Iterable[bytes], boxes: Any = None, **_: Any) -> Iterator[Encoded]:
        local = FeatureCache(self.cache)
        waiting, done = iter(photos), 0
        while batch := [self.paths[hashlib.sha256(data).digest()] for data in itertools.islice(waiting, 256)]:
            vectors = self.cache.encode(self.inner, batch).vectors
            for vector, features in zip(vectors, local.read(batch), strict=True):
                yield Encoded(done, vector, features.size, tasks={"local": features.to_bytes()})
                done += 1


def collection(folder: Path, photos: Sequence[Path], cache: VectorCache) -> Collection:
    made = Collection.create(folder, Kept(cache, photos), local="sift")
    made.add(*photos)
    return made


def true_pairs(benchmarks: Iterable[Any], row: Mapping[Path, int]) -> tuple[set[tuple[int, int]], set[int]]:
    """Pairs that show the same thing, and the photos that the truth names."""
    thing: dict[int, set[int]] = {}
    for benchmark in benchmarks:
        for query in benchmark.queries:
            if len(query.positives):
                same = {row[query.photo], *(row[benchmark.database[i]] for i in query.positives.tolist())}
                for photo in [*same]:
                    same |= thing.get(photo, set())
                thing |= dict.fromkeys(same, same)
    return {pair for same in thing.values() for pair in itertools.combinations(sorted(same), 2)}, {*thing}


def rates(found: set[tuple[int, int]], true: set[tuple[int, int]], named: set[int]) -> str:
    counted = {pair for pair in found if named.issuperset(pair)}
    right = len(counted & true)
    return f"{len(counted)} | {100 * right / max(len(counted), 1):.1f} | {100 * right / len(true):.1f}"


def accuracy(given: argparse.Namespace) -> None:
    cache = VectorCache(given.cache)
    benchmarks = [load_benchmarks(given.photos / name)[0] for name in SCORED]
    photos = list(dict.fromkeys(p for b in benchmarks for p in (*b.database, *(q.photo for q in b.queries))))
    with tempfile.TemporaryDirectory() as folder:
        kept = given.collection or Path(folder) / "c"
        held = Collection.open(kept) if kept.exists() else collection(kept, photos, cache)
        row = {Path(found.name): found.id for found in held.photos()}
        row = {photo: row[photo.absolute()] for photo in photos}
        start = time.process_time()
        pairs = held.match(held)
        print(f"{len(photos)} photos, {len(pairs)} verified pairs, {time.process_time() - start:.0f} s of CPU\n")
        truths = {b.name: true_pairs([b], row) for b in benchmarks} | {"all": true_pairs(benchmarks, row)}
        print("| set | true pairs | sure from | pairs | right, % | found, % | in groups | right, % | found, % |")
        print("|---|---|---|---|---|---|---|---|---|")
        for name, (true, named) in truths.items():
            for sure in given.sure:
                direct = {
                    (min(p.first, p.second), max(p.first, p.second)) for p in pairs if (p.probability or 0) >= sure
                }
                groups = grouped(pairs, sure=sure, same_part=given.same_part)
                within = {pair for g in groups for pair in itertools.combinations(sorted(g.photos), 2)}
                print(
                    f"| {name} | {len(true)} | {sure} | {rates(direct, true, named)} | {rates(within, true, named)} |"
                )


def copied(photo: Path, seed: int) -> bytes:
    """A photo again, as another would send it on: trimmed by up to 8 %, at 40 to 100 % of its size, JPEG 50 to 90."""
    rng = np.random.default_rng(seed)
    with Image.open(photo) as opened:
        picture = ImageOps.exif_transpose(opened).convert("RGB")
    w, h = picture.size
    left, top, right, bottom = rng.uniform(0, 0.08, 4)
    picture = picture.crop((int(w * left / 2), int(h * top / 2), int(w * (1 - right / 2)), int(h * (1 - bottom / 2))))
    scale = rng.uniform(0.4, 1)
    picture = picture.resize((max(32, int(picture.width * scale)), max(32, int(picture.height * scale))))
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=int(rng.integers(50, 90)))
    return data.getvalue()


def copies(given: argparse.Namespace) -> None:
    benchmarks = [load_benchmarks(given.photos / name)[0] for name in SCORED]
    photos = list(dict.fromkeys(p for b in benchmarks for p in (*b.database, *(q.photo for q in b.queries))))
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for seed, photo in enumerate(photos[::12]):
            target = Path(folder) / "copies" / f"{seed:04d}.jpg"
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(copied(photo, seed))
            made.append((target, photo))
        cache, every = VectorCache(given.cache), [*photos, *(target for target, _ in made)]
        if given.collection:
            shutil.copytree(given.collection, Path(folder) / "c")
            held = Collection.open(Path(folder) / "c", Kept(cache, every))
            held.add(*(target for target, _ in made))
        else:
            held = collection(Path(folder) / "c", every, cache)
        row = {Path(found.name): found.id for found in held.photos()}
        true = {frozenset((row[target], row[photo.absolute()])) for target, photo in made}
        found = {frozenset((pair.first, pair.second)) for pair in held.duplicates()}
        print(f"{len(made)} copies among {len(row)} photos: {len(found & true)} found, {len(found - true)} other pairs")
        names = {i: name for name, i in row.items()}
        for pair in [*(found - true)][:20]:
            print("  ", *(names[i].name for i in pair))


def growth(given: argparse.Namespace) -> None:
    cache = VectorCache(given.cache)
    benchmarks = [load_benchmarks(given.photos / name)[0] for name in ALL]
    others = [Path(item.path.decode()) for item in walk([given.photos / "distractors"]) if not item.ignored]
    every = [*(p for b in benchmarks for p in (*b.database, *(q.photo for q in b.queries))), *others]
    photos = np.random.default_rng(0).permutation(np.array(list(dict.fromkeys(every)), dtype=object)).tolist()
    taken = []
    print("| photos | pairs that hold groups | groups | seconds of CPU | again |\n|---|---|---|---|---|")
    for size in given.sizes:
        with tempfile.TemporaryDirectory() as folder:
            held = collection(Path(folder) / "c", photos[:size], cache)
            seconds = []
            for _ in range(2):
                start = time.process_time()
                groups = held.groups()
                seconds.append(time.process_time() - start)
            pairs = sum(len(group.pairs) for group in groups)
            print(f"| {len(held)} | {pairs} | {len(groups)} | {seconds[0]:.0f} | {seconds[1]:.0f} |", flush=True)
            taken.append((len(held), seconds[0]))
    sizes, spent = np.log(np.array(taken)).T
    print(f"\nseconds grow with the power {np.polyfit(sizes, spent, 1)[0]:.2f} of the photos")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "copies", "growth"])
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--cache", type=Path, required=True, help="folder for vectors and local features")
    parser.add_argument("--collection", type=Path, help="that of ``accuracy``, kept there")
    parser.add_argument(
        "--same-part", type=float, default=SAME_PART, help="0: groups without the rule of the same part"
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="photos of ``growth``")
    parser.add_argument("--sure", type=float, nargs="+", default=[0.5, 0.65, 0.8])
    given = parser.parse_args()
    {"accuracy": accuracy, "copies": copies, "growth": growth}[given.what](given)


if __name__ == "__main__":
    main()
