"""Google Landmarks v2, retrieval: ``index/`` and ``test/`` by the first letters of their ids, a solution in CSV."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from reseen.errors import BenchmarkError
from reseen.evaluation.benchmarks.benchmark import Benchmark, Query, check_count, make_benchmark, rows_of
from reseen.photosets import by_stem
from reseen.photosets.lists import landmark_photo

COUNT = 761_757


def load(name: str, folder: Path, *, partial: bool = False) -> list[Benchmark]:
    """The public and private halves of ``retrieval_solution*.csv`` (``id, images, Usage``), measured by mAP@100.

    Queries whose ``images`` is ``None`` match nothing; those marked ``Ignored`` are left out.
    """
    solutions = sorted(folder.rglob("retrieval_solution*.csv"))
    if not solutions:
        raise BenchmarkError(f"{folder}: retrieval_solution*.csv is missing")
    for part in ("index", "test"):
        if not (folder / part).is_dir():
            raise BenchmarkError(f"{folder / part}: no such folder")
    index, test = by_stem(folder / "index"), by_stem(folder / "test")
    stems = sorted(index)
    row = {stem: i for i, stem in enumerate(stems)}
    database = [index[stem] for stem in stems]
    notes = check_count(name, len(stems), COUNT, what="index photos", partial=partial)
    halves: dict[str, tuple[list[Query], list[Path]]] = {}
    with solutions[-1].open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            try:
                stem, images, usage = line["id"], line["images"], line["Usage"]
            except KeyError as error:
                raise BenchmarkError(f"{solutions[-1]}: the column {error} is missing") from None
            if usage == "Ignored":
                continue
            queries, unmatched = halves.setdefault(usage.lower(), ([], []))
            photo = test.get(stem, landmark_photo(folder / "test", stem))
            if images in ("None", ""):
                unmatched.append(photo)
            else:
                rows = rows_of(images.split(), row, f"{solutions[-1]}: query {stem}")
                queries.append(Query(photo, rows, np.zeros(0, np.int64)))
    return [
        make_benchmark(
            f"{name}-{half}",
            folder,
            database,
            queries,
            unmatched=tuple(unmatched),
            measure="map@100",
            truth_files=[solutions[-1]],
            notes=notes,
        )
        for half, (queries, unmatched) in sorted(halves.items())
        if queries
    ]
