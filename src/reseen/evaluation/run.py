"""Evaluate one descriptor on one benchmark."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from reseen import schema
from reseen.descriptor import Descriptor
from reseen.errors import BenchmarkError
from reseen.evaluation.as_typed import as_typed
from reseen.evaluation.bag_of_words import BagOfWords
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.evaluation.expansion import expand_queries
from reseen.evaluation.first_stage import WordsFirst
from reseen.evaluation.measures import metrics
from reseen.evaluation.measures.metrics import Positions
from reseen.evaluation.measures.open_set import OpenSet, open_set
from reseen.evaluation.measures.ranking import Ranked, Reorder, Truth, rank
from reseen.evaluation.measures.statistics import interval
from reseen.evaluation.protocol import Protocol
from reseen.evaluation.rerank import FeatureCache, Reranker
from reseen.evaluation.vectors import VectorCache, check_vectors
from reseen.types import Box, Progress, Values, Vectors

CUTS = (1, 5, 10)
RECALL_CUTS = (1, 10, 50, 100)
LEVELS = 21
"""Points of the precision/recall curve."""
KEPT = 20
"""Hits per query that a run remembers."""


@dataclass(frozen=True)
class Run:
    """The result of one recipe on one benchmark; values per query are kept.

    Attributes:
        recipe, benchmark: names.
        ap, ap_finite: ``(q,)`` average precision by the Oxford rule and by the finite sum.
        precision: ``(q,)`` precision at each of :data:`CUTS`.
        card: the protocol card.
        queries: one JSON-able object per query, in the benchmark's order.
        measures: further means: ``map@100``, ``ukb``, ``recall_at``, ``pair_verification``, as they apply.
        curve: mean interpolated precision at recalls 0, 0.05, ... 1.
        open_set: detection measures, where there are unmatched queries.
        seconds_per_photo: of extraction.
        milliseconds_per_query: of re-ranking; NaN without.
    """

    recipe: str
    benchmark: str
    ap: Values
    ap_finite: Values
    precision: dict[int, Values]
    card: schema.Protocol
    queries: tuple[schema.ScoredQuery, ...]
    measures: schema.Measures
    curve: Values
    open_set: OpenSet | None
    seconds_per_photo: float
    milliseconds_per_query: float = float("nan")

    @property
    def map(self) -> float:
        """Mean average precision, 0 to 1."""
        return metrics.mean(self.ap)

    def to_json(self) -> schema.Run:
        """The object of ``reseen evaluate --json``; rates in 0..1, unknown values None."""
        return {
            "recipe": self.recipe,
            "benchmark": self.benchmark,
            "queries": len(self.ap),
            "scored_queries": int((~np.isnan(self.ap)).sum()),
            "map": _known(self.map),
            "map_finite": _known(metrics.mean(self.ap_finite)),
            "precision_at": {str(k): _known(metrics.mean(values)) for k, values in self.precision.items()},
            "interval": [_known(v) for v in interval(self.ap)],
            "precision_at_1_interval": [_known(v) for v in interval(self.precision[1])],
            "seconds_per_photo": _known(self.seconds_per_photo),
            "milliseconds_per_query": _known(self.milliseconds_per_query),
            "fingerprint": self.card["fingerprint"],
            "measures": self.measures,
            "curve": [_known(v) for v in self.curve],
            "open_set": self.open_set.to_json() if self.open_set is not None else None,
            "protocol": self.card,
            "per_query": list(self.queries),
        }


@dataclass(frozen=True)
class Encoded:
    """Vectors of a benchmark's photos, checked; unusable distractors are taken out of ``benchmark``."""

    benchmark: Benchmark
    database: Vectors
    queries: Vectors
    unmatched: Vectors
    seconds_per_photo: float


def photos_and_boxes(benchmark: Benchmark, protocol: Protocol) -> tuple[tuple[Path, ...], tuple[Box | None, ...]]:
    """The benchmark's photos, as ``Benchmark.photos`` orders them, and the box of each that counts."""
    none: tuple[Box | None, ...] = (None,)
    boxes = tuple(None if protocol.box == "whole" else query.box for query in benchmark.queries)
    return benchmark.photos, none * len(benchmark.database) + boxes + none * len(benchmark.unmatched)


