"""Revisited Oxford and Paris (Radenovic et al. 2018): easy, medium and hard."""

from __future__ import annotations

from pathlib import Path

from reseen.errors import BenchmarkError
from reseen.evaluation.benchmarks.benchmark import Benchmark, Query, check_count, make_benchmark
from reseen.evaluation.benchmarks.lists import find_list, image_path, read_list, union
from reseen.photosets import by_stem

COUNTS = {"roxford5k": 4993, "rparis6k": 6322}

SETTINGS = {
    "easy": (("easy",), ("hard", "junk")),
    "medium": (("easy", "hard"), ("junk",)),
    "hard": (("hard",), ("easy", "junk")),
}
"""Of each setting, which lists are positives and which are junk (Section 3.4)."""


def load(name: str, folder: Path, *, partial: bool = False) -> list[Benchmark]:
    """The three settings of ``roxford5k`` or ``rparis6k``; photos below ``folder``, truth in ``gnd_NAME.pkl`` or .mat.

    Queries without positives in a setting leave its mean; precision@k divides by the revisited rule.
    """
    file = find_list(folder, name)
    if file is None:
        raise BenchmarkError(f"{folder}: gnd_{name}.pkl is missing")
    data = read_list(file)
    photos = by_stem(folder)
    database = [image_path(folder, stem, photos) for stem in data.database]
    notes = check_count(name, len(database), COUNTS[name], partial=partial)
    return [
        make_benchmark(
            f"{name}-{setting}",
            folder,
            database,
            [
                Query(
                    image_path(folder, stem, photos),
                    union(entry, positives, data.first),
                    union(entry, junk, data.first),
                    data.box(entry),
                )
                for stem, entry in zip(data.queries, data.truth, strict=True)
            ],
            truth_files=[file],
            notes=notes,
            precision_rule="revisited",
        )
        for setting, (positives, junk) in SETTINGS.items()
    ]
