"""What training gives, in small: the recipes of the papers on the bundled network, and their ablations.

``python benchmarks/learning.py recipes --photos DIR`` trains ``siamac-lite0``, ``siamfv-lite0`` and ``remap-lite0``
on ``landmarks-web`` (class folders) and virtual photos of ``distractors``, and scores the trained network and the
starting one, both with the same head and whitening learned on the same photos, on sets from other sources
(``smvs-dvd``: planes; ``smvs-landmarks``, ``paris-sub``: buildings), with a paired bootstrap over queries.

``python benchmarks/learning.py ablations`` repeats the shapes of siaMAC's Figure 4 (negatives, contrastive or
triplet, the nearest or a random positive) and Figure 5 (number of clusters), and REMAP's Tables II to IV (layers, KL
weights, training of the weights). Curves by epoch are in each run's ``log.csv`` and drawn to ``curves.png``.
"""

from __future__ import annotations

import argparse
import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reseen.descriptor import Descriptor
from reseen.descriptor.descriptor import assemble
from reseen.descriptor.recipes import Recipe, read_recipe
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.evaluation.metrics import average_precision, from_scores, precision_at
from reseen.evaluation.statistics import paired_difference
from reseen.training import Trainer, TrainingSettings, join
from reseen.training.datasets import TrainingSet, class_folders, references

RECIPES = ("siamac-lite0", "siamfv-lite0", "remap-lite0")
SCORED = ("smvs-dvd", "smvs-landmarks", "paris-sub")


def training_set(photos: Path, clusters: int | None = None, seed: int = 0) -> TrainingSet:
    folders = class_folders(photos / "landmarks-web" / "db")
    if clusters is not None:
        size = np.bincount(folders.clusters)
        largest = np.argsort(-size, kind="stable")[:clusters]
        folders = folders.keep(np.isin(folders.clusters, largest))
    return join([folders, references(photos / "distractors")])


def score(descriptor: Descriptor, manifest: Path) -> tuple[np.ndarray, np.ndarray]:
    """Average precision and precision@1 of each query."""
    benchmark = load_benchmarks(manifest)[0]
    database = descriptor.encode(list(benchmark.database))
    queries = descriptor.encode([q.photo for q in benchmark.queries], [q.box for q in benchmark.queries])
    positions = from_scores(
        queries @ database.T, [q.positives for q in benchmark.queries], [q.junk for q in benchmark.queries]
    )
    return average_precision(positions), precision_at(positions, 1)


def start_of(recipe: Recipe) -> Descriptor:
    return assemble(recipe, {})


def changed(name: str, **training: Any) -> Recipe:
    recipe = read_recipe(name)
    table = {k: dict(v) if isinstance(v, dict) else v for k, v in recipe.training.items()}
    for key, value in training.items():
        table[key] = {**table.get(key, {}), **value} if isinstance(value, dict) else value
    return replace(recipe, training=table)


def train(recipe: Recipe, data: TrainingSet, to: Path) -> tuple[Descriptor, Trainer]:
    trainer = Trainer(start_of(recipe), data, to, settings=TrainingSettings.from_table(recipe.training))
    return trainer.run(), trainer


def untrained(recipe: Recipe, data: TrainingSet, to: Path) -> Descriptor:
    """The starting network through the same steps, with a learning rate at which nothing moves."""
    still = replace(recipe, training={**recipe.training, "lr": 1e-30, "epochs": 1, "tuples_per_epoch": 10})
    return train(still, data, to)[0]


def compare(label: str, before: Descriptor, after: Descriptor, photos: Path) -> None:
    for name in SCORED:
        manifest = photos / name / "manifest.json"
        old_ap, old_first = score(before, manifest)
        new_ap, new_first = score(after, manifest)
        difference = paired_difference(old_ap, new_ap)
        mean, (low, high) = difference.mean, difference.interval
        print(
            f"| {label} | {name} | {100 * old_ap.mean():.1f} / {100 * old_first.mean():.1f} "
            f"| {100 * new_ap.mean():.1f} / {100 * new_first.mean():.1f} "
            f"| {100 * mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] |",
            flush=True,
        )