def encode(
    descriptor: Descriptor,
    benchmark: Benchmark,
    protocol: Protocol,
    cache: VectorCache,
    *,
    project: bool = True,
    progress: Progress | None = None,
) -> Encoded:
    """Vectors of database, queries and unmatched queries, from the cache or extracted.

    Raises:
        BenchmarkError: a photo that the ground truth names cannot be used.
    """
    photos, boxes = photos_and_boxes(benchmark, protocol)
    n, q = len(benchmark.database), len(benchmark.queries)
    crop = protocol.crop(descriptor)
    found = cache.encode(descriptor, photos, boxes, crop=crop, project=project, progress=progress)
    truth_ends = n - benchmark.distractors
    named = [row for row in found.rejected if row < truth_ends or row >= n]
    if named:
        raise BenchmarkError(
            f"{benchmark.name}: {len(named)} of its photos cannot be used, the first is {found.rejected[named[0]]}"
        )
    vectors = found.vectors
    if found.rejected:
        kept = np.ones(len(vectors), bool)
        kept[list(found.rejected)] = False
        notes = (*benchmark.notes, f"{len(found.rejected)} distractors cannot be used and are left out")
        benchmark = replace(
            benchmark,
            database=tuple(itertools.compress(benchmark.database, kept)),
            labels=tuple(itertools.compress(benchmark.labels, kept)),
            distractors=benchmark.distractors - len(found.rejected),
            notes=notes,
        )
        vectors, n = vectors[kept], len(benchmark.database)
    check_vectors(vectors, benchmark.name)
    return Encoded(benchmark, vectors[:n], vectors[n : n + q], vectors[n + q :], found.seconds_per_photo)


def count_words(bag: BagOfWords, benchmark: Benchmark, protocol: Protocol, cache: VectorCache) -> Encoded:
    """The same of a bag of words; local features are kept beside the vectors."""
    photos, boxes = photos_and_boxes(benchmark, protocol)
    items = [found.inside(box) for found, box in zip(FeatureCache(cache).read(photos), boxes, strict=True)]
    n, q = len(benchmark.database), len(benchmark.queries)
    database, asked = bag.vectors(items[:n], items[n:])
    return Encoded(benchmark, database, asked[:q], asked[q:], float("nan"))


def evaluate(
    descriptor: Descriptor | BagOfWords,
    benchmark: Benchmark,
    protocol: Protocol | None = None,
    *,
    cache: VectorCache | None = None,
    progress: Progress | None = None,
) -> Run:
    """Encode, expand, rank, re-rank and measure.

    Args:
        descriptor: fitted; or the classical baseline.
        benchmark: see ``load_benchmarks``.
        protocol: boxes, expansion, re-ranking.
        cache: where vectors are kept.
        progress: called with (photos extracted, photos to extract).

    Raises:
        BenchmarkError: photos or vectors that cannot be used.
    """
    protocol, cache = protocol or Protocol(), cache or VectorCache()
    if isinstance(descriptor, BagOfWords):
        if protocol.as_typed:
            raise BenchmarkError(f"{descriptor.name} is no descriptor: as typed needs one")
        return score(descriptor, count_words(descriptor, benchmark, protocol, cache), protocol, cache)
    if protocol.as_typed:
        with as_typed(descriptor, benchmark, progress) as typed:
            q = len(benchmark.queries)
            found = Encoded(benchmark, typed.database, typed.queries[:q], typed.queries[q:], float("nan"))
            return score(descriptor, found, protocol, cache, reorder=typed)
    return score(descriptor, encode(descriptor, benchmark, protocol, cache, progress=progress), protocol, cache)


def score(
    descriptor: Descriptor | BagOfWords,
    encoded: Encoded,
    protocol: Protocol,
    cache: VectorCache,
    *,
    hits: int = KEPT,
    reorder: Reorder | None = None,
) -> Run:
    """Measure vectors that are at hand, and remember the first ``hits`` of each query.

    ``reorder`` ranks the whole database instead of what the protocol says.
    """
    benchmark = encoded.benchmark
    queries = np.concatenate([encoded.queries, encoded.unmatched])
    queries, database = expand_queries(
        queries, encoded.database, expand=protocol.expand, dba=protocol.dba, labels=benchmark.labels
    )
    none = np.zeros(0, np.int64)
    truth = Truth(
        [query.positives for query in benchmark.queries] + [none] * len(benchmark.unmatched),
        [query.junk for query in benchmark.queries] + [none] * len(benchmark.unmatched),
    )
    words = WordsFirst(benchmark, protocol, cache) if protocol.first != "global" else None
    reranker = None
    if protocol.rerank != "none":
        reranker = Reranker(descriptor, benchmark, protocol, queries, database, cache, rescore=words)
    depth = len(database) if reorder is not None else reranker.depth if reranker is not None else 0
    ranked = rank(queries, database, truth, k=max(hits, 1), shortlist=depth, reorder=reorder or reranker, rescore=words)
    q = len(benchmark.queries)
    positions = Positions(ranked.positions.found[:q], ranked.positions.relevant[:q])
    precision = {k: metrics.precision_at(positions, k, benchmark.precision_rule) for k in CUTS}
    ap, finite = metrics.average_precision(positions), metrics.average_precision(positions, "finite")
    measures = _measures(benchmark, positions, queries, database)
    if reranker is not None:
        measures["rerank_depth"] = reranker.depth
        measures["rerank_bytes_per_photo"] = reranker.bytes_per_photo
        measures["rerank_stages"] = reranker.stages(truth)
    return Run(
        recipe=descriptor.name,
        benchmark=benchmark.name,
        ap=ap,
        ap_finite=finite,
        precision=precision,
        card=protocol.card(descriptor, benchmark),
        queries=tuple(_per_query(benchmark, positions, ranked, hits, ap, finite, precision)),
        measures=measures,
        curve=precision_recall(positions),
        open_set=_open_set(benchmark, ranked, q),
        seconds_per_photo=encoded.seconds_per_photo,
        milliseconds_per_query=reranker.milliseconds if reranker is not None else float("nan"),
    )


