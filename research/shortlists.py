"""Shortlists of the default descriptor with verified pairs of photos. For the benchmarks of re-ranking."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

import reseen
from reseen.collections.first_stage import fused
from reseen.evaluation import Benchmark, Protocol, VectorCache, load_benchmarks
from reseen.evaluation.benchmarks.benchmark import Query, make_benchmark
from reseen.evaluation.rerank import FeatureCache
from reseen.evaluation.run import Encoded, encode
from reseen.images import walk
from reseen.search.geometry import Verification, verify
from reseen.search.geometry.probability import GEOMETRY, ORDER, SAME, Calibration, describe
from reseen.search.index.inverted import InvertedFile
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
WORDS = 0.03
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

    @cached_property
    def words(self) -> InvertedFile:
        """The local features of the database."""
        return InvertedFile.of(np.arange(len(self.benchmark.database)), self.local.read(self.benchmark.database))

    def proposed(self, query: int, depth: int, allowed: NDArray[np.bool_] | None = None) -> list[int]:
        """The rows that a search would verify: by the vectors and by the words, junk left out."""
        asked = self.benchmark.queries[query]
        usable = np.ones(len(self.benchmark.database), bool) if allowed is None else allowed.copy()
        usable[asked.junk] = False
        near = [row for row in self.shortlist(query, len(usable)).tolist() if usable[row]][:depth]
        features = self.local.read([asked.photo])[0].inside(asked.box)
        said = self.words.search([features], depth, usable)[0][0].tolist()
        return fused([near, said], depth)

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


def looked(photos: Set, number: int, depth: int = 50, allowed: NDArray[np.bool_] | None = None) -> Looked:
    """What :class:`GeometryStage` sees of a query's shortlist; only ``allowed`` rows ``(n,)`` are there to be found."""
    rows = photos.proposed(number, depth, allowed)
    vectors = photos.encoded.database[rows]
    seen = describe(photos.verified(number, rows), vectors @ photos.encoded.queries[number], vectors)
    return Looked(seen, np.isin(rows, photos.benchmark.queries[number].positives))


def objects(photos: Set) -> NDArray[np.int64]:
    """A number for the object that each query shows: queries with a positive in common show the same."""
    queries = photos.benchmark.queries
    of = np.arange(len(queries))
    holder: dict[int, int] = {}
    for number, query in enumerate(queries):
        for row in query.positives.tolist():
            of[of == of[number]] = of[holder.setdefault(row, number)]
    return of


@dataclass(frozen=True)
class Half:
    """A query with a match, searched while half of the objects are not there."""

    looked: Looked
    known: bool


def halved(photos: Set, seed: int) -> list[Half]:
    """Every query, once the photos of half of the objects are taken out of the database."""
    queries = photos.benchmark.queries
    of = objects(photos)
    asked = [number for number, query in enumerate(queries) if len(query.positives)]
    different = np.unique(of[asked])
    gone = np.isin(of, np.random.default_rng(seed).permutation(different)[: len(different) // 2])
    allowed = np.ones(len(photos.benchmark.database), bool)
    for number in np.flatnonzero(gone):
        allowed[queries[number].positives] = False
        allowed[queries[number].junk] = False
    return [Half(looked(photos, number, allowed=allowed), not gone[number]) for number in asked]


@dataclass(frozen=True)
class Shown:
    """What calibrations learn from a set: its shortlists, and those with half of the objects taken out, three times."""

    whole: list[Looked]
    halves: list[Half]


def shown(photos: Set) -> Shown:
    """See :class:`Shown`."""
    whole = [looked(photos, number) for number in range(len(photos.benchmark.queries))]
    return Shown(whole, [half for seed in range(3) for half in halved(photos, seed)])


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


def learn(sets: Mapping[str, Shown]) -> Calibration:
    """A calibration in which every set weighs the same."""
    shortlists = {name: found.whole for name, found in sets.items()}
    order = _order(shortlists)
    firsts = {name: [first_of(half.looked, order) for half in found.halves] for name, found in sets.items()}
    return Calibration(
        order,
        _logistic(SAME, firsts, prior=None),
        _logistic(GEOMETRY, shortlists, prior=PRIOR),
        PRIOR,
        reseen.load("default").fingerprint,
    )


def first_of(found: Looked, order: Mapping[str, float]) -> Looked:
    """Only the hit that stands first by similarity and evidence."""
    score = found.seen["similarity"] + sum(weight * found.seen[name] for name, weight in order.items())
    first = [int(np.argmax(score))]
    return Looked({name: values[first] for name, values in found.seen.items()}, found.truth[first])


Shortlists = Mapping[str, Sequence[Looked]]
"""By the name of their set."""


def _matrix(names: Sequence[str], shortlists: Sequence[Looked]) -> Values:
    return np.concatenate([np.stack([looked.seen[name] for name in names], 1) for looked in shortlists])


def _truth(shortlists: Sequence[Looked]) -> NDArray[np.bool_]:
    return np.concatenate([looked.truth for looked in shortlists])


def _order(sets: Shortlists) -> dict[str, float]:
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


def _logistic(names: Sequence[str], sets: Shortlists, prior: float | None) -> dict[str, float]:
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