def curves(runs: dict[str, Path], file: Path) -> None:
    """Loss and validation mAP by epoch, as SIAM-FV's Figure 2."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
    for label, folder in runs.items():
        rows = list(csv.DictReader((folder / "log.csv").open()))
        for axis, key in zip(axes, ("loss", "validation"), strict=True):
            points = [(int(r["epoch"]), float(r[key])) for r in rows if r[key]]
            axis.plot(*zip(*points, strict=True), marker="o", label=label)
    axes[0].set(xlabel="epoch", ylabel="loss per tuple")
    axes[1].set(xlabel="epoch", ylabel="validation mAP")
    axes[1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file, dpi=120)


ABLATIONS: dict[str, tuple[str, dict[str, Any], dict[str, Any], int | None]] = {
    # label: (recipe, changes of [training], changes of [head]/[backbone], clusters)
    "n2, contrastive": ("siamac-lite0", {}, {}, None),
    "n1": ("siamac-lite0", {"negatives": {"rule": "n1"}}, {}, None),
    "random negatives": ("siamac-lite0", {"negatives": {"rule": "random"}}, {}, None),
    "triplet": ("siamac-lite0", {"loss": {"kind": "triplet", "margin": 0.1}}, {}, None),
    "m1": ("siamac-lite0", {"pairs": {"rule": "m1", "share": 0.5}}, {}, None),
    "3 clusters": ("siamac-lite0", {}, {}, 3),
    "6 clusters": ("siamac-lite0", {}, {}, 6),
    "REMAP": ("remap-lite0", {}, {}, None),
    "REMAP, layer 1 only": ("remap-lite0", {}, {"layers": ("blocks.6",)}, None),
    "REMAP, layer 2 only": ("remap-lite0", {}, {"layers": ("blocks.5",), "fc": 192}, None),
    "REMAP, ones": ("remap-lite0", {}, {"weighting": "ones", "train_alpha": False}, None),
    "REMAP, ones, trained": ("remap-lite0", {}, {"weighting": "ones"}, None),
    "REMAP, KL, fixed": ("remap-lite0", {}, {"train_alpha": False}, None),
}


def ablated(name: str, training: dict[str, Any], parts: dict[str, Any]) -> Recipe:
    recipe = changed(name, **training)
    if "margin" in training.get("loss", {}):
        recipe = replace(recipe, training={**recipe.training, "loss": training["loss"]})
    head = {**recipe.head, **{k: v for k, v in parts.items() if k != "layers"}}
    backbone = replace(recipe.backbone, layers=parts.get("layers", recipe.backbone.layers))
    return replace(recipe, head=head, backbone=backbone)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("recipes", "ablations"))
    parser.add_argument("--photos", type=Path, default=Path("../shared/data"))
    parser.add_argument("--to", type=Path, default=Path("runs"))
    parser.add_argument("--only", nargs="*", help="recipes or ablations by name")
    parser.add_argument("--set", default="{}", help="JSON of [training] settings for every run")
    arguments = parser.parse_args()
    arguments.to.mkdir(parents=True, exist_ok=True)
    more = json.loads(arguments.set)
    runs: dict[str, Path] = {}
    if arguments.what == "recipes":
        print("| recipe | scored on | start, mAP / P@1 | trained | mAP difference [95 %] |")
        print("|---|---|---|---|---|", flush=True)
        for name in arguments.only or RECIPES:
            data = training_set(arguments.photos)
            recipe = changed(name, **more)
            before = untrained(recipe, data, arguments.to / f"{name}-start")
            runs[name] = arguments.to / name
            after, _ = train(recipe, data, runs[name])
            compare(name, before, after, arguments.photos)
    else:
        print("| run | best validation mAP | " + " | ".join(SCORED) + " |")
        print("|---|---|" + "---|" * len(SCORED), flush=True)
        for label in arguments.only or ABLATIONS:
            name, training, parts, clusters = ABLATIONS[label]
            recipe = ablated(name, {**training, **more}, parts)
            runs[label] = arguments.to / label.replace(" ", "-").replace(",", "")
            trained, trainer = train(recipe, training_set(arguments.photos, clusters), runs[label])
            scores = [score(trained, arguments.photos / s / "manifest.json")[0].mean() for s in SCORED]
            best = trainer.at.best
            print(
                f"| {label} | {100 * best if best is not None else float('nan'):.1f} | "
                + " | ".join(f"{100 * s:.1f}" for s in scores)
                + " |",
                flush=True,
            )
    curves(runs, arguments.to / "curves.png")


if __name__ == "__main__":
    main()
