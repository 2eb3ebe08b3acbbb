"""``default`` beside plain heads of the same backbone: mAP and precision@1 on the development photos.

    python -m research.default --photos DATA [--first FIRST]

Whitening of the rows "without the set" is learned on the other sets. ``--first`` is the first run of
``python -m tools.make_default train``, whose weights have seen distractors and landmarks-web only.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tools.make_default import averaged, database

import reseen
from reseen.descriptor import Descriptor, Recipe, assemble
from reseen.descriptor.recipes import read_recipe
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.evaluation.measures.metrics import average_precision, from_scores, hit_at, mean
from reseen.evaluation.measures.statistics import paired_difference
from reseen.evaluation.vectors import VectorCache
from reseen.projections import create_projection

SCORED = ("smvs-dvd", "smvs-landmarks", "paris-sub", "landmarks-web")
Vectors = NDArray[np.float32]
Row = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def plain(kind: str, first: Path | None = None, share: float = 0.5) -> Descriptor:
    """The default's backbone, layer and photo size with another head and no projection."""
    recipe = read_recipe("default").to_dict()
    for key in ("learned", "projection", "scales"):
        recipe.pop(key, None)
    recipe["backbone"]["weights"] = "bundled"
    if kind != recipe["head"]["kind"]:
        recipe["head"] = {"kind": kind}
    descriptor = assemble(Recipe.from_dict(recipe), {})
    if first is not None:
        averaged(descriptor.backbone, first, share)
    return descriptor


def score(benchmark: Benchmark, found: Vectors, queries: Vectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average precision and precision@1 of each query."""
    truth = [query.positives for query in benchmark.queries]
    positions = from_scores(queries @ found.T, truth, [query.junk for query in benchmark.queries])
    return average_precision(positions), hit_at(positions, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--first", type=Path, help="folder of a training run that left sets out")
    args = parser.parse_args()
    cache = VectorCache()
    sets = {name: load_benchmarks(args.photos / name)[0] for name in SCORED}

    def row(descriptor: Descriptor, project: Callable[[str, Vectors], Vectors] = lambda _, vectors: vectors) -> Row:
        scores = {}
        for name, benchmark in sets.items():
            found = cache.encode(descriptor, benchmark.database).vectors
            boxes = [query.box for query in benchmark.queries]
            queries = cache.encode(descriptor, [query.photo for query in benchmark.queries], boxes).vectors
            scores[name] = score(benchmark, project(name, found), project(name, queries))
        return scores

    def without_the_set(descriptor: Descriptor) -> Callable[[str, Vectors], Vectors]:
        settings = dict(read_recipe("default").projection[0])
        rows = {
            name: cache.encode(descriptor, database(args.photos, name)).vectors for name in ("distractors", *SCORED)
        }
        learned = {
            left: create_projection(**settings).fit(np.concatenate([rows[name] for name in rows if name != left]))
            for left in SCORED
        }
        return lambda name, vectors: learned[name].transform(vectors)

    print("mAP / precision@1".ljust(44), *(f"{name:>16s}" for name in SCORED), f"{'mean':>14s}")

    def show(title: str, scores: Row) -> Row:
        values = np.array([[100 * mean(v) for v in scores[name]] for name in SCORED])
        cells = [f"{ap:.1f} / {first:.1f}" for ap, first in values]
        print(
            title.ljust(44),
            *(f"{cell:>16s}" for cell in cells),
            "{:>7.1f} / {:.1f}".format(*values.mean(0)),
            flush=True,
        )
        return scores

    for kind in ("mac", "spoc", "gem"):
        show(f"ImageNet, {kind}", row(plain(kind)))
    show("ImageNet, rmac", row(plain("rmac")))
    start = show("ImageNet, rmac, whitened without the set", row(plain("rmac"), without_the_set(plain("rmac"))))
    if args.first is not None:
        learned = plain("rmac", args.first)
        end = show("learned without three sets, whitened likewise", row(learned, without_the_set(learned)))
        for name in SCORED:
            for measure, title in enumerate(("mAP", "precision@1")):
                change = paired_difference(start[name][measure], end[name][measure])
                low, high = (100 * v for v in change.interval)
                print(f"  {name}: {title} {100 * change.mean:+.1f} [{low:+.1f}, {high:+.1f}]")
    show("default as shipped (has seen the references)", row(reseen.load("default")))


if __name__ == "__main__":
    main()
