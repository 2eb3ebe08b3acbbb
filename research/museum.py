"""Instance search on the development photos: which object is this, or none.

    python -m research.museum default adapt im ft siamese regions --photos DATA --to RUN
    python -m research.museum unknown --photos DATA --to RUN
    python -m research.museum objects pictures --photos DATA --to RUN
    python -m research.museum table --to RUN
    python -m research.museum cost

References are the collection, phone photos are only scored on. The first line measures one row of the table each
(``im`` to ``regions`` train ``museum-lite0``; the stages before them are trained once and kept in RUN). ``unknown``
takes every second object out of the collection, lets the rest calibrate (and adapt) itself, and asks all photos.
``objects`` asks for several objects in one photo. ``pictures`` draws failures and heat maps into RUN. ``table``
prints what RUN holds. ``cost`` measures CPU seconds and memory of each stage for 500 and 3,000 reference photos
(painted ones), on a few updates: totals are extrapolated.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from benchmarks.peak import alone, measured
from numpy.typing import NDArray
from PIL import Image

import reseen
from reseen.collections import Collection, Row
from reseen.collections.gallery import Gallery
from reseen.descriptor import Descriptor
from reseen.descriptor.recipes import read_recipe
from reseen.descriptor.runtime.allocator import tune_allocator
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.evaluation.measures.metrics import average_precision, from_scores, hit_at
from reseen.evaluation.vectors import VectorCache
from reseen.heads.museum.classifier import imagenet_network, instance_network
from reseen.heads.museum.regions import InstanceRegions, Siamese
from reseen.identify import Identifier, calibrate
from reseen.identify.calibration import stored
from reseen.identify.heatmaps import picture
from reseen.images import load_photo, resize_to
from reseen.projections import create_projection
from reseen.scenes import paint
from reseen.scenes.studio import Studio
from reseen.training.museum import AdaptSettings, adapt
from reseen.training.museum.stages import (
    Stages,
    Views,
    as_logits,
    train_classifier,
    train_fcn,
    train_instances,
    train_triplets,
)

SETS = ("smvs-dvd", "smvs-landmarks")
TRAINED = ("im", "ft", "siamese", "regions")
ROWS = {
    "default": "`default`, as it is shipped",
    "im": "IM: ImageNet's classes",
    "ft": "FT: classifier of the instances",
    "siamese": "simplified siamese network",
    "regions": "region descriptor",
    "adapt": "`default` after `reseen adapt`",
}
RECIPE = "museum-lite0"
COUNTS = (500, 3000)
"""References that ``cost`` is told for."""
UPDATES = 1
"""Of each stage that ``cost`` measures, with 16 photos or triplets each."""
PAINTED = 100
"""Pictures whose crops are the references of ``cost``."""
FEW = 60
"""References that ``cost`` adapts to."""

Vectors = NDArray[np.float32]


def collection(
    benchmark: Benchmark, folder: Path, descriptor: Descriptor | None = None, keep: slice = slice(None)
) -> Collection:
    """A collection of (some) references, under the default descriptor where none is given."""
    if folder.exists():
        return Collection.open(folder)
    made = Collection.create(folder, descriptor or reseen.load("default"))
    made.add(*benchmark.database[keep])
    return made


def adapted(benchmark: Benchmark, folder: Path, minutes: float, keep: slice = slice(None)) -> Collection:
    """The same after ``reseen adapt``."""
    if folder.exists():
        return Collection.open(folder)
    made = collection(benchmark, folder.with_suffix(".new"), keep=keep)
    done = adapt(made, minutes=minutes)
    print(f"{folder.name}: {json.dumps(done.to_json())}", flush=True)
    folder.with_suffix(".new").rename(folder)
    return Collection.open(folder)


def vectors(descriptor: Descriptor, benchmark: Benchmark) -> tuple[Vectors, Vectors]:
    """Of references and queries."""
    cache = VectorCache()
    found = cache.encode(descriptor, benchmark.database).vectors
    boxes = [query.box for query in benchmark.queries]
    return found, cache.encode(descriptor, [query.photo for query in benchmark.queries], boxes).vectors


def score(descriptor: Descriptor, benchmark: Benchmark) -> dict[str, float]:
    """Mean precision@1 and mean average precision by both rules."""
    found, queries = vectors(descriptor, benchmark)
    truth = [query.positives for query in benchmark.queries]
    positions = from_scores(queries @ found.T, truth, [query.junk for query in benchmark.queries])
    return {
        "p1": float(hit_at(positions, 1).mean()),
        "oxford": float(average_precision(positions).mean()),
        "finite": float(average_precision(positions, "finite").mean()),
        "queries": len(truth),
    }


def trained(benchmark: Benchmark, run: Path) -> dict[str, Descriptor]:
    """The museum paper's descriptors of a set, trained once."""
    folders = {name: run / f"{benchmark.name}-{name}" for name in TRAINED}
    if not all(folder.exists() for folder in folders.values()):
        gallery = Gallery.of(collection(benchmark, run / benchmark.name))
        began = time.perf_counter()

        def watch(at: Any) -> None:
            spent = time.perf_counter() - began
            print(f"{benchmark.name} {at.stage} {at.epoch}/{at.epochs} loss {at.loss:.3f} {spent:.0f} s", flush=True)

        for name, descriptor in train_instances(read_recipe(RECIPE), gallery, watch=watch)._asdict().items():
            descriptor.save(folders[name])
    return {name: reseen.load(folder) for name, folder in folders.items()}


