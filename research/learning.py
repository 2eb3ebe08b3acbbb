"""What training gives, in small: the papers' recipes on the bundled network, and their ablations.

    python -m research.learning recipes --photos DATA --to RUNS
    python -m research.learning ablations --photos DATA --to RUNS
    python -m research.learning curves --to RUNS

``recipes`` trains ``siamac-lite0``, ``siamfv-lite0`` and ``remap-lite0`` from ImageNet weights on ``landmarks-web``
(class folders), and on virtual photos of it, of ``distractors`` and of painted pictures. It scores the starting and the
trained network, both with the projection learned on the training pairs, on sets from other sources (``smvs-dvd``:
planes; ``smvs-landmarks``, ``paris-sub``: buildings), of which nothing was learned, with a paired bootstrap over
queries. A run that ``reseen train`` has begun or ended in ``RUNS/NAME`` with the same data is gone on with.

``ablations`` repeats siaMAC's Figure 4 (positives, negatives, contrastive or triplet), its Figure 5 (number of
clusters) and REMAP's Tables II to IV (layers, KL weights, training of the weights) in small: small photos, the first
stages frozen, few steps. Vectors are compared as they leave the head; each row names the difference from the first
of its table.

``curves`` draws loss and validation mAP by epoch of every run, as SIAM-FV's Figure 2.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import csr_array

from reseen.descriptor import Descriptor, assemble
from reseen.descriptor.recipes import Recipe, read_recipe
from reseen.descriptor.runtime.allocator import tune_allocator
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.evaluation.measures.metrics import average_precision, from_scores, precision_at
from reseen.evaluation.measures.statistics import paired_difference
from reseen.images import Longest
from reseen.photosets import Geometry, PhotoSet, class_folders, join, references
from reseen.scenes import VIRTUAL, paint, virtual_photo
from reseen.training import Progress, Trainer, TrainingSettings
from reseen.training.tuples import choose_pairs
from reseen.training.views import View, ViewReader

RECIPES = ("siamac-lite0", "siamfv-lite0", "remap-lite0")
SCORED = ("smvs-dvd", "smvs-landmarks", "paris-sub")
FIRST_PAINTING, PAINTINGS = 1000, 450
MODELS, PHOTOS_OF_A_MODEL = 60, 16
"""Painted things with known cameras, and photos of each."""
STEMS = [f"backbone.net.{part}" for part in ("stem", *(f"blocks_{i}" for i in range(4)))]

FEW: dict[str, Any] = {
    "epochs": 2,
    "tuples_per_epoch": 320,
    "fit_photos": 300,
    "fit_pairs": 150,
    "average": 0.0,
    "freeze": STEMS,
    "project": False,
    "validation": 0.0,
}
"""Of every ablation."""

Scores = dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]


def painted(folder: Path) -> Path:
    """A folder of painted pictures, made where it is missing."""
    if not folder.is_dir():
        new = folder.with_suffix(".new")
        new.mkdir(parents=True, exist_ok=True)
        for number in range(FIRST_PAINTING, FIRST_PAINTING + PAINTINGS):
            Image.fromarray(paint(number, longest=384).pixels).save(new / f"{number:05d}.jpg", quality=92)
        new.rename(folder)
    return folder


def reconstruction(folder: Path) -> PhotoSet:
    """Painted things seen by known cameras: what structure from motion would know of them.

    A thing's points are a grid on it; a camera's place is where it looks at, in widths of the thing, and its distance.
    """
    photos: list[Path] = []
    models: list[int] = []
    centres: list[list[float]] = []
    seen: list[NDArray[np.bool_]] = []
    scales: list[float] = []
    folder.mkdir(parents=True, exist_ok=True)
    settings = replace(VIRTUAL, size=(320, 240), scale=(0.5, 3.5), photo_behind=0.0)
    grid = np.stack(np.meshgrid(np.linspace(0, 1, 24), np.linspace(0, 1, 24)), -1).reshape(1, -1, 2).astype(np.float32)
    unit = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
    for model in range(MODELS):
        pixels = paint(model, longest=640).pixels
        for shot in range(PHOTOS_OF_A_MODEL):
            scene = virtual_photo(pixels, np.random.default_rng((model, shot)), settings)
            photo = folder / f"{model:03d}_{shot:02d}.jpg"
            if not photo.is_file():
                Image.fromarray(scene.pixels).save(photo, quality=92)
            there = cv2.getPerspectiveTransform(unit, scene.polygon)
            points = cv2.perspectiveTransform(grid, there)[0]
            size = np.array(settings.size)
            looks_at = cv2.perspectiveTransform((size / 2).reshape(1, 1, 2).astype(np.float32), np.linalg.inv(there))
            scale = float(np.ptp(scene.polygon, axis=0).max() / size.max())
            photos.append(photo)
            models.append(model)
            centres.append([*looks_at.ravel(), 1 / scale])
            seen.append(((points >= 0) & (points < size)).all(1))
            scales.append(scale)
    visible = np.zeros((len(photos), MODELS * grid.shape[1]), bool)
    for row, (model, points) in enumerate(zip(models, seen, strict=True)):
        visible[row, model * grid.shape[1] : (model + 1) * grid.shape[1]] = points
    geometry = Geometry(np.array(centres), csr_array(visible), np.array(scales))
    return PhotoSet("painted reconstruction", tuple(photos), np.array(models), geometry=geometry)


def training_set(photos: Path, runs: Path, virtual: bool = True) -> PhotoSet:
    """What the recipes learn from; ``virtual`` says whether landmarks match virtual photos of themselves too."""
    return join(
        [
            class_folders(photos / "landmarks-web" / "db", virtual=virtual),
            references(photos / "distractors"),
            references(painted(runs / "paintings")),
        ]
    )


def paired(data: PhotoSet, file: Path) -> PhotoSet:
    """The set with its verified pairs, which are kept in a file: to find them takes longer than a small run."""
    if not file.is_file():
        settings = TrainingSettings.from_table(read_recipe(RECIPES[0]).training)
        reader = ViewReader(data, settings.views, Longest(settings.views.virtual[0]))
        np.save(file, choose_pairs(data, settings, reader, no_vectors).pairs)
    pairs = np.load(file)
    none = np.zeros((len(pairs), 0), np.int64)
    return replace(data, pairs=pairs, negatives=none, unpaired=np.zeros(len(data.photos), bool))


def no_vectors(views: Sequence[View]) -> NDArray[np.float32]:
    raise NotImplementedError("verified pairs need no vectors")


def some_clusters(data: PhotoSet, count: int) -> PhotoSet:
    """``count`` clusters of a set whose clusters are equally large."""
    chosen = np.random.default_rng(0).permutation(np.unique(data.clusters))[:count]
    return data.keep(np.isin(data.clusters, chosen))


def score(descriptor: Descriptor, photos: Path) -> Scores:
    """Average precision and precision@1 of each query of each scored set."""
    found = {}
    for name in SCORED:
        benchmark = load_benchmarks(photos / name / "manifest.json")[0]
        database = descriptor.encode(list(benchmark.database))
        queries = descriptor.encode([q.photo for q in benchmark.queries], [q.box for q in benchmark.queries])
        positions = from_scores(
            queries @ database.T, [q.positives for q in benchmark.queries], [q.junk for q in benchmark.queries]
        )
        found[name] = (average_precision(positions), precision_at(positions, 1))
    return found


def difference(before: NDArray[np.float64], after: NDArray[np.float64]) -> str:
    """Mean of the differences and its interval, in points."""
    found = paired_difference(before, after)
    low, high = found.interval
    return f"{100 * found.mean:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"


def means(scores: tuple[NDArray[np.float64], NDArray[np.float64]]) -> str:
    return " / ".join(f"{100 * np.nanmean(values):.1f}" for values in scores)


def changed(table: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A table with some settings replaced, table by table; a table with a ``kind`` is replaced as a whole."""
    result = dict(table)
    for key, value in changes.items():
        whole = not isinstance(value, Mapping) or "kind" in value or not isinstance(result.get(key), Mapping)
        result[key] = value if whole else changed(result[key], value)
    return result


