"""70 queries against a million random vectors: the whole ranking without junk, and AP; beside numpy's argsort.

    python benchmarks/ranking.py [--database 1000000] [--queries 70] [--dim 128]

Both ways run in fresh processes on the same vectors and must give the same AP. Memory is what a way needs beyond the
vectors.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from peak import alone, measured

from reseen.evaluation.measures import metrics
from reseen.evaluation.measures.ranking import Truth, rank

Vectors = NDArray[np.float32]
Values = NDArray[np.float64]
POSITIVES, JUNK = 100, 100


def problem(database: int, queries: int, dim: int) -> tuple[Vectors, Vectors, Truth]:
    """Unit vectors, and for each query relevant photos that stand nearer than chance."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((database, dim), dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    asked = random.standard_normal((queries, dim), dtype=np.float32)
    listed = [random.choice(database, POSITIVES + JUNK, replace=False) for _ in range(queries)]
    for query, rows in zip(asked, listed, strict=True):
        query += vectors[rows].sum(0)
    asked /= np.linalg.norm(asked, axis=1, keepdims=True)
    return asked, vectors, Truth([rows[:POSITIVES] for rows in listed], [rows[POSITIVES:] for rows in listed])


def by_blocks(queries: Vectors, vectors: Vectors, truth: Truth) -> Values:
    """The library's way."""
    return metrics.average_precision(rank(queries, vectors, truth).positions)


def by_argsort(queries: Vectors, vectors: Vectors, truth: Truth) -> Values:
    """The way of the field's published scripts: all scores, all rankings, then a pass over each."""
    rankings = np.argsort(-(queries @ vectors.T), axis=1)
    found = []
    for ranking, positives, junk in zip(rankings, truth.positives, truth.junk, strict=True):
        places = np.arange(len(ranking))
        wanted, ignored = places[np.isin(ranking, positives)], places[np.isin(ranking, junk)]
        ap, skipped = 0.0, 0
        for j, place in enumerate(wanted):
            while skipped < len(ignored) and place > ignored[skipped]:
                skipped += 1
            r = place - skipped
            before = 1.0 if r == 0 else j / r
            ap += (before + (j + 1) / (r + 1)) / (2 * len(positives))
        found.append(ap)
    return np.array(found)


WAYS: dict[str, Callable[[Vectors, Vectors, Truth], Values]] = {"reseen": by_blocks, "argsort": by_argsort}


def measure(way: str, database: int, queries: int, dim: int) -> tuple[Values, float, int]:
    """AP of each query, seconds, bytes."""
    data = problem(database, queries, dim)
    return measured(lambda: WAYS[way](*data))  # type: ignore[return-value]


def main() -> None:
    """Measure both ways, check that they agree, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", type=int, default=1_000_000)
    parser.add_argument("--queries", type=int, default=70)
    parser.add_argument("--dim", type=int, default=128)
    arguments = parser.parse_args()
    size = arguments.database, arguments.queries, arguments.dim
    results = {way: alone(measure, way, *size) for way in WAYS}
    np.testing.assert_allclose(results["reseen"][0], results["argsort"][0], rtol=0, atol=1e-6)
    print(f"{size[1]} queries x {size[0]} vectors of {size[2]}, mAP {results['reseen'][0].mean():.4f} both ways\n")
    print("| way | seconds | MB beyond the vectors |")
    print("|---|---|---|")
    for way, (_, seconds, memory) in results.items():
        print(f"| {way} | {seconds:.2f} | {memory / 1e6:.0f} |")


if __name__ == "__main__":
    main()
