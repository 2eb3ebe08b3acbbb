"""One real training step of each full-size recipe on random weights: time, memory, arithmetic.

``python benchmarks/training_step.py`` runs every recipe that trains, each in a process of its own, so that the
peak of memory is its own. One tuple (the recipe's own number of negatives) at the recipe's training size goes
through the network, the loss and the optimizer; the second step is timed. Its arithmetic is three times that of
the forward pass; the limit is what the machine reaches on large matrix products of the same precision.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from reseen.descriptor import load
from reseen.descriptor.recipes import list_recipes, read_recipe
from reseen.training.losses import Tuples, create_loss
from reseen.training.network import BatchGradient, Network, create_optimizer
from reseen.training.settings import TrainingSettings


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def arithmetic_limit(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product."""
    n = 8192 if device.type == "cuda" else 2048
    a = torch.randn(n, n, device=device, dtype=dtype)
    a @ a
    synchronise(device)
    started = time.perf_counter()
    for _ in range(4):
        a @ a
    synchronise(device)
    return 4 * 2 * n**3 / (time.perf_counter() - started)


def measure(name: str, device: torch.device, changes: dict[str, object]) -> dict[str, object]:
    recipe = read_recipe(name)
    settings = TrainingSettings.from_table({**recipe.training, **changes})
    descriptor = load(name, weights="random")
    rule = settings.views.rule(recipe.images.rule)
    width, height = rule.target(1600, 1200)
    random = np.random.default_rng(0)
    negatives = settings.negatives.count if settings.negatives.rule != "none" else 0
    photos = [random.integers(0, 255, (height, width, 3), dtype=np.uint8) for _ in range(2 + negatives)]
    tuples = Tuples(
        torch.tensor([0]),
        torch.tensor([1]),
        torch.arange(2, 2 + negatives)[None],
        torch.tensor([0, 0, *range(1, 1 + negatives)]),
    )
    head = descriptor.head
    if not head.fitted:
        with torch.no_grad():
            corner = torch.from_numpy(photos[0][:512, :512][None])
            maps = descriptor.backbone(descriptor.backbone.normalise(corner))
        head.fit([([m.expand(1, -1, -1, -1) for m in maps], None)])
    options = {key: value for key, value in settings.loss.items() if key != "kind"}
    loss = create_loss(settings.loss["kind"], classes=2, dim=head.dim, **options)
    network = Network(descriptor.backbone, head, loss).to(device)
    network.configure(settings)
    optimizer = create_optimizer(network, settings)
    gradient = BatchGradient(network, settings)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        started = time.perf_counter()
        gradient(photos, tuples)
        optimizer.step()
        network.head.constrain()
        synchronise(device)
        return time.perf_counter() - started

    step()
    seconds = step()
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
    else:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    dtype = torch.bfloat16 if settings.precision == "bfloat16" else torch.float32
    limit = arithmetic_limit(device, dtype)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        for pixels in photos:
            network(torch.from_numpy(pixels[None]).to(device))
    flop = 3 * counter.get_total_flops()
    return {
        "recipe": name,
        "photos": f"{len(photos)} x {width}x{height}",
        "parameters_m": round(sum(p.numel() for p in network.parameters()) / 1e6, 1),
        "gflop": round(flop / 1e9),
        "seconds": round(seconds, 3),
        "tuples_per_s": round(1 / seconds, 3),
        "limit_tuples_per_s": round(limit / flop, 3),
        "peak_gib": round(peak / 2**30, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", help="by default all that train")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--set", default="{}", help="JSON of [training] settings, e.g. '{\"checkpointing\": true}'")
    parser.add_argument("--one", action="store_true", help="measure in this process and print JSON")
    arguments = parser.parse_args()
    names = arguments.recipes or [name for name in list_recipes() if "loss" in read_recipe(name).training]
    if arguments.one:
        print(json.dumps(measure(names[0], torch.device(arguments.device), json.loads(arguments.set))))
        return
    print("| recipe | photos | parameters, M | GFLOP | s a step | tuples/s | limit | peak GiB |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        command = [sys.executable, __file__, "--one", name, "--device", arguments.device, "--set", arguments.set]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
            print(f"| {name} | did not run: {reason[:100]} |", flush=True)
            continue
        row = json.loads(done.stdout.strip().splitlines()[-1])
        print("| " + " | ".join(str(value) for value in row.values()) + " |", flush=True)


if __name__ == "__main__":
    main()