def train(recipe: Recipe, data: PhotoSet, to: Path) -> tuple[Trainer, Descriptor]:
    """A run from its beginning, or from where it was stopped, to its end; and what came out."""
    trainer = Trainer(assemble(recipe, {}, engine="torch", precision="float32"), data, to, progress=say)
    return trainer, trainer.run()


def say(event: Progress) -> None:
    if event.stage == "epoch":
        validation = f", validation mAP {100 * event.validation:.1f}" if event.validation is not None else ""
        print(f"  epoch {event.epoch}: loss {event.loss:.3f}, {event.active:.0%} active{validation}", file=sys.stderr)


def recipes(
    photos: Path, runs: Path, names: list[str], settings: Mapping[str, Any], shares: list[float], virtual: bool
) -> None:
    data = training_set(photos, runs, virtual)
    for name in names:
        recipe = Recipe.from_dict(changed(read_recipe(name).to_dict(), {"training": settings}))
        trainer, trained = train(recipe, data, runs / name)
        before = score(trainer.result(1.0), photos)
        print("| recipe | start in it | scored on | start, mAP / P@1 | trained | mAP difference | P@1 difference |")
        print("|---|---|---|---|---|---|---|")
        for share in shares or [trainer.settings.average]:
            after = score(trained if share == trainer.settings.average else trainer.result(share), photos)
            for scored in SCORED:
                old, new = before[scored], after[scored]
                print(
                    f"| {name} | {share:g} | {scored} | {means(old)} | {means(new)} "
                    f"| {difference(old[0], new[0])} | {difference(old[1], new[1])} |",
                    flush=True,
                )


