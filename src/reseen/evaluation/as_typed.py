"""A benchmark as a user's photos: indexed and searched without an option."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from reseen.collections import Collection
from reseen.descriptor import Descriptor
from reseen.errors import BenchmarkError
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.search import Query
from reseen.search.local import create_extractor
from reseen.types import Box, Progress, Rows, Vectors


class AsTyped:
    """The rankings of a collection; an ``evaluation.ranking.Reorder`` of the whole database.

    Args:
        collection: of the benchmark's database.
        benchmark: its queries are searched as ``reseen search`` does without an option.

    Raises:
        BenchmarkError: the collection refused a photo of the database.
        PhotoRejected: a query cannot be used.
    """

    def __init__(self, collection: Collection, benchmark: Benchmark) -> None:
        self.collection = collection
        self.extractor = create_extractor(collection.manifest.local)
        ids, vectors = collection.vectors()
        paths = {row.path: row.id for row in collection.photos()}
        places = [os.fsencode(photo.absolute()) for photo in benchmark.database]
        missing = [place for place in places if place not in paths]
        if missing:
            raise BenchmarkError(f"{benchmark.name}: {os.fsdecode(missing[0])} cannot be indexed")
        self.row = {paths[place]: row for row, place in enumerate(places)}
        place_of = {photo: place for place, photo in enumerate(ids.tolist())}
        self.database = vectors[[place_of[paths[place]] for place in places]]
        photos = [(query.photo, query.box) for query in benchmark.queries]
        self.asked = [self._asked(*one) for one in (*photos, *((photo, None) for photo in benchmark.unmatched))]

    def _asked(self, photo: Path, box: Box | None) -> Query:
        """A query of which only what a search looks at stays in memory."""
        asked = self.collection.query(photo, box)
        vector, features = asked.vector(self.collection.encoder), asked.features(self.extractor)
        return Query(photo, box, vector=vector, features=features, name=asked.name)

    @property
    def queries(self) -> Vectors:
        """``(q, d)`` float32, those without a match last."""
        vectors = [asked.vector(None) for asked in self.asked]
        return np.stack(vectors) if vectors else np.zeros((0, self.database.shape[1]), np.float32)

    def __call__(self, query: int, rows: Rows, scores: Vectors) -> tuple[Rows, Vectors]:
        """See ``evaluation.ranking.Reorder``."""
        ranking = self.collection.search(self.asked[query], k=len(rows))
        found = np.array([self.row[hit.id] for hit in ranking], np.int64)
        return found, np.array([hit.score for hit in ranking], np.float32)


@contextmanager
def as_typed(descriptor: Descriptor, benchmark: Benchmark, progress: Progress | None = None) -> Iterator[AsTyped]:
    """A collection of a benchmark's database for the time being, made without an option."""
    with TemporaryDirectory(prefix="reseen-") as folder:
        collection = Collection.create(Path(folder) / "collection", descriptor)
        collection.add(*benchmark.database, progress=progress)
        yield AsTyped(collection, benchmark)
