"""INRIA Holidays: groups of photos of one scene, numbered ``GGGGNN.jpg``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from reseen.errors import BenchmarkError
from reseen.evaluation.benchmarks.benchmark import Benchmark, Query, check_count, make_benchmark
from reseen.photosets import by_stem

COUNT = 1491
UPRIGHT_FOLDERS = ("jpg_upright", "jpg_rotated", "upright", "rotated")


def load(name: str, folder: Path, *, partial: bool = False) -> list[Benchmark]:
    """``holidays``, or ``holidays-upright``: the copies turned by hand, in ``jpg_upright/`` or ``jpg_rotated/``.

    The photo ``...00`` of each group is its query; it is in the database as junk.
    """
    home = folder
    if name == "holidays-upright":
        turned = [folder / sub for sub in UPRIGHT_FOLDERS if (folder / sub).is_dir()]
        if not turned:
            raise BenchmarkError(f"{folder}: the upright photos are expected in {' or '.join(UPRIGHT_FOLDERS)}/")
        home = turned[0]
    elif (folder / "jpg").is_dir():
        home = folder / "jpg"
    photos = {stem: path for stem, path in by_stem(home).items() if stem.isdigit() and len(stem) == 6}
    stems = sorted(photos)
    notes = check_count(name, len(stems), COUNT, partial=partial)
    groups = np.array([int(stem) // 100 for stem in stems], np.int64)
    queries = []
    for i, stem in enumerate(stems):
        if stem.endswith("00"):
            same = np.flatnonzero(groups == groups[i])
            queries.append(Query(photos[stem], same[same != i], np.array([i], np.int64)))
    return [make_benchmark(name, folder, [photos[stem] for stem in stems], queries, notes=notes)]