@dataclass(frozen=True)
class Ablation:
    """One row of a table: a recipe, what is changed in it, and which of the sets it learns from."""

    recipe: str = "siamac-lite0"
    data: str = "all"
    changes: Mapping[str, Any] = field(default_factory=dict)


CONTRASTIVE: dict[str, Any] = {
    "loss": {"kind": "contrastive", "margin": 1.0},
    "negatives": {"rule": "n2", "count": 5, "pool": 300, "every": 96},
    "batch": 8,
    "tuples_per_epoch": 96,
}
TRIPLET = {"kind": "triplet", "margin": 0.1}


def contrastive(data: str = "all", **changes: Any) -> Ablation:
    return Ablation(data=data, changes={"training": changed(CONTRASTIVE, changes)})


def remap(layers: tuple[str, ...] = ("blocks.6", "blocks.5"), **head: Any) -> Ablation:
    fc = {"blocks.6": 320, "blocks.5": 192, "blocks.4": 112}
    head = {"fc": min(256, sum(fc[layer] for layer in layers)), **head}
    return Ablation("remap-lite0", changes={"backbone": {"layers": layers}, "head": head})


ABLATIONS: dict[str, dict[str, Ablation]] = {
    "negatives and loss (siaMAC, Figure 4)": {
        "N2, contrastive": contrastive(),
        "N1": contrastive(negatives={"rule": "n1"}),
        "random negatives": contrastive(negatives={"rule": "random"}),
        "N2, triplet": contrastive(loss=TRIPLET),
        "InfoNCE in the batch": Ablation(),
    },
    "positives (siaMAC, Figure 4)": {
        "m3": contrastive("reconstruction", pairs={"rule": "m3", "share": 1.0}),
        "m2": contrastive("reconstruction", pairs={"rule": "m2", "share": 1.0}),
        "m1": contrastive("reconstruction", pairs={"rule": "m1", "share": 1.0}),
    },
    "clusters (siaMAC, Figure 5)": {
        "500 clusters": contrastive("500"),
        "100 clusters": contrastive("100"),
        "10 clusters": contrastive("10"),
    },
    "layers (REMAP, Tables II and IV)": {
        "layers 1 and 2": remap(),
        "layer 1": remap(("blocks.6",)),
        "layer 2": remap(("blocks.5",)),
        "layers 1, 2 and 3": remap(("blocks.6", "blocks.5", "blocks.4")),
    },
    "weights of regions (REMAP, Table III)": {
        "KL, trained": remap(),
        "KL, fixed": remap(train_alpha=False),
        "ones, trained": remap(weighting="ones"),
        "ones, fixed": remap(weighting="ones", train_alpha=False),
    },
}


