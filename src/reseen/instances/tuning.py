"""Tuning a backbone to tell references apart: InfoNCE between mild views and virtual photos, within a time."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from reseen.backbones import Backbone
from reseen.errors import TrainingError
from reseen.heads.base import l2
from reseen.heads.pooling import gem
from reseen.images import ordered_map
from reseen.instances.gallery import Rows
from reseen.instances.virtual import Pixels, Studio, Wish
from reseen.training.losses import info_nce

Batch = tuple[Tensor, Tensor]
"""Instances ``(n,)`` and photos ``uint8 (2 n, side, side, 3)``: n views, then n virtual photos of the same."""


@dataclass(frozen=True)
class Tuning:
    """How a backbone is tuned.

    Attributes:
        batches: side in pixels of the photos and pairs per step, in turn.
        rate, decay: of AdamW; the rate falls to 0 with the time (or the steps; cosine) after ``warmup`` steps.
        temperature: of InfoNCE.
        frozen: first steps of the backbone that stay as they are: edges and colours need no tuning, and are the
            slowest part.
        strangers: painted pictures that fill a batch up when there are few references, as a share of its pairs.
        clip: largest norm of the gradient.
        steps: at most, however much time there is.
    """

    batches: tuple[tuple[int, int], ...] = ((192, 48), (256, 28), (320, 18))
    rate: float = 3e-4
    decay: float = 1e-2
    warmup: int = 20
    temperature: float = 0.07
    frozen: int = 3
    strangers: float = 0.25
    clip: float = 5.0
    steps: int = 2000


def batch(studio: Studio, instance: Rows, rows: Rows, step: int, settings: Tuning, seed: int = 0) -> Batch:
    """The photos of one step.

    A pair is a mild view of a reference and a virtual photo of it, or of another photo of the same instance.

    Args:
        studio: makes the photos.
        instance: ``(n,)`` of each of the studio's rows.
        rows: those that may be learned from.
        step: fixes all chances, together with ``seed``.
        settings: sizes and numbers.
        seed: of all chances.
    """
    side, count = settings.batches[step % len(settings.batches)]
    rng = np.random.default_rng((seed, step))
    pairs: list[tuple[int, Pixels, Pixels]] = []
    for row in rng.permutation(rows)[:count].tolist():
        own = rows[instance[rows] == instance[row]]
        view = studio.make(Wish(row, "mild", step, (side, side)))
        photo = studio.make(Wish(int(rng.choice(own)), "virtual", step, (side, side)))
        if view is not None and photo is not None:
            pairs.append((int(instance[row]), view, photo))
    strangers = range(min(count - len(pairs), round(settings.strangers * count)))
    pairs += [(-1 - i, *studio.stranger(step * count + i, (side, side))) for i in strangers]
    numbers, views, photos = zip(*pairs, strict=True)
    return torch.tensor(numbers), torch.from_numpy(np.stack(views + photos))


def tune(
    backbone: Backbone,
    batches: Callable[[int], Batch],
    settings: Tuning,
    seconds: float,
    *,
    workers: int = 1,
    watch: Callable[[float, float], None] | None = None,
) -> tuple[Backbone, int]:
    """A tuned copy of a backbone, and how many steps there was time for.

    The loss is symmetric InfoNCE on the L2-normalised GeM (p = 3) of each layer that is read; pairs of one instance
    are not each other's negatives. Statistics of BatchNorm stay as they are.

    Args:
        backbone: is not changed.
        batches: makes the photos of a step; called in threads, ahead.
        settings: see :class:`Tuning`.
        seconds: after which no further step begins.
        workers: threads that make photos.
        watch: called after each step with (seconds so far, loss).

    Raises:
        TrainingError: the loss is not a number.
    """
    network = copy.deepcopy(backbone).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    learned = _unfrozen(network, settings.frozen)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in learned if p.ndim > 1], "weight_decay": settings.decay},
            {"params": [p for p in learned if p.ndim <= 1], "weight_decay": 0.0},
        ]
    )
    start = time.monotonic()
    steps = 0
    for instances, photos in ordered_map(batches, range(settings.steps), workers=workers, lookahead=2 * workers):
        spent = time.monotonic() - start
        if spent >= seconds:
            break
        for group in optimizer.param_groups:
            done = max(spent / seconds, steps / settings.steps)
            group["lr"] = settings.rate * rate_factor(done, steps, settings.warmup)
        loss = _loss(network, photos, instances, settings.temperature)
        if not torch.isfinite(loss):
            raise TrainingError(f"the loss is not a number at step {steps + 1}; the collection is as it was")
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learned, settings.clip)
        optimizer.step()
        steps += 1
        if watch is not None:
            watch(time.monotonic() - start, float(loss.detach()))
    return network, steps


def rate_factor(share: float, step: int, warmup: int) -> float:
    """What the rate is multiplied by when ``share`` of it is done: a cosine to 0, after a linear warm-up."""
    return min(1.0, (step + 1) / max(warmup, 1)) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _unfrozen(network: Backbone, frozen: int) -> list[nn.Parameter]:
    """The parameters to learn: all but those of the first steps of a chain."""
    chain = getattr(network, "net", None)
    steps = list(chain.children()) if isinstance(chain, nn.ModuleDict) else []
    for step in steps[: min(frozen, len(steps) - 1)]:
        step.requires_grad_(False)
    return [p for p in network.parameters() if p.requires_grad]


def _loss(network: Backbone, photos: Tensor, instances: Tensor, temperature: float) -> Tensor:
    x = network.normalise(photos).contiguous(memory_format=torch.channels_last)
    n = len(instances)
    terms = []
    for maps in network(x):
        vectors = l2(gem(maps, 3.0))
        terms.append(info_nce(vectors[:n], vectors[n:], temperature, instances).mean())
    return torch.stack(terms).mean()


def averaged(before: Backbone, after: Backbone, share: float) -> Backbone:
    """A backbone whose weights are ``share`` of the tuned ones and the rest of those before."""
    result = copy.deepcopy(before)
    tensors = after.state_dict()
    mixed = {
        name: torch.lerp(value, tensors[name].to(value), share) if value.is_floating_point() else value
        for name, value in before.state_dict().items()
    }
    result.load_state_dict(mixed)
    return result