def measure(row: str, benchmark: Benchmark, run: Path, minutes: float) -> None:
    if row == "default":
        descriptor = reseen.load("default")
    elif row == "adapt":
        descriptor = adapted(benchmark, run / f"{benchmark.name}-adapted", minutes).encoder
    else:
        descriptor = trained(benchmark, run)[row]
    found = score(descriptor, benchmark)
    (run / f"{benchmark.name}-{row}.json").write_text(json.dumps(found))
    print(benchmark.name, row, found, flush=True)


def errors(sure: Vectors, good: NDArray[np.bool_], strange: NDArray[np.bool_], threshold: float) -> dict[str, float]:
    """False accepts among photos of unknown objects; misses, and wrong names, among those of known ones."""
    given = sure >= threshold
    return {
        "threshold": float(threshold),
        "false_accepts": float(given[strange].mean()),
        "misses": float(1 - (given & good)[~strange].mean()),
        "wrong": float((given & ~good)[~strange].mean()),
    }


def unknown(benchmark: Benchmark, run: Path, minutes: float) -> None:
    """Every second object removed: answers of all photos, with the threshold that the collection found by itself."""
    half = slice(None, None, 2)
    plain = collection(benchmark, run / f"{benchmark.name}-half", keep=half)
    if stored(plain, Gallery.of(plain)) is None:
        calibrate(plain)
    tuned = adapted(benchmark, run / f"{benchmark.name}-half-adapted", minutes, keep=half)
    for name, made in (("default", plain), ("adapt", tuned)):
        identifier = Identifier(made)
        names = {Path(row.name): i for row, i in zip(identifier.photos.rows, identifier.photos.instance, strict=True)}
        right = np.array([names.get(Path(benchmark.database[q.positives[0]]), -1) for q in benchmark.queries])
        _, confidence = identifier.judge(vectors(made.encoder, benchmark)[1])
        assert confidence is not None and identifier.threshold is not None
        best = confidence.argmax(1)
        sure, good, strange = confidence.max(1), best == right, right < 0

        expected = identifier.calibration.at_threshold
        found = {
            "known": int((~strange).sum()),
            "unknown": int(strange.sum()),
            "stored": errors(sure, good, strange, identifier.threshold),
            "expected": {"false_accepts": expected.false_accepts, "misses": expected.misses},
            "curve": [errors(sure, good, strange, t) for t in np.linspace(0, 1, 11).round(3)],
            "auc": float((sure[~strange & good][:, None] > sure[strange]).mean()),
        }
        (run / f"{benchmark.name}-unknown-{name}.json").write_text(json.dumps(found))
        print(benchmark.name, name, found["stored"], found["expected"], flush=True)


