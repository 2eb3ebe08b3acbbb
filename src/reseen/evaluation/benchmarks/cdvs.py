"""MPEG CDVS: pair lists, ``matching_pairs*.txt`` and ``non-matching_pairs*.txt``, two paths a line."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reseen.errors import BenchmarkError
from reseen.evaluation.benchmarks.benchmark import Benchmark, Query, make_benchmark
from reseen.photosets import photos_in

PAIRS = ("*matching_pairs*.txt", "*matching-pairs*.txt", "*matching*.lst")


def load(name: str, folder: Path, *, partial: bool = False) -> list[Benchmark]:
    """One benchmark from every pair list below ``folder``, paths relative to it.

    The first photo of a pair is the query, the second is in the database, together with every other photo below
    the folder that is no query: retrieval (mAP) over matching pairs, verification over both lists. Lines with more than
    two paths, as in retrieval annotations, list several matches of the first.
    """
    files = sorted({path for pattern in PAIRS for path in folder.rglob(pattern)})
    matching: list[tuple[Path, Path]] = []
    different: list[tuple[Path, Path]] = []
    for file in files:
        wrong = "non" in file.name.lower().split("matching")[0]
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            names = line.replace(",", " ").split()
            if not names:
                continue
            if len(names) < 2:
                raise BenchmarkError(f"{file}, line {number}: a pair needs two paths")
            (different if wrong else matching).extend((folder / names[0], folder / other) for other in names[1:])
    if not matching:
        raise BenchmarkError(f"{folder}: no matching_pairs*.txt with pairs in it")
    both = set(matching) & set(different)
    if both:
        first, second = min(both)
        raise BenchmarkError(f"{folder}: {first.name} and {second.name} are listed as both matching and non-matching")
    queries = sorted({first for first, _ in matching + different})
    asked = set(queries)
    listed = {second for _, second in matching + different}
    database = sorted(listed | {path for path in photos_in([folder]) if path not in asked})
    row, number_of = {p: i for i, p in enumerate(database)}, {p: i for i, p in enumerate(queries)}
    positives: dict[Path, set[int]] = {}
    for first, second in matching:
        positives.setdefault(first, set()).add(row[second])
    pairs = [[number_of[a], row[b], 1] for a, b in matching] + [[number_of[a], row[b], 0] for a, b in different]
    return [
        make_benchmark(
            name,
            folder,
            database,
            [
                Query(
                    photo,
                    np.array(sorted(positives.get(photo, ())), np.int64),
                    np.array([row[photo]] if photo in row else [], np.int64),
                )
                for photo in queries
            ],
            truth_files=files,
            pairs=np.array(pairs, np.int64),
        )
    ]
