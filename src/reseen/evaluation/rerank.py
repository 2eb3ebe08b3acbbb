"""Re-ranking stages of a search, run on a benchmark: they get the evidence that they need, and are timed."""

from __future__ import annotations

import dataclasses
import functools
import os
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from reseen import schema
from reseen.descriptor import Descriptor
from reseen.errors import BenchmarkError
from reseen.evaluation.bag_of_words import BagOfWords
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.evaluation.measures import metrics
from reseen.evaluation.measures.metrics import Positions
from reseen.evaluation.measures.ranking import Reorder, Rescore, Truth, rank
from reseen.evaluation.measures.statistics import interval
from reseen.evaluation.protocol import Protocol
from reseen.evaluation.vectors import Digests, VectorCache
from reseen.images import load_photo
from reseen.search import Hit, Query, Ranking
from reseen.search.local import Extractor, LocalFeatures, RootSift
from reseen.search.rerank import Chain, Evidence, parse_chain
from reseen.types import Box, FeatureMaps, Rows, Vectors

MAPS_KEPT = 256
"""Feature maps of photos that are kept in memory."""


class FeatureCache:
    """Local features of photos, extracted once and kept beside the vectors of a cache."""

    def __init__(self, cache: VectorCache, extractor: Extractor | None = None) -> None:
        self.extractor = extractor or RootSift()
        self.folder = cache.folder.parent / "features" / self.extractor.name.replace(os.sep, "_")
        self.digests = Digests(cache.folder)

    def read(self, photos: Sequence[Path]) -> list[LocalFeatures]:
        """The features of each photo, those that are not held extracted in threads."""
        with self.digests:
            files = [self.folder / f"{self.digests.of(photo).hex()}.bin" for photo in photos]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return list(pool.map(self._one, photos, files))

    def _one(self, photo: Path, file: Path) -> LocalFeatures:
        if file.is_file():
            return LocalFeatures.from_bytes(file.read_bytes())
        loaded = load_photo(photo, at_least=self.extractor.side)
        found = self.extractor.extract(loaded.pixels, loaded.size)
        self.folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(f".{uuid.uuid4().hex}.part")
        part.write_bytes(found.to_bytes())
        part.replace(file)
        return found