def table(run: Path) -> None:
    print("| descriptor | " + " | ".join(f"{s}: p@1 | mAP (finite / Oxford)" for s in SETS) + " |")
    print("|---|" + "---|---|" * len(SETS))
    for row, title in ROWS.items():
        cells = []
        for name in SETS:
            file = run / f"{name}-{row}.json"
            found = json.loads(file.read_text()) if file.exists() else None
            shown = [f"{100 * found[key]:.1f}" for key in ("p1", "finite", "oxford")] if found else ["-"] * 3
            cells.append(f"{shown[0]} | {shown[1]} / {shown[2]}")
        print(f"| {title} | {' | '.join(cells)} |")
    for name in SETS:
        files = {row: run / f"{name}-unknown-{row}.json" for row in ("default", "adapt")}
        held = {row: json.loads(file.read_text()) for row, file in files.items() if file.exists()}
        if not held:
            continue
        known, strange = (next(iter(held.values()))[key] for key in ("known", "unknown"))
        print(f"\n{name}, every second object removed: {known} photos of known objects, {strange} of unknown ones\n")
        print("| confidence | " + " | ".join(f"{row}: false accepts | misses" for row in held) + " |")
        print("|---|" + "---|---|" * len(held))
        for i, point in enumerate(next(iter(held.values()))["curve"]):
            points = [h["curve"][i] for h in held.values()]
            cells = [f"{100 * p['false_accepts']:.1f} | {100 * p['misses']:.1f}" for p in points]
            print(f"| {point['threshold']:.2f} | {' | '.join(cells)} |")
        for row, h in held.items():
            at, expected = h["stored"], h["expected"]
            print(
                f"\n{row}: threshold {at['threshold']:.2f} (stored): {100 * at['false_accepts']:.1f} % false accepts, "
                f"{100 * at['misses']:.1f} % misses, of which {100 * at['wrong']:.1f} named wrongly; the collection "
                f"expected {100 * expected['false_accepts']:.1f} and {100 * expected['misses']:.1f}"
            )


def pictures(benchmark: Benchmark, run: Path, photos: int = 4) -> None:
    """Failures of the adapted collection, and heat maps of some queries by the trained classifier and by windows."""
    made = adapted(benchmark, run / f"{benchmark.name}-adapted", 10.0)
    found, queries = vectors(made.encoder, benchmark)
    scores = queries @ found.T
    right = np.array([query.positives[0] for query in benchmark.queries])
    top = scores.argmax(1)
    rows = [
        np.concatenate(
            [_tile(p) for p in (benchmark.queries[q].photo, *(benchmark.database[r[q]] for r in (right, top)))]
        )
        for q in np.flatnonzero(top != right)[:20]
    ]
    Image.fromarray(np.concatenate(rows, 1)).save(run / f"{benchmark.name}-failures.png")
    identifiers = {
        "windows": Identifier(made),
        "classes": Identifier(
            collection(benchmark, run / f"{benchmark.name}-by-regions", trained(benchmark, run)["regions"])
        ),
    }
    for number in np.linspace(0, len(benchmark.queries) - 1, photos).round().astype(int):
        for name, identifier in identifiers.items():
            pixels = picture(identifier, benchmark.queries[number].photo)
            Image.fromarray(pixels).save(run / f"{benchmark.name}-{number}-{name}.png")


