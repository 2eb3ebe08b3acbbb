"""Re-ranking stages of a search, run on a benchmark: they get the evidence that they need, and are timed."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from reseen.descriptor import Descriptor
from reseen.evaluation.benchmark import Benchmark
from reseen.evaluation.metrics import Ints
from reseen.evaluation.protocol import Protocol
from reseen.evaluation.vectors import Digests, VectorCache, Vectors
from reseen.images import Box, load_photo
from reseen.search import Hit, Ranking
from reseen.search.local import LocalFeatures, RootSift
from reseen.search.rerank import Chain, Evidence, parse_chain

MAPS_KEPT = 256
"""Feature maps of photos that are kept in memory."""


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
    """

    def __init__(
        self,
        descriptor: Descriptor,
        benchmark: Benchmark,
        protocol: Protocol,
        queries: Vectors,
        database: Vectors,
        cache: VectorCache,
    ) -> None:
        self.descriptor, self.benchmark, self.protocol = descriptor, benchmark, protocol
        self.queries, self.database = queries, database
        self.extractor = RootSift()
        self.folder = cache.folder.parent / "features" / self.extractor.name
        self.digests = Digests(cache.folder)
        chain = parse_chain(protocol.rerank or "none", features=True)
        if protocol.depth is not None:
            chain = Chain(tuple(dataclasses.replace(stage, depth=protocol.depth) for stage in chain.stages))  # type: ignore[type-var]
        self.chain = chain
        self.seconds: list[float] = []
        self.bytes: list[int] = []
        self.maps_of = functools.lru_cache(MAPS_KEPT)(self._maps)

    @property
    def depth(self) -> int:
        """Length of the shortlists."""
        return self.chain.depth

    @property
    def milliseconds(self) -> float:
        """Mean time of the stages per query."""
        return 1000 * float(np.mean(self.seconds)) if self.seconds else float("nan")

    @property
    def bytes_per_photo(self) -> float:
        """Mean size of the local features that were looked at; 0 where none were needed."""
        return float(np.mean(self.bytes)) if self.bytes else 0.0

    def __call__(self, query: int, rows: Ints, scores: Vectors) -> tuple[Ints, Vectors]:
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
        ranking = Ranking(str(photo), box, hits)
        evidence = self._evidence(query, photo, box, listed.tolist())
        began = time.perf_counter()
        found = self.chain(ranking, evidence)
        self.seconds.append(time.perf_counter() - began)
        order = np.array([hit.id for hit in found], np.int64)
        shown = np.array([hit.score for hit in found], np.float32)
        return np.concatenate([order, rows[set_aside]]), np.concatenate([shown, scores[set_aside]])

    def _evidence(self, query: int, photo: Path, box: Box | None, rows: Sequence[int]) -> Evidence:
        features, query_features = None, None
        if "features" in self.chain.needs:
            with self.digests:
                held: dict[int, LocalFeatures | None] = {
                    row: self._features(self.benchmark.database[row]) for row in rows
                }
                query_features = self._features(photo)
            self.bytes += [len(found.to_bytes()) for found in held.values() if found is not None]

            def features(wanted: Sequence[int]) -> list[LocalFeatures | None]:
                return [held[row] for row in wanted]

        if "maps" not in self.chain.needs:
            return Evidence(self.queries[query], lambda wanted: self.database[list(wanted)], query_features, features)
        return Evidence(
            self.queries[query],
            lambda wanted: self.database[list(wanted)],
            query_features,
            features,
            self._maps(photo, box),
            lambda wanted: [self.maps_of(self.benchmark.database[row], None) for row in wanted],
            self._pool,
        )

    def _features(self, photo: Path) -> LocalFeatures:
        file = self.folder / f"{self.digests.of(photo).hex()}.bin"
        if file.is_file():
            return LocalFeatures.from_bytes(file.read_bytes())
        loaded = load_photo(photo, at_least=self.extractor.side)
        found = self.extractor.extract(loaded.pixels, loaded.size)
        self.folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_bytes(found.to_bytes())
        part.rename(file)
        return found

    def _maps(self, photo: Path, box: Box | None) -> Vectors:
        crop = self.protocol.crop(self.descriptor)
        item = next(iter(self.descriptor.maps([photo], [box], crop=crop)))
        if item.rejected is not None:
            raise item.rejected
        return np.asarray(item.maps[0].numpy(), np.float32)

    def _pool(self, maps: Vectors, parts: Sequence[tuple[int, int, int, int]]) -> Vectors:
        with torch.inference_mode():
            head = self.descriptor.head.cpu().eval()
            whole = torch.from_numpy(maps)[None]
            raw = [head([whole[..., y0:y1, x0:x1]]).numpy()[0] for x0, y0, x1, y1 in parts]
        return self.descriptor.project(np.stack(raw))
