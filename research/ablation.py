"""Raw vectors, PCA whitening, learned whitening and LDA for MAC, GeM and R-MAC of the default's network.

    python -m research.ablation --photos DATA [--learn classes|virtual|all] [--weights default|imagenet] [--to FOLDER]

Projections are learned on photos of other things than those scored: ``classes`` is ``landmarks-web`` (its class
folders are the pairs; weak labels), ``virtual`` is ``distractors`` (each photo against a virtual photo of it), ``all``
is both. Prints the tables of docs/results.md.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import reseen
from reseen.backbones import create_backbone
from reseen.descriptor import Descriptor
from reseen.evaluation import VectorCache, ablation, load_benchmarks
from reseen.evaluation.ablation import Point
from reseen.evaluation.learning_sets import read_learning_set, with_virtual_photos
from reseen.heads import create_head

SCORED = ("smvs-dvd", "smvs-landmarks", "paris-sub")
HEADS = {"mac": {}, "gem": {"p": 3.0}, "rmac": {"levels": 3, "whole": True}}
LEARN = {
    "classes": ("folders:{}/landmarks-web/db",),
    "virtual": ("virtual:{}/distractors",),
    "all": ("folders:{}/landmarks-web/db", "virtual:{}/distractors"),
}
PROJECTIONS = ("raw", "pca", "pca:power=0.5", "lw", "lw:shrinkage=0.1", "lda", "lda:shrinkage=0.1")
SHORT = ("raw", "pca:power=0.5", "lw:shrinkage=0.1", "lda:shrinkage=0.1")
"""What ``--short`` learns, and what the tables show with expansion."""
DIMS = (32, 64, 128, 256, None)
AQE, DBA = "alpha:5:3", "alpha:5:3"


def heads(weights: str) -> list[Descriptor]:
    """MAC, GeM and R-MAC of the default's layer and photo size, on ImageNet's weights or its own."""
    default = reseen.load("default")
    settings = default.recipe.backbone
    backbone = default.backbone
    if weights == "imagenet":
        backbone = create_backbone(settings.name, settings.layers, "bundled")
    found = []
    for kind, options in HEADS.items():
        head = create_head(kind, backbone.channels, **options).eval()
        recipe = replace(default.recipe, name=kind, head={"kind": kind, **options}, projection=(), learned=None)
        found.append(default.replace(recipe=recipe, backbone=backbone, head=head, projection=None))
    return found


def by_dimension(points: Sequence[Point], expand: str = "none", dba: str = "none") -> None:
    """A table per benchmark: heads and projections down, dimensions across, mAP."""
    widths = sorted({point.dim for point in points})
    for benchmark in dict.fromkeys(point.run.benchmark for point in points):
        print(f"\n{benchmark}, mAP by dimensions (expansion {expand}, augmentation {dba})\n")
        print("| head | projection | " + " | ".join(map(str, widths)) + " |")
        print("|---|---|" + "---|" * len(widths))
        chosen = [p for p in points if p.run.benchmark == benchmark and p.expand == expand and p.dba == dba]
        for head, form in dict.fromkeys((p.recipe, p.projection) for p in chosen):
            cells = {p.dim: f"{100 * p.run.map:.1f}" for p in chosen if (p.recipe, p.projection) == (head, form)}
            print(f"| {head} | {form} | " + " | ".join(cells.get(width, "-") for width in widths) + " |")


def by_expansion(points: Sequence[Point], form: str) -> None:
    """Heads and benchmarks down; no expansion, alpha-QE, DBA and both across, mAP at all dimensions."""
    ways = list(dict.fromkeys((p.expand, p.dba) for p in points))
    print(f"\n{form}, all dimensions, mAP: query expansion / database augmentation\n")
    print("| head | benchmark | " + " | ".join(f"{expand} / {dba}" for expand, dba in ways) + " |")
    print("|---|---|" + "---|" * len(ways))
    widest = {p.recipe: max(q.dim for q in points if q.recipe == p.recipe) for p in points}
    for head, benchmark in dict.fromkeys((p.recipe, p.run.benchmark) for p in points):
        chosen = [
            p
            for p in points
            if (p.recipe, p.run.benchmark, p.projection, p.dim) == (head, benchmark, form, widest[head])
        ]
        cells = {(p.expand, p.dba): f"{100 * p.run.map:.1f}" for p in chosen}
        print(f"| {head} | {benchmark} | " + " | ".join(cells[way] for way in ways) + " |")


def main() -> None:
    """Extract, learn, score, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--learn", choices=LEARN, default="all")
    parser.add_argument("--weights", choices=("default", "imagenet"), default="default")
    parser.add_argument("--short", action="store_true", help="fewer projections, neither expansion nor augmentation")
    parser.add_argument("--to", type=Path, help="folder for ablation.json, ablation.csv and ablation.svg")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    cache = VectorCache()
    learn_on = [
        with_virtual_photos(read_learning_set(spec.format(arguments.photos)), cache) for spec in LEARN[arguments.learn]
    ]
    sets = [load_benchmarks(arguments.photos / name)[0] for name in SCORED]
    began = time.perf_counter()
    grid = ablation.Grid(PROJECTIONS, DIMS, ("none", AQE), ("none", DBA))
    if arguments.short:
        grid = ablation.Grid(SHORT, DIMS)
    points = list(ablation.ablate(heads(arguments.weights), sets, grid, learn_on, cache=cache))
    print(f"{arguments.weights} weights; learned on " + ", ".join(one.summary for one in learn_on))
    print(f"{len(points)} points in {time.perf_counter() - began:.0f} s (vectors from the cache included)")
    by_dimension(points)
    if not arguments.short:
        for form in SHORT:
            by_expansion(points, form)
    gains(points)
    if arguments.to is not None:
        ablation.save(arguments.to, points)
        plain = [p for p in points if p.expand == p.dba == "none" and p.projection not in ("lw", "lda")]
        (arguments.to / "ablation.svg").write_text(ablation.draw(plain), encoding="utf-8")


def gains(points: Sequence[Point]) -> None:
    """Mean change of mAP over heads against raw vectors and against no expansion, all dimensions."""
    print("\nmean change of mAP over the heads, all dimensions\n")
    found = {(p.recipe, p.projection, p.dim, p.expand, p.dba, p.run.benchmark): p.run.map for p in points}
    widest = {p.recipe: max(q.dim for q in points if q.recipe == p.recipe) for p in points}
    benchmarks = list(dict.fromkeys(p.run.benchmark for p in points))
    ways = list(dict.fromkeys((p.expand, p.dba) for p in points))
    print("| change | " + " | ".join(benchmarks) + " |")
    print("|---|" + "---|" * len(benchmarks))

    def row(title: str, after: tuple[str, str, str], before: tuple[str, str, str]) -> None:
        cells = []
        for b in benchmarks:
            change = [
                found[h, after[0], d, *after[1:], b] - found[h, before[0], d, *before[1:], b] for h, d in widest.items()
            ]
            cells.append(f"{100 * np.mean(change):+.1f}")
        print(f"| {title} | " + " | ".join(cells) + " |")

    for form in dict.fromkeys(p.projection for p in points if p.projection != "raw"):
        row(f"{form} for raw", (form, "none", "none"), ("raw", "none", "none"))
    for form in SHORT:
        for expand, dba in ways[1:]:
            row(f"{form}: expansion {expand}, augmentation {dba}", (form, expand, dba), (form, "none", "none"))


if __name__ == "__main__":
    main()
