"""Shortlists of the default descriptor with verified pairs of photos. For the benchmarks of re-ranking."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import reseen
from reseen.evaluation import Benchmark, Protocol, VectorCache, load_benchmarks
from reseen.evaluation.rerank import FeatureCache
from reseen.evaluation.run import Encoded, encode
from reseen.search.geometry import Verification, verify
from reseen.search.geometry.probability import Calibration, describe
from reseen.search.local import RootSift

SETS = ("smvs-dvd", "smvs-landmarks", "paris-sub", "landmarks-web")
LEARNED = SETS[:3]
"""Sets with exact truth: what the shipped calibration is learned on."""
PRIOR = 1 / 50
TYPEFACES = (
    (24, 0.6, "etaoin shrdlu"),
    (36, 1.0, "etaoin shrdlu"),
    (28, 0.7, "ABCDEFGHIKLMNOP"),
    (18, 0.45, "etaoin shrdlu"),
)
"""Line height, size and letters of painted pages of random words."""
WORDS = 0.01
"""Weight of the pages in the learning, where a set of photos has 1."""


def arguments(description: str) -> argparse.ArgumentParser:
    """What every benchmark of re-ranking takes."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=Path("../shared/data"))
    parser.add_argument("--cache", type=Path, help="folder of kept vectors and features (default: RESEEN_CACHE)")
    parser.add_argument("--sets", nargs="+", default=LEARNED, choices=SETS)
    parser.add_argument("--step", type=int, default=1, help="every n-th query")
    return parser


@dataclass(frozen=True)
class Set:
    """A benchmark, its vectors by the default descriptor, and where its local features are."""

    benchmark: Benchmark
    encoded: Encoded
    local: FeatureCache
    memory: dict[tuple[int, int], Verification] = field(default_factory=dict)

    def shortlist(self, query: int, depth: int) -> NDArray[np.int64]:
        """The first rows for a query, junk included."""
        scores = self.encoded.database @ self.encoded.queries[query]
        return np.argsort(-scores, kind="stable")[:depth]

    def verified(self, query: int, rows: Sequence[int]) -> list[Verification]:
        """A query against photos of the database; each pair is verified once."""
        asked = self.benchmark.queries[query]
        new = [row for row in rows if (query, row) not in self.memory]
        features, *theirs = self.local.read([asked.photo, *(self.benchmark.database[row] for row in new)])
        for row, found in zip(new, verify(features, theirs, box=asked.box), strict=True):
            self.memory[query, row] = found
        return [self.memory[query, row] for row in rows]


def read_sets(names: Sequence[str], photos: Path, cache: Path | None, step: int = 1) -> Iterator[Set]:
    """Sets by name, encoded by the default descriptor; only every ``step``-th query."""
    descriptor = reseen.load("default")
    kept = VectorCache(cache)
    for name in names:
        whole = load_benchmarks(str(photos / name))[0]
        benchmark = dataclasses.replace(whole, queries=whole.queries[::step])
        encoded = encode(descriptor, benchmark, Protocol(), kept)
        yield Set(encoded.benchmark, encoded, FeatureCache(kept))


@dataclass(frozen=True)
class Verified:
    """Verified pairs, and which show the same thing."""

    pairs: list[Verification]
    truth: NDArray[np.bool_]

    def weights(self) -> NDArray[np.float64]:
        """Under which the share of matches is :data:`PRIOR`; they sum to 1."""
        true = self.truth
        return np.where(true, PRIOR / max(true.sum(), 1), (1 - PRIOR) / max((~true).sum(), 1))


def of_shortlists(photos: Set, depth: int = 50) -> Verified:
    """The pairs of every query with its shortlist, junk left out."""
    pairs: list[Verification] = []
    truth: list[bool] = []
    for number, query in enumerate(photos.benchmark.queries):
        rows = [row for row in photos.shortlist(number, depth).tolist() if row not in query.junk]
        pairs += photos.verified(number, rows)
        truth += [row in query.positives for row in rows]
    return Verified(pairs, np.array(truth))


@cache
def pages(typefaces: tuple[tuple[int, float, str], ...], count: int = 8) -> list[Verification]:
    """Pairs of painted pages of random words in one typeface: hundreds of matches, and not the same thing."""
    found: list[Verification] = []
    for height, size, letters in typefaces:
        drawn = []
        for seed in range(count):
            rng = np.random.default_rng([height, seed])
            pixels = np.full((480, 640, 3), 235, np.uint8)
            for y in range(int(rng.integers(20, 40)), 470, height):
                words = "".join(rng.choice(list(letters), 44))
                place = (int(rng.integers(4, 20)), y)
                cv2.putText(pixels, words, place, cv2.FONT_HERSHEY_SIMPLEX, size, (20, 20, 20), 1, cv2.LINE_AA)
            drawn.append(RootSift().extract(pixels))
        for row, page in enumerate(drawn):
            found += verify(page, drawn[row + 1 :])
    return found


def learn(sets: Sequence[Verified]) -> Calibration:
    """A logistic regression in which every set weighs the same, and pages in two typefaces a little."""
    words = pages(TYPEFACES[:2])
    pairs = [pair for part in sets for pair in part.pairs] + words
    names = list(describe(pairs[0]))
    values = np.array([[describe(pair)[name] for name in names] for pair in pairs])
    truth = np.concatenate([*(part.truth for part in sets), np.zeros(len(words), bool)])
    weights = np.concatenate([*(part.weights() for part in sets), np.full(len(words), WORDS / len(words))])
    model = LogisticRegression(C=1e3, max_iter=10_000, fit_intercept=False)
    model.fit(values, truth, sample_weight=weights * len(truth) / weights.sum())
    return Calibration({name: round(float(w), 3) for name, w in zip(names, model.coef_[0], strict=True)}, PRIOR)
