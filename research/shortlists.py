"""Shortlists of the default descriptor with verified pairs of photos. For the benchmarks of re-ranking."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

import reseen
from reseen.evaluation import Benchmark, Protocol, VectorCache, load_benchmarks
from reseen.evaluation.benchmarks.benchmark import Query, make_benchmark
from reseen.evaluation.rerank import FeatureCache
from reseen.evaluation.run import Encoded, encode
from reseen.images import walk
from reseen.search.geometry import Verification, verify
from reseen.search.geometry.probability import GEOMETRY, ORDER, SAME, Calibration, describe
from reseen.search.local import RootSift
from reseen.types import Values

SETS = ("smvs-dvd", "smvs-landmarks", "paris-sub", "landmarks-web", "views-objects")
KINDS = {
    "smvs-dvd": "planes",
    "smvs-landmarks": "buildings",
    "paris-sub": "buildings",
    "landmarks-web": "web photos",
    "views-objects": "objects",
    "views-train": "objects",
}
"""What kind of photos each set is of."""
LEARNED = (*SETS, "views-train")
"""What calibrations are learned on: the truth of ``landmarks-web`` is weak, ``views-train`` is never scored."""
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
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
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
        folder = photos / name
        whole = load_benchmarks(str(folder))[0] if (folder / "manifest.json").is_file() else from_folders(folder)
        benchmark = dataclasses.replace(whole, queries=whole.queries[::step])
        encoded = encode(descriptor, benchmark, Protocol(), kept)
        yield Set(encoded.benchmark, encoded, FeatureCache(kept))


def from_folders(root: Path) -> Benchmark:
    """One folder for each thing; the first photo of each asks for the others."""
    photos = sorted(Path(os.fsdecode(found.path)) for found in walk([root]) if not found.ignored)
    things: dict[Path, list[int]] = {}
    for row, photo in enumerate(photos):
        things.setdefault(photo.parent, []).append(row)
    queries = [
        Query(photos[rows[0]], np.array(rows[1:], np.int64), np.array(rows[:1], np.int64))
        for rows in things.values()
        if len(rows) > 1
    ]
    return make_benchmark(root.name, root, photos, queries)


@dataclass(frozen=True)
class Looked:
    """The verified shortlist of one query, junk left out: what the models see of each hit, and the truth."""

    seen: dict[str, Values]
    truth: NDArray[np.bool_]


def of_shortlists(photos: Set, depth: int = 50, crowd: int = 100) -> list[Looked]:
    """What :class:`GeometryStage` sees of every query's shortlist, and which hits show the same thing."""
    found = []
    for number, query in enumerate(photos.benchmark.queries):
        rows = [row for row in photos.shortlist(number, crowd + len(query.junk)).tolist() if row not in query.junk]
        vectors = photos.encoded.database[rows[:crowd]]
        similarity = vectors[:depth] @ photos.encoded.queries[number]
        seen = describe(photos.verified(number, rows[:depth]), similarity, vectors)
        found.append(Looked(seen, np.isin(rows[:depth], query.positives)))
    return found


@cache
def pages(typefaces: tuple[tuple[int, float, str], ...], count: int = 8) -> dict[str, Values]:
    """Pairs of painted pages of random words in one typeface, described: hundreds of matches, and not the same."""
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
    return describe(found, np.zeros(len(found)), np.eye(len(found), dtype=np.float32))


Learned = Mapping[str, Sequence[Looked]]
"""Shortlists by the name of their set."""


def learn(sets: Learned) -> Calibration:
    """A calibration in which every set weighs the same.

    The log odds of the probability are shrunk as far as sets that are left out of the learning ask for.
    """
    same = _logistic(SAME, sets, prior=None)
    if len(sets) > 1:
        same = _tempered(same, sets)
    return Calibration(_order(sets), same, _logistic(GEOMETRY, sets, prior=PRIOR), PRIOR)


