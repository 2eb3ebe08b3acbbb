"""Make what ships as the ``default`` descriptor: learn the backbone, then the whitening.

    python -m tools.make_default train --photos DATA --to RUN --sets distractors landmarks-web --until 200
    python -m tools.make_default whiten --photos DATA --backbone RUN --share 0.5

``train`` learns from matching pairs without labels: a reference photo (landmarks, unrelated photos, painted pictures)
and a virtual photo of it; and from pairs of landmark photos that geometry has verified. It goes on where it was
stopped. The sets that ``--sets`` leaves out can be scored on.

``whiten`` averages the weights with ImageNet's (``--share`` of the learned ones), learns the recipe's projection on
reference photos of different things, and writes ``src/reseen/recipes/default.safetensors``.

No query of any set takes part: phone photos are only scored on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn

from reseen.backbones import create_backbone
from reseen.backbones.base import Backbone
from reseen.backbones.weights import read_tensors
from reseen.descriptor import Recipe, assemble
from reseen.descriptor.recipes import read_recipe, recipe_path
from reseen.descriptor.runtime.allocator import tune_allocator
from reseen.heads.base import l2
from reseen.heads.pooling import gem
from reseen.images import load_photo
from reseen.scenes import mild_view, paint
from reseen.scenes.studio import Manner, Studio, Wish
from reseen.search.local import RootSift
from reseen.training.losses import info_nce
from reseen.training.mining.selection import inliers

Pixels = NDArray[np.uint8]

DISTINCT = ("distractors", "smvs-dvd", "smvs-landmarks")
"""Sets whose references show different things: whitening learned on many photos of one landmark takes away what
tells landmarks apart."""
SETS = ("distractors", "landmarks-web", "paris-sub", "smvs-dvd", "smvs-landmarks")
KINDS = {"distractors": "other", "smvs-dvd": "cover"}  # the rest are landmarks
MIX = {"painting": 0.34, "cover": 0.16, "other": 0.25, "landmark": 0.25}
"""How often a virtual pair is made from a reference of each kind."""
BATCHES = ((192, 60), (256, 36), (320, 24))
"""Sides of the photos and pairs per step, in turn."""
REAL = 0.25
"""Share of each step's pairs that are two photos of one landmark."""
INLIERS = 6
"""Places that agree with one plane or scene, for a pair of landmark photos."""
FEWEST_PAIRS = 20
"""Verified pairs that a landmark must have to give any."""
LAYERS = ("blocks.6", "head")
"""Both are pooled (GeM, p = 3) and each has the loss."""
FROZEN = ("stem", "blocks_0", "blocks_1")
RATE, DECAY, WARMUP = 3e-4, 1e-2, 30
FIRST_PAINTING, PAINTINGS = 1000, 450
LONGEST = 448


@dataclass
class References:
    """What is learned from: photos, their kind, the group of photos that may show the same thing, and pairs."""

    pixels: list[Pixels] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    kinds: dict[str, list[int]] = field(default_factory=dict)
    pairs: list[list[tuple[int, int]]] = field(default_factory=list)

    def add(self, kind: str, pixels: Pixels, group: int) -> None:
        self.kinds.setdefault(kind, []).append(len(self.pixels))
        self.pixels.append(pixels)
        self.groups.append(group)


def database(photos: Path, name: str) -> list[Path]:
    """The photos of a set that may be learned from: its database, never its queries."""
    folder = photos / name
    if not (folder / "manifest.json").is_file():
        return sorted(folder.glob("*.jpg"))
    return [folder / file for file in json.loads((folder / "manifest.json").read_text())["database"]]


def landmark(file: Path) -> str:
    """Photos of one landmark share a folder or the name before the number; other sets name each photo."""
    if "db" in file.parts:
        return file.parent.name
    return file.stem.rsplit("_", 1)[0] if "_" in file.stem else f"{file.parent}/{file.stem}"