def precision_recall(positions: Positions, levels: int = LEVELS) -> Values:
    """Mean over queries of the interpolated precision at evenly spaced recalls, ``(levels,)``.

    Interpolated precision at a recall is the highest precision at that recall or above.
    """
    curves = []
    for found, relevant in zip(positions.found, positions.relevant, strict=True):
        if relevant == 0:
            continue
        ranks = found[found != metrics.MISSING]
        j = np.arange(1, len(ranks) + 1)
        precision = np.maximum.accumulate((j / (ranks + 1))[::-1])[::-1] if len(ranks) else np.zeros(0)
        wanted = np.maximum(np.ceil(np.linspace(0, 1, levels) * relevant - 1e-9).astype(int), 1) - 1
        curves.append([precision[w] if w < len(precision) else 0.0 for w in wanted])
    return np.mean(curves, axis=0) if curves else np.full(levels, np.nan)


def _measures(benchmark: Benchmark, positions: Positions, queries: Vectors, database: Vectors) -> schema.Measures:
    found: schema.Measures = {
        "recall_at": {str(k): _known(metrics.mean(metrics.recall_at(positions, k))) for k in RECALL_CUTS},
        "hit_at": {str(k): _known(metrics.mean(metrics.hit_at(positions, k))) for k in RECALL_CUTS},
    }
    if benchmark.measure == "map@100":
        found["map@100"] = _known(metrics.mean(metrics.average_precision_at(positions, 100)))
    if benchmark.measure == "ukb":
        found["ukb"] = _known(metrics.mean(metrics.ukb_score(positions)))
    if benchmark.pairs is not None:
        scores = np.einsum("nd,nd->n", queries[benchmark.pairs[:, 0]], database[benchmark.pairs[:, 1]])
        match = benchmark.pairs[:, 2] == 1
        if match.any() and not match.all():
            rates = open_set(scores[match], np.ones(int(match.sum()), bool), scores[~match])
            found["pair_verification"] = {
                "auroc": rates.auroc,
                "true_positive_rate_at": {str(k): v for k, v in rates.identified_at.items()},
            }
    return found


def _open_set(benchmark: Benchmark, ranked: Ranked, q: int) -> OpenSet | None:
    if not benchmark.unmatched:
        return None
    first = ranked.top[:, 0]
    matched = [i for i in range(q) if len(benchmark.queries[i].positives)]
    right = np.array([first[i] in benchmark.queries[i].positives for i in matched], bool)
    return open_set(ranked.scores[matched, 0], right, ranked.scores[q:, 0])


def _per_query(
    benchmark: Benchmark,
    positions: Positions,
    ranked: Ranked,
    hits: int,
    ap: Values,
    finite: Values,
    precision: dict[int, Values],
) -> Sequence[schema.ScoredQuery]:
    first = metrics.first_rank(positions)
    listed: list[schema.ScoredQuery] = []
    for i, query in enumerate(benchmark.queries):
        positives, junk = set(query.positives.tolist()), set(query.junk.tolist())
        listed.append(
            {
                "query": _absolute(query.photo),
                "box": list(query.box) if query.box is not None else None,
                "ap": _known(ap[i]),
                "ap_finite": _known(finite[i]),
                "precision_at": {str(k): _known(values[i]) for k, values in precision.items()},
                "relevant": len(positives),
                "wanted": _absolute(benchmark.database[query.positives[0]]) if len(positives) else None,
                "junk": len(junk),
                "first": int(first[i]),
                "hits": [
                    {
                        "rank": r,
                        "path": _absolute(benchmark.database[row]),
                        "score": float(value),
                        "mark": "positive" if row in positives else "junk" if row in junk else "negative",
                    }
                    for r, (row, value) in enumerate(zip(ranked.top[i, :hits], ranked.scores[i, :hits], strict=True), 1)
                ],
            }
        )
    return listed


def _absolute(photo: Path) -> str:
    return str(photo.absolute())


def _known(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