def _matrix(names: Sequence[str], shortlists: Sequence[Looked]) -> Values:
    return np.concatenate([np.stack([looked.seen[name] for name in names], 1) for looked in shortlists])


def _truth(shortlists: Sequence[Looked]) -> NDArray[np.bool_]:
    return np.concatenate([looked.truth for looked in shortlists])


def _order(sets: Learned) -> dict[str, float]:
    """Weights beside the similarity under which a true match is most probably before the other hits of its query.

    The log likelihood of each true match against the false ones (a softmax), every query of a set weighing the same.
    """
    names = ("similarity", *ORDER)
    queries = [
        (np.stack([looked.seen[name] for name in names], 1), looked.truth, 1 / len(shortlists))
        for shortlists in sets.values()
        for looked in shortlists
        if looked.truth.any() and not looked.truth.all()
    ]

    def loss(weights: Values) -> tuple[float, Values]:
        total, slope = 1e-4 * float(weights @ weights), 2e-4 * weights
        for x, truth, share in queries:
            z = x @ weights
            others = z[~truth]
            peak = others.max()
            likely = np.exp(others - peak)
            ahead = z[truth] - peak - np.log(likely.sum())
            share /= truth.sum()
            total += share * np.logaddexp(0, -ahead).sum()
            wrong = 1 / (1 + np.exp(np.clip(ahead, -500, 500)))
            slope = slope + share * (wrong.sum() * (likely / likely.sum()) @ x[~truth] - wrong @ x[truth])
        return total, slope

    found = minimize(loss, np.ones(len(names)), jac=True, method="L-BFGS-B").x
    return {name: round(float(w / found[0]), 4) for name, w in zip(names[1:], found[1:], strict=True)}


def _logistic(names: Sequence[str], sets: Learned, prior: float | None) -> dict[str, float]:
    """Log odds of a match; with a prior both kinds of pairs weigh as it says, and pages of words count a little."""
    values, truth, weights = [], [], []
    for shortlists in sets.values():
        true = _truth(shortlists)
        values.append(_matrix(names, shortlists))
        truth.append(true)
        weights.append(
            np.full(len(true), 1 / len(true))
            if prior is None
            else np.where(true, prior / max(true.sum(), 1), (1 - prior) / max((~true).sum(), 1))
        )
    if prior is not None:
        words = pages(TYPEFACES[:2])
        values.append(np.stack([words[name] for name in names], 1))
        truth.append(np.zeros(len(values[-1]), bool))
        weights.append(np.full(len(values[-1]), WORDS / len(values[-1])))
    x, y, w = (np.concatenate(part) for part in (values, truth, weights))
    scale = x.std(0) + (x.std(0) == 0)
    model = LogisticRegression(C=1e3, max_iter=10_000, fit_intercept=False)
    model.fit(x / scale, y, sample_weight=w * len(y) / w.sum())
    return {name: round(float(v), 3) for name, v in zip(names, model.coef_[0] / scale, strict=True)}


def _tempered(weights: dict[str, float], sets: Learned) -> dict[str, float]:
    """The same weights, shrunk and shifted as those that were learned without a set need it on that set."""
    odds, truth, share = [], [], []
    for name, shortlists in sets.items():
        without = _logistic(SAME, {other: s for other, s in sets.items() if other != name}, prior=None)
        odds.append(_matrix(SAME, shortlists) @ np.array([*without.values()]))
        truth.append(_truth(shortlists))
        share.append(np.full(len(odds[-1]), 1 / len(odds[-1])))
    y, w = np.concatenate(truth), np.concatenate(share)
    model = LogisticRegression(C=1e3).fit(np.concatenate(odds)[:, None], y, sample_weight=w * len(y) / w.sum())
    factor, shift = float(model.coef_[0, 0]), float(model.intercept_[0])
    return {k: round(factor * v + shift * (k == "constant"), 3) for k, v in weights.items()}
