"""Mean average precision of the network in training on photos it does not learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from reseen.errors import TrainingError
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.evaluation.measures.metrics import average_precision, from_scores
from reseen.photosets import PhotoSet
from reseen.training.mining.negatives import mine_negatives
from reseen.training.settings import TrainingSettings
from reseen.training.tuples import query_pairs
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
        negatives: so many photos of other clusters are ranked with the positives, the nearest ones and no more than
            one of each (N2), mined with the network that is measured; 0 ranks all that are not junk.
    """

    name: str
    data: PhotoSet
    database: tuple[View, ...]
    queries: tuple[View, ...]
    positives: tuple[NDArray[np.int64], ...]
    junk: tuple[NDArray[np.int64], ...]
    negatives: int = 0

    def measure(self, encode: Callable[[Sequence[View]], Vectors]) -> float:
        """mAP, in 0..1, of the vectors that ``encode`` gives (zero rows for photos that cannot be used)."""
        views = list(dict.fromkeys([*self.database, *self.queries]))
        place = {view: row for row, view in enumerate(views)}
        vectors = encode(views)
        database, queries = (vectors[[place[view] for view in some]] for some in (self.database, self.queries))
        junk = self._beyond(queries, database) if self.negatives else self.junk
        positions = from_scores(queries @ database.T, self.positives, junk)
        return float(np.nanmean(average_precision(positions)))

    def _beyond(self, queries: Vectors, database: Vectors) -> list[NDArray[np.int64]]:
        """Rows that are neither positives of a query nor among its mined negatives."""
        asked, ranked = (self.data.clusters[[view.photo for view in views]] for views in (self.queries, self.database))
        mined = mine_negatives("n2", queries, asked, database, ranked, self.negatives)
        every = np.arange(len(database))
        kept = (np.concatenate(found) for found in zip(self.positives, mined, strict=True))
        return [np.setdiff1d(every, rows) for rows in kept]


def from_set(data: PhotoSet, *, queries: int = 500, negatives: int = 0, seed: int = 0) -> Validation:
    """Queries of a held-out part against all of its photos.

    The first photo of a given pair is searched for and the second matches; the rest of their cluster is left out, as
    nobody says whether it matches (a 3D model holds photos that share nothing). Photos of which only the cluster is
    known match all of it; virtual photos match their reference.

    Args:
        data: photos that are not trained on.
        queries: at most, drawn at random.
        negatives: see :class:`Validation`; siaMAC's validation tuples (Section 5.1) have 5.
        seed: of the draw.

    Raises:
        TrainingError: nothing matches.
    """
    random = np.random.default_rng(seed)
    database = tuple(View(i, "mild" if data.virtual[i] else "plain") for i in range(len(data.photos)))
    members = {c: np.flatnonzero(data.clusters == c) for c in np.unique(data.clusters)}
    none = np.zeros(0, np.int64)
    asked: list[tuple[View, NDArray[np.int64], NDArray[np.int64]]] = []
    for query, positive in data.pairs[data.pairs[:, 0] != data.pairs[:, 1]].tolist():
        same = members[data.clusters[query]]
        asked.append((View(query), np.array([positive]), same[same != positive]))
    for i in range(len(database)):
        same = members[data.clusters[i]]
        if data.virtual[i]:
            asked.append((View(i, "virtual", -1), np.array([i]), none))
        elif data.unpaired[i] and len(same) > 1:
            asked.append((View(i), same[same != i], np.array([i])))
    if not asked:
        raise TrainingError(f"{data.name!r} has no matching photos to validate on")
    chosen = [asked[i] for i in np.sort(random.permutation(len(asked))[:queries])]
    views, positives, junk = zip(*chosen, strict=True)
    return Validation(data.name, data, database, views, positives, junk, negatives)


def held_out_validation(data: PhotoSet, settings: TrainingSettings) -> Validation:
    """:func:`from_set` as the recipe says; where there is a reconstruction its pairs are chosen as those of training.

    Positives that the network would choose (m1) would not measure it: m3 chooses them then.
    """
    rule = settings.pairs.rule
    if data.geometry is not None and rule in ("m1", "m2", "m3"):
        by_geometry = replace(settings.pairs, rule="m3" if rule == "m1" else rule)
        data = replace(data, pairs=query_pairs(data, by_geometry, settings.seed), unpaired=data.unpaired & False)
    given = len(data.pairs) > len(data.virtual_pairs)
    return from_set(data, queries=2000 if given else 500, negatives=settings.validation_negatives, seed=settings.seed)


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
