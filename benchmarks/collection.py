"""How a collection of many photos behaves: opening, exact search, re-ranking by vectors, growth, size.

    python benchmarks/collection.py [--photos 100000] [--dim 512] [--add 1000]

Vectors are random: what is timed does not depend on what they mean.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from reseen.collections import Collection, Row
from reseen.collections.files import Disk
from reseen.collections.manifest import write_manifest
from reseen.collections.table import Table, as_arrow, sealed
from reseen.encoder import Encoded, Encoder
from reseen.images import PhotoLike


class RandomVectors(Encoder):
    """What a collection asks of a descriptor, without a network."""

    name, fingerprint, dim, side = "random", "0" * 64, 0, 1

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def save(self, folder: Path) -> Path:
        """Nothing to keep but a file."""
        folder.mkdir(parents=True)
        (folder / "settings.json").write_text("{}")
        return folder

    def stream(self, photos: Iterable[PhotoLike], *given: object, **named: object) -> Iterator[Encoded]:
        """Random vectors for any photos."""
        rng = np.random.default_rng(1)
        for i, _ in enumerate(photos):
            vector = rng.standard_normal(self.dim, dtype=np.float32)
            yield Encoded(i, vector / np.linalg.norm(vector), (1, 1))


def written() -> float:
    """Megabytes that this process has written to files so far."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("wchar")).split()[1]) / 1e6


def grow(folder: Path, count: int, dim: int) -> None:
    """Add photos; search once."""
    for step in ("add", "search"):
        start, before = time.perf_counter(), written()
        opened = Collection.open(folder, RandomVectors(dim))
        if step == "add":
            opened.add_photos((f"{i}", np.full((1, 1, 3), i, np.uint16)) for i in range(count))
        else:
            opened.search_vector(np.eye(1, dim, dtype=np.float32)[0], 10)
        took = time.perf_counter() - start
        print(f"{count} more photos, {step}: {took:.2f} s, {written() - before:.0f} MB written")


def in_a_tenth(row: Row) -> bool:
    """Every tenth photo."""
    return row.id % 10 == 0


def main() -> None:
    """Build, open, search."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--add", type=int, default=1000)
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((arguments.photos, arguments.dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [
        sealed(Row(id=i, path=b"/p/%d.jpg" % i, name=f"/p/{i}.jpg", sha256="0" * 64), v) for i, v in enumerate(vectors)
    ]
    with tempfile.TemporaryDirectory() as place:
        collection = Collection.create(Path(place) / "c", RandomVectors(arguments.dim))
        files = Disk(collection.folder)
        table = Table.create(files, "photos-2.lance", as_arrow(rows, vectors, [None] * len(rows), arguments.dim))
        write_manifest(
            files,
            collection.manifest.next(
                table=table.name, table_version=table.version, table_manifest=table.digest, count=len(rows)
            ),
        )
        for name in ("first", "again"):
            start = time.perf_counter()
            opened = Collection.open(collection.folder)
            opened.search_vector(vectors[7], 10)
            print(f"open and search, {name}: {1000 * (time.perf_counter() - start):.0f} ms")
        some = {row.id for row in rows[::10]}
        first = opened.search(vectors[0], 100)
        for what, look in {
            "exact search, top 100": lambda query: opened.nearest(query, 100),
            "the same among a tenth, by ids": lambda query: opened.nearest(query, 100, where=some),
            "the same among a tenth, by a function": lambda query: opened.nearest(query, 100, where=in_a_tenth),
            "re-ranking of 100 hits by their vectors": lambda query: opened.rerank(first, query, "superglobal"),
        }.items():
            times = []
            for query in vectors[:20]:
                start = time.perf_counter()
                look(query)
                times.append(time.perf_counter() - start)
            print(f"{what}, {len(rows)} x {arguments.dim}: median {1000 * np.median(times):.1f} ms")
        grow(collection.folder, arguments.add, arguments.dim)
        print(f"on disk: {opened.info()['bytes'] / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