def ablations(photos: Path, runs: Path, only: list[str], size: int, settings: Mapping[str, Any]) -> None:
    starts: dict[str, Scores] = {}
    for table, rows in ABLATIONS.items():
        if only and not any(name in table for name in only):
            continue
        print(f"\n{table}\n")
        print("| run, mAP at the start → trained; from the first row | " + " | ".join(SCORED) + " |")
        print("|---|" + "---|" * len(SCORED), flush=True)
        first: Scores = {}
        for label, row in rows.items():
            data = ablation_data(row.data, photos, runs)
            recipe = small(row, size, settings)
            trainer, trained = train(recipe, data, runs / f"{row.recipe}-{label}".replace(" ", "-").replace(",", ""))
            start = trainer.result(1.0)
            if start.fingerprint not in starts:
                starts[start.fingerprint] = score(start, photos)
            before, after = starts[start.fingerprint], score(trained, photos)
            cells = [label]
            for name in SCORED:
                old, new = (100 * np.nanmean(scores[name][0]) for scores in (before, after))
                against = f"; {difference(first[name][0], after[name][0])}" if first else ""
                cells.append(f"{old:.1f} → {new:.1f}{against}")
            print(f"| {' | '.join(cells)} |", flush=True)
            first = first or after


def ablation_data(name: str, photos: Path, runs: Path) -> PhotoSet:
    if name == "reconstruction":
        return reconstruction(runs / "reconstruction")
    if name == "all":
        return paired(training_set(photos, runs, virtual=False), runs / "pairs.npy")
    return some_clusters(references(photos / "distractors"), int(name))


def small(row: Ablation, size: int, settings: Mapping[str, Any]) -> Recipe:
    """The recipe of an ablation: small photos, few steps, no projection."""
    table = read_recipe(row.recipe).to_dict()
    table["projection"] = []
    if row.recipe == "remap-lite0":
        width, height = 8 * size // 5, 6 * size // 5
        table["images"] = {"exact": [2 * width, 2 * height]}
        views: dict[str, Any] = {"exact": [width, height], "virtual": [width, height]}
    else:
        table["images"] = {"longest": 2 * size}
        views = {"longest": size, "virtual": [size, size]}
    table = changed(changed(table, {"training": FEW | {"views": views}}), row.changes)
    return Recipe.from_dict(changed(table, {"training": settings}))


def curves(runs: Path, file: Path) -> None:
    """Loss and validation mAP by epoch."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
    for log in sorted(runs.glob("*/log.csv")):
        rows = list(csv.DictReader(log.open()))
        for axis, key in zip(axes, ("loss", "validation"), strict=True):
            points = [(int(r["epoch"]), float(r[key])) for r in rows if r[key]]
            if points:
                axis.plot(*zip(*points, strict=True), marker="o", label=log.parent.name)
        print(f"{log.parent.name}: epoch, loss, validation mAP")
        for r in rows:
            print(f"| {r['epoch']} | {r['loss'][:6] or '-'} | {100 * float(r['validation'] or 'nan'):.1f} |")
    axes[0].set(xlabel="epoch", ylabel="loss per pair")
    axes[1].set(xlabel="epoch", ylabel="validation mAP")
    axes[1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(file)
    print(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("recipes", "ablations", "curves"))
    parser.add_argument("--photos", type=Path, default=Path("../shared/data"), help="folder of the development photos")
    parser.add_argument("--to", type=Path, default=Path("runs"), help="folder of the runs")
    parser.add_argument("--only", nargs="*", default=[], help="recipes, or words of the ablations' titles")
    parser.add_argument("--shares", nargs="*", type=float, default=[], help="of the start, to average with (recipes)")
    parser.add_argument("--folders-only", action="store_true", help="no virtual photos of the landmarks (recipes)")
    parser.add_argument("--size", type=int, default=128, help="longest side of training photos (ablations)")
    parser.add_argument("--set", type=json.loads, default={}, help="JSON of [training] settings for every run")
    parser.add_argument("--file", type=Path, default=Path("curves.svg"), help="of the curves")
    arguments = parser.parse_args()
    tune_allocator()
    cv2.setNumThreads(1)
    if arguments.what == "recipes":
        names = arguments.only or list(RECIPES)
        recipes(arguments.photos, arguments.to, names, arguments.set, arguments.shares, not arguments.folders_only)
    elif arguments.what == "ablations":
        ablations(arguments.photos, arguments.to, arguments.only, arguments.size, arguments.set)
    else:
        curves(arguments.to, arguments.file)


if __name__ == "__main__":
    main()
