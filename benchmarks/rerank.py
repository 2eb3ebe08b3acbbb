"""Re-ranking, stage by stage: precision@1, mAP, and milliseconds a query.

    python benchmarks/rerank.py --photos ../shared/data --cache CACHE [--weights] [--queries 60]

The first search is R-MAC of the bundled backbone at 512 px, whitened on unrelated photos. Junk stays in the
shortlist and is left out of the measures only. ``--weights`` chooses geometry's weight leaving one set out.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from shortlists import SETS, PhotoSet, read_sets

from reseen.search.ranking import Hit, Ranking
from reseen.search.rerank import Evidence, parse_chain
from reseen.search.rerank.geometry import GeometryStage

CHAINS = (
    "none",
    "superglobal",
    "diffusion",
    "reciprocal",
    "geometry",
    "geometry+superglobal",
    "geometry+expansion",
    "diffusion+geometry",
)
WEIGHTS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8)


def first_search(photos: PhotoSet, query: int) -> Ranking:
    order = photos.ranking(query)
    scores = photos.vectors[order] @ photos.queries[query]
    hits = [
        Hit(n, int(row), photos.paths[row].name, float(s))
        for n, (row, s) in enumerate(zip(order, scores, strict=True), 1)
    ]
    return Ranking(photos.query_paths[query].name, photos.boxes[query], tuple(hits))


def evidence(photos: PhotoSet, query: int) -> Evidence:
    return Evidence(
        photos.queries[query],
        lambda ids: photos.vectors[list(ids)],
        photos.query_features[query],
        lambda ids: [photos.features[row] for row in ids],
    )


def measure(ranking: Ranking, positives: set[int], junk: set[int]) -> tuple[float, float]:
    """Precision@1 and Oxford's average precision, junk left out."""
    ids = [hit.id for hit in ranking if hit.id not in junk]
    ranks = [rank for rank, photo in enumerate(ids) if photo in positives]
    ap = sum((j / r if r else 1.0) + (j + 1) / (r + 1) for j, r in enumerate(ranks)) / (2 * len(positives))
    return float(ids[0] in positives), ap


def interval(values: Sequence[float]) -> str:
    """Mean and the 95 % bootstrap interval over queries, in per cent."""
    x = np.asarray(values)
    means = x[np.random.default_rng(0).integers(0, len(x), (2000, len(x)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{100 * x.mean():.1f} ({100 * low:.1f} to {100 * high:.1f})"


def with_weight(ranking: Ranking, weight: float, verified: Ranking, stage: GeometryStage) -> Ranking:
    """What the stage would have given with another weight, from its ranking with ``stage.weight``."""
    before = {hit.id: hit.score for hit in ranking}
    hits = [replace(h, score=before[h.id] + (h.score - before[h.id]) * weight / stage.weight) for h in verified]
    return ranking.reordered(hits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=SETS[:3], choices=SETS)
    parser.add_argument("--chains", nargs="+", default=CHAINS)
    parser.add_argument("--queries", type=int, default=0, help="at most so many of each set, evenly; 0 for all")
    parser.add_argument("--weights", action="store_true")
    parser.add_argument(
        "--failures", action="store_true", help="name the queries whose first hit is wrong after geometry"
    )
    args = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    table: dict[float, dict[str, float]] = {weight: {} for weight in WEIGHTS}
    for photos in read_sets(args.sets, args.photos, args.cache):
        every = range(len(photos.queries))
        chosen = list(every)[:: max(1, len(every) // args.queries)] if args.queries else list(every)
        stage = GeometryStage()
        verified = []
        for depth in (50, 100):
            times = []
            for query in chosen if depth == 50 else chosen[:10]:
                start = time.perf_counter()
                found = replace(stage, depth=depth)(first_search(photos, query), evidence(photos, query))
                times.append(1000 * (time.perf_counter() - start))
                if depth == 50:
                    verified.append(found)
            print(f"{photos.name}: geometry on {depth} photos, {np.median(times):.0f} ms a query (median)", flush=True)
        for weight in WEIGHTS:
            after = [
                with_weight(first_search(photos, q), weight, v, stage) for q, v in zip(chosen, verified, strict=True)
            ]
            values = [measure(r, photos.positives[q], photos.junk[q]) for q, r in zip(chosen, after, strict=True)]
            p1, ap = zip(*values, strict=True)
            table[weight][photos.name] = float(np.mean(ap))
            if args.weights:
                print(f"  weight {weight}: p@1 {interval(p1)}, mAP {interval(ap)}")
        for name in args.chains:
            chain = parse_chain(name, features=True)
            values, times = [], []
            for query, done in zip(chosen, verified, strict=True):
                ranking, stages = first_search(photos, query), chain.stages
                if name.startswith("geometry"):
                    ranking, stages = done, chain.stages[1:]
                start = time.perf_counter()
                for step in stages:
                    ranking = step(ranking, evidence(photos, query))
                times.append(1000 * (time.perf_counter() - start))
                values.append(measure(ranking, photos.positives[query], photos.junk[query]))
            p1, ap = zip(*values, strict=True)
            extra = "after geometry " if name.startswith("geometry") else ""
            print(
                f"| {photos.name} | {name} | {interval(p1)} | {interval(ap)} | {extra}{np.median(times):.1f} |",
                flush=True,
            )
        if args.failures:
            for query, ranking in zip(chosen, verified, strict=True):
                if not measure(ranking, photos.positives[query], photos.junk[query])[0]:
                    true = [(h.rank, h.match) for h in ranking if h.id in photos.positives[query]][:1]
                    print(f"{photos.query_paths[query]}: {photos.paths[ranking[0].id].name} {ranking[0].match}, {true}")
    if args.weights:
        for left_out in args.sets:
            others = [name for name in args.sets if name != left_out]
            best = max(WEIGHTS, key=lambda w: sum(table[w][name] for name in others))
            print(f"without {left_out} the best weight is {best}: its mAP {100 * table[best][left_out]:.1f}", end=" ")
            print(f"(without geometry {100 * table[0.0][left_out]:.1f})")


if __name__ == "__main__":
    main()
