"""Benchmarks, protocols, measures and reports.

The way of an evaluation, file by file: ``benchmarks`` (photos and truth) -> ``vectors`` (extracted once, kept) ->
``expansion`` -> ``ranking`` (-> ``rerank``) -> ``metrics`` and ``open_set`` -> ``run`` with its ``protocol`` card ->
``results``, ``statistics``, ``compare``, ``report``. ``ablation`` walks it for a grid, with projections learned on
``learning_sets``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from reseen.lazy import lazily

if TYPE_CHECKING:
    from reseen.evaluation.benchmarks import load_benchmarks
    from reseen.evaluation.benchmarks.benchmark import Benchmark, Query
    from reseen.evaluation.protocol import Protocol
    from reseen.evaluation.run import Run, evaluate
    from reseen.evaluation.vectors import VectorCache

__all__ = ["Benchmark", "Protocol", "Query", "Run", "VectorCache", "evaluate", "load_benchmarks"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Benchmark": "reseen.evaluation.benchmarks.benchmark",
        "Protocol": "reseen.evaluation.protocol",
        "Query": "reseen.evaluation.benchmarks.benchmark",
        "Run": "reseen.evaluation.run",
        "VectorCache": "reseen.evaluation.vectors",
        "evaluate": "reseen.evaluation.run",
        "load_benchmarks": "reseen.evaluation.benchmarks",
    },
)
