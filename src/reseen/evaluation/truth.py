"""Photos whose right answer is known, for a collection: what `--validate` reads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from reseen.collections.gallery import Gallery
from reseen.errors import BenchmarkError
from reseen.evaluation import load_benchmarks
from reseen.types import Box


@dataclass(frozen=True)
class Asked:
    """A photo, the part of it that is asked about, and the instance it shows (-1: none of the collection's)."""

    photo: Path
    box: Box | None
    instance: int


def read_truth(spec: str | Path, gallery: Gallery) -> list[Asked]:
    """The queries of a benchmark as questions to a collection.

    The instance of a query is that of its positives in the collection, found by their files. Queries whose
    positives are not in it show none of its instances.

    Args:
        spec: a manifest, or what else ``reseen evaluate`` takes (``clicide:FOLDER``, say).
        gallery: the collection's instances.

    Raises:
        BenchmarkError: not a benchmark, positives with several labels, or none of them in the collection.
    """
    benchmark = load_benchmarks(spec)[0]
    instance_of = {
        os.path.realpath(row.path): int(instance)
        for row, instance in zip(gallery.rows, gallery.instance, strict=True)
        if row.path
    }
    number = [instance_of.get(os.path.realpath(os.fsencode(photo)), -1) for photo in benchmark.database]
    asked = []
    for query in benchmark.queries:
        found = {number[row] for row in query.positives.tolist()} - {-1}
        if len(found) > 1 and len(found) < len(gallery):
            names = sorted(gallery.names[i] for i in found)
            raise BenchmarkError(f"{query.photo}: its positives have several labels: {', '.join(names)}")
        asked.append(Asked(query.photo, query.box, min(found, default=-1)))
    if all(item.instance < 0 for item in asked):
        raise BenchmarkError(f"{spec}: none of its photos is in the collection")
    return asked + [Asked(photo, None, -1) for photo in benchmark.unmatched]
