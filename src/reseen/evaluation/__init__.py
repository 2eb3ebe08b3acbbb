"""Benchmarks, protocols, measures and reports."""

from reseen.evaluation.benchmark import Benchmark, Query
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.evaluation.protocol import Protocol
from reseen.evaluation.run import Run, evaluate
from reseen.evaluation.vectors import VectorCache

__all__ = ["Benchmark", "Protocol", "Query", "Run", "VectorCache", "evaluate", "load_benchmarks"]
