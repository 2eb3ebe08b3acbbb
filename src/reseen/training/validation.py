"""Mean average precision of the network in training on photos it does not learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reseen.errors import TrainingError
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.evaluation.measures.metrics import average_precision, from_scores
from reseen.photosets import PhotoSet
from reseen.training.views import View
from reseen.types import Vectors


@dataclass(frozen=True)
class Validation:
    """Queries against a database of views.

    Attributes:
        name: for logs and the run card.
        data: whose photos the views speak of.
        database: views that are ranked.
        queries: views that are searched for.
        positives: rows of ``database`` that match each query.
        junk: rows that are left out of each query's ranking.
    """

    name: str
    data: PhotoSet
    database: tuple[View, ...]
    queries: tuple[View, ...]
    positives: tuple[NDArray[np.int64], ...]
    junk: tuple[NDArray[np.int64], ...]

    def measure(self, encode: Callable[[Sequence[View]], Vectors]) -> float:
        """mAP, in 0..1, of the vectors that ``encode`` gives (zero rows for photos that cannot be used)."""
        vectors = encode([*self.database, *self.queries])
        database, queries = vectors[: len(self.database)], vectors[len(self.database) :]
        positions = from_scores(queries @ database.T, self.positives, self.junk)
        return float(np.nanmean(average_precision(positions)))


def from_set(data: PhotoSet, *, queries: int = 500, seed: int = 0) -> Validation:
    """Queries of a held-out part: photos of a cluster against all photos; virtual photos against references."""
    random = np.random.default_rng(seed)
    database = tuple(View(i, "mild" if data.virtual[i] else "plain") for i in range(len(data.photos)))
    members = {c: np.flatnonzero(data.clusters == c) for c in np.unique(data.clusters)}
    able = [i for i in range(len(database)) if data.virtual[i] or len(members[data.clusters[i]]) > 1]
    if not able:
        raise TrainingError(f"{data.name!r} has no matching photos to validate on")
    chosen = np.sort(random.permutation(able)[:queries])
    none = np.zeros(0, np.int64)
    views, positives, junk = [], [], []
    for i in chosen.tolist():
        if data.virtual[i]:
            views.append(View(i, "virtual", -1))
            positives.append(np.array([i]))
            junk.append(none)
        else:
            same = members[data.clusters[i]]
            views.append(View(i))
            positives.append(same[same != i])
            junk.append(np.array([i]))
    return Validation(data.name, data, database, tuple(views), tuple(positives), tuple(junk))


def from_benchmark(benchmark: Benchmark) -> Validation:
    """A benchmark's queries against its database, all of them as whole photos.

    TrainingError when no query has a positive.
    """
    queries = [query for query in benchmark.queries if len(query.positives)]
    if not queries:
        raise TrainingError(f"{benchmark.name}: no query has a positive")
    photos = (*benchmark.database, *(query.photo for query in queries))
    data = PhotoSet(benchmark.name, photos, np.arange(len(photos), dtype=np.int64))
    n = len(benchmark.database)
    return Validation(
        benchmark.name,
        data,
        tuple(View(i) for i in range(n)),
        tuple(View(n + i) for i in range(len(queries))),
        tuple(query.positives for query in queries),
        tuple(query.junk for query in queries),
    )