def objects(benchmark: Benchmark, run: Path, minutes: float, photos: int = 30) -> None:
    """Two phone photos of different objects side by side: which objects ``--objects`` names, and where."""
    identifier = Identifier(adapted(benchmark, run / f"{benchmark.name}-adapted", minutes))
    number = {Path(row.name): i for row, i in zip(identifier.photos.rows, identifier.photos.instance, strict=True)}
    order = np.random.default_rng(0).permutation(len(benchmark.queries))
    right = misplaced = wrong = 0
    for pair in order[: 2 * photos].reshape(-1, 2):
        asked = [benchmark.queries[q] for q in pair]
        names = [identifier.photos.names[number[Path(benchmark.database[q.positives[0]])]] for q in asked]
        halves = [_high(q.photo, 600) for q in asked]
        middle = halves[0].shape[1]
        answer = identifier.identify(np.concatenate(halves, 1), objects=True)
        for hit in answer.hits if not answer.no_match else ():
            assert hit.box is not None
            side = int((hit.box[0] + hit.box[2]) / 2 > middle)
            right += hit.instance == names[side]
            misplaced += hit.instance == names[1 - side]
            wrong += hit.instance not in names
    print(
        f"{benchmark.name}: {photos} pairs of photos, {2 * photos} objects: {right} named with a box in their half, "
        f"{misplaced} with a box in the other half; {wrong} wrong names"
    )


def _high(photo: Path, height: int) -> NDArray[np.uint8]:
    pixels = load_photo(photo, at_least=height).pixels
    return resize_to(pixels, round(height * pixels.shape[1] / pixels.shape[0]), height)


def _tile(photo: Path, side: int = 180) -> NDArray[np.uint8]:
    pixels = load_photo(photo, at_least=side).pixels
    factor = side / max(pixels.shape[:2])
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    tile = np.full((side, side, 3), 255, np.uint8)
    tile[: small.shape[0], : small.shape[1]] = small[:side, :side]
    return tile