class Reranker:
    """A chain of stages over the shortlists of a benchmark; an ``evaluation.ranking.Reorder``.

    Local features are extracted once and kept in the cache; they and the feature maps are at hand before the clock
    starts.

    Args:
        descriptor: whose maps and head the stages may ask for.
        benchmark: its photos.
        protocol: the chain's name, the shortlist's depth, and what happens to junk in it.
        queries, database: unit vectors, as they are ranked.
        cache: where local features are kept.
        chain: instead of the one that the protocol names.
        rescore: the first stage, where it is not the vectors.
    """

    def __init__(
        self,
        descriptor: Descriptor | BagOfWords,
        benchmark: Benchmark,
        protocol: Protocol,
        queries: Vectors,
        database: Vectors,
        cache: VectorCache,
        chain: Chain | None = None,
        rescore: Rescore | None = None,
    ) -> None:
        self.descriptor, self.benchmark, self.protocol = descriptor, benchmark, protocol
        self.queries, self.database = queries, database
        self.rescore = rescore
        self.local = FeatureCache(cache)
        chain = chain or parse_chain(protocol.rerank, features=True)
        if protocol.depth is not None:
            chain = Chain(tuple(dataclasses.replace(stage, depth=protocol.depth) for stage in chain.stages))  # type: ignore[type-var]
        self.chain = chain
        self.seconds: list[list[float]] = [[] for _ in chain.stages]
        self.orders: list[dict[int, tuple[Rows, Vectors]]] = [{} for _ in chain.stages]
        self.bytes: list[int] = []
        self.encoder = None if isinstance(descriptor, BagOfWords) else descriptor
        if self.encoder is None and "maps" in chain.needs:
            raise BenchmarkError(f"{descriptor.name} has no feature maps, and {protocol.rerank} looks at them")
        self.maps_of = functools.lru_cache(MAPS_KEPT)(self._maps)

    @property
    def depth(self) -> int:
        """Length of the shortlists."""
        return self.chain.depth

    @property
    def milliseconds(self) -> float:
        """Mean time of all stages per query."""
        return sum(self._milliseconds(stage) for stage in range(len(self.chain.stages)))

    def _milliseconds(self, stage: int) -> float:
        return 1000 * float(np.mean(self.seconds[stage])) if self.seconds[stage] else float("nan")

    @property
    def bytes_per_photo(self) -> float:
        """Mean size of the local features that were looked at; 0 where none were needed."""
        return float(np.mean(self.bytes)) if self.bytes else 0.0

    def __call__(self, query: int, rows: Rows, scores: Vectors) -> tuple[Rows, Vectors]:
        """See ``evaluation.ranking.Reorder``."""
        asked = self.benchmark.queries[query] if query < len(self.benchmark.queries) else None
        photo = asked.photo if asked is not None else self.benchmark.unmatched[query - len(self.benchmark.queries)]
        box = asked.box if asked is not None and self.protocol.box != "whole" else None
        set_aside = np.zeros(len(rows), bool)
        if self.protocol.junk == "removed" and asked is not None:
            set_aside = np.isin(rows, asked.junk)
        listed, values = rows[~set_aside], scores[~set_aside]
        hits = tuple(
            Hit(rank, int(row), str(self.benchmark.database[row]), float(value))
            for rank, (row, value) in enumerate(zip(listed, values, strict=True), 1)
        )
        found = Ranking(str(photo), box, hits)
        evidence = self._evidence(query, photo, box, listed.tolist())
        order, shown = rows, scores
        for number, stage in enumerate(self.chain.stages):
            began = time.perf_counter()
            found = stage(found, evidence)
            self.seconds[number].append(time.perf_counter() - began)
            order = np.concatenate([np.array([hit.id for hit in found], np.int64), rows[set_aside]])
            shown = np.concatenate([np.array([hit.score for hit in found], np.float32), scores[set_aside]])
            self.orders[number][query] = order, shown
        return order, shown

    def replay(self, stage: int) -> Reorder:
        """Gives again what stood after a stage of the chain, -1 for before the first."""

        def again(query: int, rows: Rows, scores: Vectors) -> tuple[Rows, Vectors]:
            return (rows, scores) if stage < 0 else self.orders[stage][query]

        return again

    def stages(self, truth: Truth) -> list[schema.Stage]:
        """Accuracy and time before and after each stage, once every query was re-ranked.

        Queries without a match leave the means, as everywhere.
        """
        found: list[schema.Stage] = []
        names = ["none", *(stage.name for stage in self.chain.stages)]
        for number in range(len(names)):
            ranked = rank(
                self.queries,
                self.database,
                truth,
                shortlist=self.depth,
                reorder=self.replay(number - 1),
                rescore=self.rescore,
            )
            asked = len(self.benchmark.queries)
            positions = Positions(ranked.positions.found[:asked], ranked.positions.relevant[:asked])
            ap = metrics.average_precision(positions)
            first = metrics.precision_at(positions, 1, self.benchmark.precision_rule)
            found.append(
                {
                    "stage": names[number],
                    "map": metrics.mean(ap),
                    "map_interval": list(interval(ap)),
                    "precision_at_1": metrics.mean(first),
                    "precision_at_1_interval": list(interval(first)),
                    "milliseconds_per_query": self._milliseconds(number - 1) if number else 0.0,
                }
            )
        return found

    def _evidence(self, query: int, photo: Path, box: Box | None, rows: Sequence[int]) -> Evidence:
        own: LocalFeatures | None = None
        held: dict[int, LocalFeatures] = {}
        if "features" in self.chain.needs:
            own, *theirs = self.local.read([photo, *(self.benchmark.database[row] for row in rows)])
            held = dict(zip(rows, theirs, strict=True))
            self.bytes += [len(found.to_bytes()) for found in theirs]
        crop = self.protocol.crop(self.descriptor)
        asked = Query(photo, box, crop=crop, vector=self.queries[query], features=own)
        if "maps" in self.chain.needs:
            assert self.encoder is not None
            asked.maps(self.encoder)
        return Evidence(
            asked,
            lambda wanted: self.database[list(wanted)],
            lambda wanted: [held[row] for row in wanted],
            lambda wanted: [self.maps_of(self.benchmark.database[row]) for row in wanted],
            self.encoder,
            descriptor="" if self.encoder is None else self.encoder.fingerprint,
        )

    def _maps(self, photo: Path) -> FeatureMaps:
        assert self.encoder is not None
        return self.encoder.photo_maps(photo)
