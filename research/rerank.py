"""Re-ranking, stage by stage: precision@1, mAP and open-set detection.

    python -m research.rerank [--photos ../shared/data] [--failures] [--open-set]
    python -m research.rerank --times [--step 10]

The first search is the default descriptor's. Geometry's calibration is learned on the other sets, so that no set is
scored by what was learned on it. Junk stays in the shortlist and is left out of the measures.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from research.shortlists import LEARNED, Set, arguments, learn, read_sets, shown

import reseen
from reseen.evaluation import Protocol, VectorCache
from reseen.evaluation.measures.open_set import open_set
from reseen.evaluation.measures.ranking import Truth
from reseen.evaluation.rerank import Reranker
from reseen.search import Ranking
from reseen.search.geometry import Verification, verify
from reseen.search.geometry.probability import Calibration
from reseen.search.rerank import Chain, Evidence, parse_chain
from reseen.search.rerank.geometry import GeometryStage

CHAINS = (
    "superglobal",
    "diffusion",
    "reciprocal",
    "geometry",
    "geometry+superglobal",
    "geometry+expansion",
    "geometry+diffusion",
    "diffusion+geometry",
)


@dataclass(frozen=True)
class RememberedGeometry(GeometryStage):
    """Geometry that verifies each pair of photos once, whatever the chain."""

    photos: Set | None = None

    def verified(self, ranking: Ranking, evidence: Evidence) -> dict[int, Verification]:
        assert self.photos is not None
        ids = [hit.id for hit in ranking.hits[: self.depth]]
        query = next(
            n
            for n, q in enumerate(self.photos.benchmark.queries)
            if str(q.photo) == ranking.query and q.box == ranking.box
        )
        return dict(zip(ids, self.photos.verified(query, ids), strict=True))


def chain_of(name: str, calibration: Calibration, photos: Set) -> Chain:
    """A chain whose geometry uses a calibration."""
    stages = []
    for stage in parse_chain(name, features=True).stages:
        if isinstance(stage, GeometryStage):
            stage = RememberedGeometry(depth=stage.depth, calibration=calibration, needs=frozenset(), photos=photos)
        stages.append(stage)
    return Chain(tuple(stages))


def truth_of(photos: Set) -> Truth:
    queries = photos.benchmark.queries
    return Truth([query.positives for query in queries], [query.junk for query in queries])


def run(photos: Set, chain: Chain, cache: VectorCache) -> tuple[Reranker, list[dict[str, Any]]]:
    """Re-rank every query; the measures before and after each stage."""
    encoded = photos.encoded
    reranker = Reranker(DEFAULT, photos.benchmark, Protocol(), encoded.queries, encoded.database, cache, chain)
    for number in range(len(photos.benchmark.queries)):
        rows = photos.shortlist(number, chain.depth)
        reranker(number, rows, encoded.database[rows] @ encoded.queries[number])
    return reranker, reranker.stages(truth_of(photos))


def line(found: dict[str, Any]) -> str:
    def shown(name: str) -> str:
        low, high = found[f"{name}_interval"]
        return f"{100 * found[name]:.1f} ({100 * low:.1f} to {100 * high:.1f})"

    return f"{shown('precision_at_1')} | {shown('map')}"


def failures(photos: Set, reranker: Reranker, stage: int) -> None:
    """Queries whose first hit is wrong after a stage, and where their match is."""
    for number, query in enumerate(photos.benchmark.queries):
        order, _ = reranker.orders[stage][number]
        kept = [row for row in order if row not in query.junk]
        if kept[0] not in query.positives:
            places = [rank for rank, row in enumerate(kept, 1) if row in query.positives]
            where = f"its match is at {places[0]}" if places else f"its match is beyond the {len(order)} photos"
            print(f"  {query.photo}: {photos.benchmark.database[kept[0]].name} is first, {where}")


def detection(photos: Set, reranker: Reranker, chain: Chain) -> None:
    """Every query asked once more without its matches in the database: is the best score lower?"""
    encoded = photos.encoded
    for stage in range(-1, len(chain.stages)):
        best, right, none = [], [], []
        for number, query in enumerate(photos.benchmark.queries):
            rows = photos.shortlist(number, chain.depth)
            scores = encoded.database[rows] @ encoded.queries[number]
            order, shown = (rows, scores) if stage < 0 else reranker.orders[stage][number]
            known = ~np.isin(order, query.junk)
            others = known & ~np.isin(order, query.positives)
            best.append(shown[known].max())
            right.append(order[known][shown[known].argmax()] in query.positives)
            # where the whole shortlist matches, the first photo behind it is the best stranger
            behind = np.setdiff1d(np.arange(len(encoded.database)), [*order, *query.positives, *query.junk])
            strangers = [*shown[others], *(encoded.database[behind] @ encoded.queries[number])]
            none.append(max(strangers))
        found = open_set(np.array(best), np.array(right), np.array(none))
        rates = ", ".join(f"{100 * v:.1f} at {100 * k:.0f} %" for k, v in found.identified_at.items())
        name = "none" if stage < 0 else chain.stages[stage].name
        print(f"  open set after {name}: AUROC {100 * found.auroc:.1f}, found at false alarms {rates}", flush=True)


def times(sets: Sequence[Set]) -> None:
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for photos in sets:
        for depth in (50, 100):
            seconds, kept = [], []
            for number, query in enumerate(photos.benchmark.queries):
                rows = photos.shortlist(number, depth)
                features, *theirs = photos.local.read([query.photo, *(photos.benchmark.database[r] for r in rows)])
                began = time.perf_counter()
                verify(features, theirs, box=query.box)
                seconds.append(time.perf_counter() - began)
                kept += [len(found.to_bytes()) for found in theirs]
            median, high = 1000 * np.median(seconds), 1000 * np.percentile(seconds, 90)
            print(
                f"| {photos.benchmark.name} | {depth} | {median:.0f} | {high:.0f} | {np.mean(kept) / 1000:.1f} |",
                flush=True,
            )


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--chains", nargs="+", default=CHAINS)
    parser.add_argument("--failures", action="store_true", help="queries that stay wrong after geometry")
    parser.add_argument("--open-set", action="store_true", help="detection with and without geometry")
    parser.add_argument("--times", action="store_true", help="only the milliseconds of verification, features at hand")
    args = parser.parse_args()
    cache = VectorCache(args.cache)
    if args.times:
        times(list(read_sets(args.sets, args.photos, args.cache, args.step)))
        return
    sets = {photos.benchmark.name: photos for photos in read_sets(LEARNED, args.photos, args.cache, args.step)}
    looked = {name: shown(photos) for name, photos in sets.items()}
    means: dict[str, list[tuple[float, float]]] = {}
    for name in args.sets:
        photos = sets[name]
        calibration = learn({other: shortlists for other, shortlists in looked.items() if other != name})
        print(f"{name}: {len(photos.benchmark.queries)} queries, calibrated without it: {calibration.order}")
        before = False
        for text in args.chains:
            chain = chain_of(text, calibration, photos)
            reranker, stages = run(photos, chain, cache)
            if not before:
                print(f"| {name} | none | {line(stages[0])} | |")
                means.setdefault("none", []).append((stages[0]["precision_at_1"], stages[0]["map"]))
                before = True
            ms = " + ".join(
                "geometry" if stage["stage"] == "geometry" else f"{stage['milliseconds_per_query']:.1f}"
                for stage in stages[1:]
            )
            print(f"| {name} | {text} | {line(stages[-1])} | {ms} |", flush=True)
            means.setdefault(text, []).append((stages[-1]["precision_at_1"], stages[-1]["map"]))
            if text == "geometry":
                if args.failures:
                    failures(photos, reranker, 0)
                if args.open_set:
                    detection(photos, reranker, chain)
    for text, values in means.items():
        first, precision = 100 * np.mean(values, axis=0)
        print(f"mean of the sets, {text}: {first:.1f} | {precision:.1f}")


DEFAULT = reseen.load("default")

if __name__ == "__main__":
    main()