def painted(folder: Path) -> list[Path]:
    """Reference photos made once: crops of painted pictures, six of which count as one object."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for i in range(PAINTED):
        paths = [folder / f"{i:04d}-{j:02d}.jpg" for j in range(max(COUNTS) // PAINTED)]
        if not paths[-1].exists():
            pixels = paint(i, longest=480).pixels
            for j, path in enumerate(paths):
                Image.fromarray(np.ascontiguousarray(pixels[4 * j :, 4 * j :])).save(path, quality=90)
        files += paths
    return files


def cost(run: Path) -> None:
    """CPU seconds (of all threads) and memory of each stage, of adapting, and of one ``identify``."""
    files = painted(run / "painted")
    stages = read_recipe(RECIPE).training["stages"]
    print("| stage | references | CPU ms a photo | passes | CPU minutes, extrapolated | memory, MiB |")
    print("|---|---|---|---|---|---|", flush=True)
    for count in COUNTS:
        total, most = 0.0, 0
        for name in ("classifier", "siamese", "fcn", "regions"):
            seconds, peak = alone(_stage, files[:count], name)
            minutes = seconds * count * stages[name]["epochs"] / 60
            total, most = total + minutes, max(most, peak)
            row = f"{1000 * seconds:.0f} | {stages[name]['epochs']} | {minutes:.1f} | {peak / 2**20:.0f}"
            print(f"| {name} | {count} | {row} |", flush=True)
        print(f"| all | {count} | | | {total:.1f} | {most / 2**20:.0f} |", flush=True)
    paces, fits, identify, objects, peak = alone(_adapting, files[:FEW], COUNTS)
    for count, fit in zip(COUNTS, fits, strict=True):
        virtual = min(AdaptSettings.most, AdaptSettings.each * count)
        seconds = paces["encode"] * count + paces["try"] * AdaptSettings.held_out + paces["learn"] * virtual + fit
        row = f"{1000 * paces['learn']:.0f} | 1 | {seconds / 60:.1f} | {peak / 2**20:.0f}"
        print(f"| adapt ({virtual} virtual photos) | {count} | {row} |")
    print(f"\nidentify: {1000 * identify:.0f} CPU ms a photo, with --objects {1000 * objects:.0f}")


class Some(Views):
    """Views of which all references are read and a few are learned from, one of each of several objects."""

    def __init__(self, studio: Studio, instance: NDArray[np.int64]) -> None:
        super().__init__(studio, instance)
        self.some = super().usable()[::6][: UPDATES * 16]

    def usable(self) -> NDArray[np.int64]:
        """See the class."""
        return self.some


def _stage(files: list[Path], name: str) -> tuple[float, int]:
    """Seconds a photo of a pass over some of the references, and bytes, of a stage of :data:`RECIPE`."""
    recipe = read_recipe(RECIPE)
    stages = Stages.of(recipe)
    stage = replace(getattr(stages, name), epochs=1)
    labels = tuple(f"{i:04d}" for i in range(math.ceil(len(files) / 6)))
    instance = np.arange(len(files)) // 6
    rows = tuple(Row(id=i, path=os.fsencode(f), name=str(f), sha256="") for i, f in enumerate(files))

    def learning() -> float:
        views = Some(Studio([row.path for row in rows]), instance)
        network = instance_network(imagenet_network(recipe.backbone.name, recipe.backbone.weights), len(labels))
        channels, (grid, dim) = network.backbone.channels, (recipe.head[key] for key in ("grid", "dim"))
        heads = {"fcn": as_logits(network, grid, labels), "siamese": Siamese(channels, grid=grid, dim=dim)}
        heads["regions"] = InstanceRegions(channels, grid=grid, dim=dim, labels=labels)
        began = time.process_time()
        if name == "classifier":
            train_classifier(network, views, stage, stages.train, lambda at: None)
        else:
            train = train_fcn if name == "fcn" else train_triplets
            train(network.backbone, heads[name], views, stage, stages.train, lambda at: None)
        return (time.process_time() - began) / len(views.some)

    tune_allocator()
    seconds, _, peak = measured(learning)
    return seconds, peak


def _adapting(files: list[Path], counts: Sequence[int]) -> tuple[dict[str, float], list[float], float, float, int]:
    """Seconds a photo of adapt's stages, of fitting for so many references, and of one ``identify``; bytes."""

    def everything() -> tuple[dict[str, float], list[float], float, float]:
        with tempfile.TemporaryDirectory() as folder:
            made = Collection.create(Path(folder) / "c", reseen.load("default"))
            made.add(*files)
            events: list[Any] = []
            settings = AdaptSettings(each=1, held_out=len(files))
            adapt(made, settings=settings, progress=lambda event: events.append((time.process_time(), event.stage)))
            paces = {}
            for stage in ("encode", "try", "learn"):
                times = [at for at, name in events if name == stage]
                paces[stage] = (times[-1] - times[0]) / (len(times) - 1)
            fits = []
            for count in counts:
                virtual = min(AdaptSettings.most, AdaptSettings.each * count)
                rows = np.random.default_rng(0).normal(size=(count + virtual, 1280)).astype(np.float32)
                pairs = np.stack([np.arange(virtual) % count, count + np.arange(virtual)], 1)
                began = time.process_time()
                create_projection("lw", dim=512, shrinkage=0.6).fit(rows, pairs)
                fits.append(time.process_time() - began)
            identifier = Identifier(made)
            asked = []
            for objects in (False, True):
                began = time.process_time()
                for file in files[:10]:
                    identifier.identify(file, objects=objects)
                asked.append((time.process_time() - began) / 10)
        return paces, fits, asked[0], asked[1]

    found, _, peak = measured(everything)
    return *found, peak


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="+", choices=(*ROWS, "unknown", "objects", "table", "pictures", "cost"))
    parser.add_argument("--photos", type=Path, default=Path("../shared/data"), help="folder of the development photos")
    parser.add_argument("--to", type=Path, default=Path("runs/museum"), help="folder of the run")
    parser.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    parser.add_argument("--minutes", type=float, default=10.0, help="of adapt")
    args = parser.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    for what in args.what:
        if what == "table":
            table(args.to)
        elif what == "cost":
            cost(args.to)
        else:
            for name in args.sets:
                benchmark = load_benchmarks(args.photos / name / "manifest.json")[0]
                if what == "unknown":
                    unknown(benchmark, args.to, args.minutes)
                elif what == "objects":
                    objects(benchmark, args.to, args.minutes)
                elif what == "pictures":
                    pictures(benchmark, args.to)
                else:
                    measure(what, benchmark, args.to, args.minutes)


if __name__ == "__main__":
    main()