def gather(photos: Path, sets: list[str], run: Path) -> References:
    found = References()
    groups: dict[str, int] = {}
    members: dict[str, list[int]] = {}
    files: list[Path] = []
    for name in sets:
        for file in database(photos, name):
            kind = KINDS.get(name, "landmark")
            label = landmark(file) if kind == "landmark" else str(file)
            members.setdefault(label, []).append(len(files))
            files.append(file)
            found.add(kind, small(load_photo(file, at_least=LONGEST).pixels), groups.setdefault(label, len(groups)))
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        numbers = range(FIRST_PAINTING, FIRST_PAINTING + PAINTINGS)
        for pixels in pool.map(lambda number: paint(number, longest=384).pixels, numbers):
            found.add("painting", pixels, len(groups) + len(found.pixels))
        kept = run / "pairs.json"
        if not kept.is_file():
            matched = pool.map(lambda numbers: verified([files[n] for n in numbers]), members.values())
            kept.write_text(
                json.dumps(
                    [[[str(a.relative_to(photos)), str(b.relative_to(photos))] for a, b in pairs] for pairs in matched]
                )
            )
    number = {str(file.relative_to(photos)): n for n, file in enumerate(files)}
    pairs = [
        [(number[a], number[b]) for a, b in group if a in number and b in number]
        for group in json.loads(kept.read_text())
    ]
    found.pairs = [group for group in pairs if len(group) >= FEWEST_PAIRS]
    return found


def small(pixels: Pixels) -> Pixels:
    factor = LONGEST / max(pixels.shape[:2])
    if factor >= 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA), np.uint8)


def verified(files: list[Path]) -> list[tuple[Path, Path]]:
    """Pairs that geometry says show the same thing."""
    sift = RootSift()
    features = {n: sift.extract(load_photo(file, at_least=sift.side).pixels) for n, file in enumerate(files)}
    pairs = np.array(list(itertools.combinations(range(len(files)), 2)), np.int64).reshape(-1, 2)
    return [(files[a], files[b]) for a, b in pairs[inliers(pairs, features, "geometry") >= INLIERS].tolist()]


def batch(found: References, studio: Studio, step: int, seed: int) -> tuple[Tensor, Tensor]:
    """Groups ``(n,)`` and photos ``uint8 (2 n, side, side, 3)``: n views, then n matching views."""
    rng = np.random.default_rng((seed, step))
    side, count = BATCHES[step % len(BATCHES)]
    size = (side, side)
    rows: list[tuple[int, Pixels, Pixels]] = []
    for place in rng.permutation(len(found.pairs))[: round(count * REAL)]:
        pair = found.pairs[place][rng.integers(len(found.pairs[place]))]
        views = [mild_view(found.pixels[p], rng, size, crop=(0.55, 1.0), gain=0.2) for p in rng.permutation(pair)]
        rows.append((found.groups[pair[0]], views[0], views[1]))
    kinds = [kind for kind in MIX if kind in found.kinds]
    chances = np.array([MIX[kind] for kind in kinds]) / sum(MIX[kind] for kind in kinds)
    used: set[int] = set()
    while len(rows) < count:
        numbers = found.kinds[kinds[rng.choice(len(kinds), p=chances)]]
        number = numbers[rng.integers(len(numbers))]
        if number in used:
            continue
        used.add(number)
        mild, seen = studio.make(Wish(number, "mild", step, size)), studio.make(Wish(number, "virtual", step, size))
        assert mild is not None and seen is not None
        rows.append((found.groups[number], mild, seen))
    groups, views, matching = zip(*rows, strict=True)
    return torch.tensor(groups), torch.from_numpy(np.stack(views + matching))


