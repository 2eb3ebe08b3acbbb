"""mAP against the bytes of a code (REMAP, Section III-E): truncation, product quantisation, OPQ.

    python -m research.codes --photos DATA --recipe default [--recipe FOLDER ...] [--bytes 4 16 ...] [--no-rotation]

Every descriptor is measured at 4 to 8192 bytes a photo, as far as it has dimensions: its first dimensions as float32,
brought to unit length; and all its dimensions as m parts of a byte each, the queries as they are (asymmetric
distances). Codes are learned on photos of nothing that is scored. Prints the tables of docs/codes.md.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import reseen
from reseen.evaluation import VectorCache, load_benchmarks
from reseen.evaluation.benchmarks.benchmark import Benchmark, photos_in
from reseen.evaluation.measures.metrics import average_precision, from_scores, mean
from reseen.evaluation.measures.statistics import interval
from reseen.projections import ProductQuantizer, Truncate

SCORED = ("smvs-dvd", "smvs-landmarks", "paris-sub")
LEARN_ON = ("distractors", "landmarks-web/db", "landmarks-unordered", "views-train")
BYTES = tuple(2**i for i in range(2, 14))

Vectors = NDArray[np.float32]
Scores = Callable[[Vectors, Vectors], Vectors]
"""Similarities of queries with a database, as a code of it gives them."""


def truncated(dim: int) -> Scores:
    cut = Truncate(dim).transform
    return lambda queries, database: cut(queries) @ cut(database).T


def quantized(quantizer: ProductQuantizer) -> Scores:
    return lambda queries, database: quantizer.similarities(queries, quantizer.encode(database))


def codes(learned_on: Vectors, sizes: Sequence[int], rotation: bool) -> Iterator[tuple[str, int, Scores]]:
    """Name, bytes a photo and scores of every code that vectors of this width allow."""
    dim = learned_on.shape[1]
    for size in sizes:
        if size % 4 == 0 and size // 4 <= dim:
            yield "truncated, float32", size, truncated(size // 4)
    for size in sizes:
        if dim % size == 0 and size <= dim:
            yield "PQ, m x 8 bits", size, quantized(ProductQuantizer(size).fit(learned_on))
            if rotation and size < dim:
                yield "OPQ, m x 8 bits", size, quantized(ProductQuantizer(size, rotate=True).fit(learned_on))


def cell(benchmark: Benchmark, scores: Vectors) -> str:
    """mAP in per cent and its 95 % interval over queries."""
    truth, junk = [q.positives for q in benchmark.queries], [q.junk for q in benchmark.queries]
    values = average_precision(from_scores(scores, truth, junk))
    low, high = interval(values)
    return f"{100 * mean(values):.1f} ({100 * low:.1f} to {100 * high:.1f})"


def measure(name: str, arguments: argparse.Namespace) -> None:
    """One descriptor's table."""
    descriptor, cache = reseen.load(name), VectorCache(arguments.cache)
    learn = [photo for part in LEARN_ON for photo in photos_in([arguments.photos / part])]
    found = cache.encode(descriptor, learn)
    learned_on = np.delete(found.vectors, list(found.rejected), axis=0)
    sets = [load_benchmarks(arguments.photos / one)[0] for one in SCORED]
    vectors = []
    for benchmark in sets:
        asked = [query.photo for query in benchmark.queries]
        queries = cache.encode(descriptor, asked, [query.box for query in benchmark.queries])
        vectors.append((queries.vectors, cache.encode(descriptor, benchmark.database).vectors))
    print(f"\n{descriptor.name}, {descriptor.dim} dimensions; codes learned on {len(learned_on)} photos\n")
    print("| code | bytes | " + " | ".join(SCORED) + " |\n|---|---|" + "---|" * len(SCORED))
    plain = [cell(b, queries @ database.T) for b, (queries, database) in zip(sets, vectors, strict=True)]
    print(f"| whole, float32 | {4 * descriptor.dim} | " + " | ".join(plain) + " |")
    for title, size, scores in codes(learned_on, arguments.bytes, arguments.rotation):
        cells = [cell(b, scores(*both)) for b, both in zip(sets, vectors, strict=True)]
        print(f"| {title} | {size} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--recipe", action="append", help="recipe or saved descriptor; default when not given")
    parser.add_argument("--bytes", type=int, nargs="+", default=BYTES, help="4 to 8192 by doubling when not given")
    parser.add_argument("--rotation", action=argparse.BooleanOptionalAction, default=True, help="OPQ too")
    parser.add_argument("--cache", type=Path, help="folder of kept vectors")
    arguments = parser.parse_args()
    for name in arguments.recipe or ["default"]:
        began = time.perf_counter()
        measure(name, arguments)
        print(f"\n{time.perf_counter() - began:.0f} s (vectors that were kept are not made again)")


if __name__ == "__main__":
    main()
