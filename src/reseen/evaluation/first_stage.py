"""Words of local features as the first stage of a benchmark, as a collection uses them."""

from __future__ import annotations

import threading

import numpy as np

from reseen.collections.first_stage import fused
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.evaluation.protocol import Protocol
from reseen.evaluation.rerank import FeatureCache
from reseen.evaluation.vectors import VectorCache
from reseen.search.index.inverted import InvertedFile
from reseen.search.rerank import parse_chain
from reseen.types import Values, Vectors

SHORTLIST = 50
"""Photos that ``both`` puts first, where no stage says how many it looks at."""


class WordsFirst:
    """An inverted file of a benchmark's database; an ``evaluation.ranking.Rescore``.

    As in a collection, photos stand in the new order under the similarities that stood there.

    Args:
        benchmark: its photos; local features are extracted once and kept.
        protocol: ``first``, the depth of the shortlist, and whether boxes count.
        cache: beside which local features are kept.
    """

    def __init__(self, benchmark: Benchmark, protocol: Protocol, cache: VectorCache) -> None:
        local = FeatureCache(cache)
        asked = [(query.photo, query.box) for query in benchmark.queries]
        asked += [(photo, None) for photo in benchmark.unmatched]
        whole = protocol.box == "whole"
        self._queries = [
            features.inside(None if whole else box)
            for features, (_, box) in zip(local.read([photo for photo, _ in asked]), asked, strict=True)
        ]
        self._words = InvertedFile.of(np.arange(len(benchmark.database)), local.read(benchmark.database))
        self._local = protocol.first == "local"
        self._depth = protocol.depth or parse_chain(protocol.rerank, features=True).depth or SHORTLIST
        self._lock = threading.Lock()

    def __call__(self, query: int, scores: Vectors) -> Values:
        """See ``evaluation.ranking.Rescore``."""
        with self._lock:
            said = self._words.scores(self._queries[query])
        near = np.argsort(-scores, kind="stable")
        if self._local:
            order = np.lexsort((-scores, -said))
        else:
            listed = np.argsort(-said, kind="stable")[: self._depth]
            chosen = fused([near[: self._depth].tolist(), listed[said[listed] > 0].tolist()], self._depth)
            order = np.concatenate([np.array(chosen, np.int64), near[~np.isin(near, chosen)]])
        found = np.empty(len(scores))
        found[order] = scores[near] - np.arange(len(scores)) * 1e-12  # ties stay in this order
        return found