def batches(found: References, start: int, end: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The batches of the steps from ``start`` to ``end``, made ahead in two threads."""
    studio = Studio(found.pixels, Manner(side=LONGEST, behind="references"), seed=seed)
    with ThreadPoolExecutor(2) as pool:
        ahead = {step: pool.submit(batch, found, studio, step, seed) for step in range(start, min(end, start + 3))}
        for step in range(start, end):
            if step + 3 < end:
                ahead[step + 3] = pool.submit(batch, found, studio, step + 3, seed)
            yield ahead.pop(step).result()


def pooled(network: Backbone, photos: Tensor) -> list[Tensor]:
    """GeM vectors of :data:`LAYERS`; the frozen steps keep nothing for the way back."""
    x = network.normalise(photos).contiguous(memory_format=torch.channels_last)
    steps = dict(network.net.named_children())
    vectors = []
    for name, step in steps.items():
        with torch.set_grad_enabled(name not in FROZEN):
            x = step(x)
        if name.replace("_", ".") in LAYERS:
            vectors.append(l2(gem(x, 3.0)))
    return vectors


def train(photos: Path, run: Path, sets: list[str], steps: int, until: int, start_from: Path | None, seed: int) -> None:
    run.mkdir(parents=True, exist_ok=True)
    network = create_backbone("efficientnet-lite0", LAYERS, "bundled").to(memory_format=torch.channels_last)
    for name, parameter in network.net.named_parameters():
        parameter.requires_grad_(not name.startswith(tuple(f"{frozen}." for frozen in FROZEN)))
    learned = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in learned if p.ndim > 1], "weight_decay": DECAY},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
        ]
    )
    if start_from is not None:
        averaged(network, start_from, 1.0)
    kept, start = run / "last.pt", 0
    if kept.is_file():
        state = torch.load(kept, weights_only=True)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        start = state["step"]
    found = gather(photos, sets, run)
    print(
        {kind: len(numbers) for kind, numbers in found.kinds.items()}, sum(map(len, found.pairs)), "pairs", flush=True
    )
    clock, losses = time.monotonic(), []
    for step, (groups, views) in enumerate(batches(found, start, until, seed), start):
        rate = RATE * min(1.0, (step + 1) / WARMUP) * (0.02 + 0.49 * (1 + math.cos(math.pi * step / steps)))
        for options in optimizer.param_groups:
            options["lr"] = rate
        count = len(groups)
        terms = [info_nce(v[:count], v[count:], labels=groups) for v in pooled(network, views)]
        loss = torch.stack(terms).sum(0).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(learned, 5.0)
        optimizer.step()
        losses.append(float(loss.detach()) / len(terms))
        if (step + 1) % 10 == 0:
            pace = (time.monotonic() - clock) / (step + 1 - start)
            print(f"step {step + 1} loss {np.mean(losses[-10:]):.3f} {pace:.2f} s a step", flush=True)
        if (step + 1) % 50 == 0 or step + 1 == until:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "step": step + 1}
            torch.save(state, kept.with_suffix(".new"))
            kept.with_suffix(".new").replace(kept)
    tensors = {name: value.numpy() for name, value in network.state_dict().items()}
    save_file(tensors, run / "network.safetensors")


def averaged(network: Backbone, learned: Path, share: float) -> None:
    """Move the weights of ``network`` to ``share`` of the learned ones and the rest of its own."""
    tensors = read_tensors(learned / "network.safetensors")
    own = network.state_dict()
    network.load_state_dict(
        {k: torch.lerp(v, tensors[k], share) if v.is_floating_point() else v for k, v in own.items()}
    )


def whiten(photos: Path, learned: Path | None, share: float) -> Path:
    recipe = read_recipe("default").to_dict()
    recipe.pop("learned", None)
    recipe["backbone"]["weights"] = "bundled"
    descriptor = assemble(Recipe.from_dict(recipe), {}, engine="torch", precision="float32")
    if learned is not None:
        averaged(descriptor.backbone, learned, share)
        halved = {
            k: v.half().float() if v.is_floating_point() else v for k, v in descriptor.backbone.state_dict().items()
        }
        descriptor.backbone.load_state_dict(halved)
    fitted = descriptor.fit([file for name in DISTINCT for file in database(photos, name)])
    tensors = {}
    for name, value in fitted.tensors().items():
        if name.startswith("projection."):
            tensors[name] = np.ascontiguousarray(value)
        elif learned is not None:
            tensors[name] = np.ascontiguousarray(value.astype(np.float16) if value.dtype.kind == "f" else value)
    path = recipe_path("default").with_suffix(".safetensors")
    save_file(tensors, path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    training, whitening = verbs.add_parser("train"), verbs.add_parser("whiten")
    for verb in (training, whitening):
        verb.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    training.add_argument("--to", type=Path, required=True, help="folder of the run")
    training.add_argument("--sets", nargs="+", default=SETS, choices=SETS)
    training.add_argument("--steps", type=int, default=600)
    training.add_argument("--until", type=int, help="stop after this step of --steps")
    training.add_argument("--start", type=Path, help="folder of a run whose weights are the first ones")
    training.add_argument("--seed", type=int, default=0)
    whitening.add_argument("--backbone", type=Path, help="folder of a training run; ImageNet's weights without it")
    whitening.add_argument("--share", type=float, default=0.5, help="of the learned weights in the average")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    tune_allocator()
    torch.manual_seed(0)
    if args.verb == "train":
        train(args.photos, args.to, list(args.sets), args.steps, args.until or args.steps, args.start, args.seed)
    else:
        print(whiten(args.photos, args.backbone, args.share))


if __name__ == "__main__":
    main()
