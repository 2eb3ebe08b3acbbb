"""University of Kentucky benchmark: ``ukbenchNNNNN.jpg``, four photos of each object in a row."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from reseen.evaluation.benchmarks.benchmark import Benchmark, Query, check_count, make_benchmark
from reseen.photosets import by_stem

COUNT = 10_200


def load(name: str, folder: Path, *, partial: bool = False) -> list[Benchmark]:
    """Every photo is a query; the four of its object, itself included, are relevant. Measured by the score 0 to 4."""
    photos = {stem: path for stem, path in by_stem(folder).items() if re.fullmatch(r"ukbench\d{5}", stem)}
    stems = sorted(photos)
    notes = check_count(name, len(stems), COUNT, partial=partial)
    groups = np.array([int(stem[-5:]) // 4 for stem in stems], np.int64)
    queries = [
        Query(photos[stem], np.flatnonzero(groups == group), np.zeros(0, np.int64))
        for stem, group in zip(stems, groups, strict=True)
    ]
    database = [photos[stem] for stem in stems]
    return [make_benchmark(name, folder, database, queries, notes=notes, measure="ukb")]
