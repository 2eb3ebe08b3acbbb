"""Which learning rates the triplet stages of ``museum-lite0`` take, chosen on virtual photos of the references.

    python -m research.museum_rates siamese regions --photos DATA --to RUN

References of the first objects of a set are trained on, stage by stage; each rate is scored on virtual photos of them
that took no part (as ``reseen adapt`` scores). No photo of a visitor is read. Stages before the one that is asked for
are trained once and kept in RUN; so is the score of each rate, and ``table`` prints them.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from reseen.descriptor import Descriptor
from reseen.descriptor.recipes import read_recipe
from reseen.descriptor.runtime.allocator import tune_allocator
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.heads import create_head
from reseen.heads.museum.classifier import Classifier, imagenet_network, instance_network
from reseen.heads.museum.regions import InstanceRegions, Siamese
from reseen.scenes.studio import How, Studio, Wish
from reseen.training.museum.adapt import HELD_OUT, reciprocal_ranks
from reseen.training.museum.stages import (
    Progress,
    Stages,
    Views,
    as_logits,
    describe,
    train_classifier,
    train_fcn,
    train_triplets,
)

RECIPE = "museum-lite0"
RATES = (2e-5, 6e-5, 2e-4, 6e-4, 2e-3)
HOWS: tuple[How, ...] = ("virtual", "visit")


def references(photos: Path, name: str, objects: int) -> list[bytes]:
    benchmark = load_benchmarks(photos / name / "manifest.json")[0]
    return [bytes(path) for path in benchmark.database[:objects]]


def score(descriptor: Descriptor, paths: list[bytes], views: int) -> dict[str, float]:
    """Share of held-out virtual photos whose reference is the most alike, and the mean of 1 / its rank."""
    studio = Studio(paths)
    wishes = [Wish(i % len(paths), HOWS[i % 2], HELD_OUT + i) for i in range(views)]
    shown, pixels = zip(*((wish.row, made) for wish, made in studio.stream(wishes)), strict=True)
    found = descriptor.encode([path.decode() for path in paths])
    ranks = reciprocal_ranks(descriptor.encode(list(pixels)) @ found.T, np.array(shown))
    return {"p1": float((ranks == 1).mean()), "reciprocal": float(ranks.mean()), "views": len(ranks)}


def start(paths: list[bytes], run: Path, stage: str) -> tuple[Classifier, NDArray[np.int64]]:
    """The classifier of the references, trained once; for the regions also as a fully convolutional network."""
    recipe = read_recipe(RECIPE)
    stages = Stages.of(recipe)
    torch.manual_seed(0)
    network = instance_network(imagenet_network(recipe.backbone.name, recipe.backbone.weights), len(paths))
    instance = np.arange(len(paths))
    for name in ("classifier", *(["fcn"] if stage == "regions" else [])):
        file = run / f"{name}-{len(paths)}.pt"
        if file.exists():
            network.load_state_dict(torch.load(file, weights_only=True))
            continue
        views = Views(Studio(paths), instance)
        if name == "classifier":
            train_classifier(network, views, stages.classifier, stages.train, tell)
        else:
            logits = as_logits(network, 7, [str(i) for i in instance])
            train_fcn(network.backbone, logits, views, stages.fcn, stages.train, tell)
            assert logits.classifier is not None
            weight, bias = logits.classifier[-1].weight, logits.classifier[-1].bias
            network.linear[-1].load_state_dict({"weight": weight[:, :, 0, 0].detach(), "bias": bias.detach()})
        torch.save(network.state_dict(), file)
    return network, instance


def tell(at: Progress) -> None:
    print(f"{at.stage} {at.epoch}/{at.epochs} loss {at.loss:.4f}", flush=True)


def measure(stage: str, rate: float, paths: list[bytes], run: Path, views: int) -> None:
    """One rate of one stage, from the stages before it."""
    file = run / f"{stage}-{len(paths)}-{rate:g}.json"
    if file.exists():
        return
    network, instance = start(paths, run, stage)
    recipe = read_recipe(RECIPE)
    stages = Stages.of(recipe)
    settings = replace(getattr(stages, stage), rate=rate)
    backbone = copy.deepcopy(network.backbone)
    torch.manual_seed(1)
    head: Siamese | InstanceRegions
    side = None
    if stage == "siamese":
        head, side = Siamese(backbone.channels, grid=7, dim=recipe.head["dim"]), settings.sides[0]
    else:
        options = {key: value for key, value in recipe.head.items() if key != "kind"}
        head = create_head("instance", backbone.channels, **options, labels=[str(i) for i in instance])  # type: ignore[assignment]
        head.classifier.load_state_dict(as_logits(network, 7, head.labels).classifier.state_dict())
    losses: list[float] = []
    began = time.monotonic()

    def watch(at: Progress) -> None:
        losses.append(at.loss)
        tell(at)

    before = score(describe(recipe, copy.deepcopy(backbone), copy.deepcopy(head), side=side), paths, views)
    train_triplets(backbone, head, Views(Studio(paths), instance), settings, stages.train, watch)
    after = score(describe(recipe, backbone, head, side=side), paths, views)
    found = {"rate": rate, "losses": losses, "before": before, "after": after, "seconds": time.monotonic() - began}
    file.write_text(json.dumps(found))
    print(stage, found, flush=True)


def table(run: Path) -> None:
    print("| stage | references | rate | loss, first pass | last | named before | after | 1 / rank before | after |")
    print("|---|---|---|---|---|---|---|---|---|")
    for stage in ("siamese", "regions"):
        held = [(file, json.loads(file.read_text())) for file in run.glob(f"{stage}-*.json")]
        for file, found in sorted(held, key=lambda item: item[1]["rate"]):
            before, after = found["before"], found["after"]
            cells = [f"{found['losses'][i]:.3f}" for i in (0, -1)]
            cells += [f"{100 * before['p1']:.1f}", f"{100 * after['p1']:.1f}"]
            cells += [f"{before['reciprocal']:.3f}", f"{after['reciprocal']:.3f}"]
            print(f"| {stage} | {file.stem.split('-')[1]} | {found['rate']:g} | {' | '.join(cells)} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=("siamese", "regions", "table"))
    parser.add_argument("--photos", type=Path, default=Path("../shared/data"), help="folder of the development photos")
    parser.add_argument("--to", type=Path, default=Path("runs/museum-rates"), help="folder of the run")
    parser.add_argument("--set", default="smvs-dvd", help="whose references")
    parser.add_argument("--objects", type=int, default=40, help="references, one of each object")
    parser.add_argument("--views", type=int, default=120, help="virtual photos that are scored on")
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    args = parser.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    tune_allocator()
    for what in args.what:
        if what == "table":
            table(args.to)
            continue
        paths = references(args.photos, args.set, args.objects)
        for rate in args.rates:
            measure(what, rate, paths, args.to, args.views)


if __name__ == "__main__":
    main()
