"""The network in training: backbone and head, statistics frozen, and the update of one batch."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from reseen.backbones import Backbone
from reseen.errors import RecipeError, TrainingError
from reseen.heads import Head
from reseen.training.distributed import Workers
from reseen.training.losses import Loss, Tuples
from reseen.training.settings import Schedule, TrainingSettings
from reseen.types import Pixels

NORMS = (nn.modules.batchnorm._BatchNorm,)


class Network(nn.Module):
    """Photos of any sizes -> unit vectors, with gradients; statistics of BatchNorm stay as they are."""

    def __init__(self, backbone: Backbone, head: Head, loss: Loss) -> None:
        super().__init__()
        self.backbone, self.head, self.loss = backbone, head, loss
        self.eval()

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return self.backbone.mean.device

    def forward(self, pixels: Tensor) -> Tensor:
        """``uint8 (B, H, W, 3)`` -> unit vectors ``(B, D)`` float32."""
        maps = self.backbone(self.backbone.normalise(pixels))
        vectors: Tensor = self.head(maps)
        return vectors

    def configure(self, settings: TrainingSettings) -> None:
        """Freeze what is not trained; recompute the backbone's steps in the backward pass when asked."""
        for name, parameter in self.named_parameters():
            if settings.freeze and name.startswith(settings.freeze):
                parameter.requires_grad_(False)
        for module in self.modules():
            if isinstance(module, NORMS):
                module.eval()
                if settings.freeze_norm:
                    for parameter in module.parameters():
                        parameter.requires_grad_(False)
        if settings.checkpointing:
            for step in getattr(self.backbone, "net", self.backbone).children():
                step.forward = functools.partial(checkpoint, step.forward, use_reentrant=False)
        if not any(p.requires_grad for p in self.parameters()):
            raise RecipeError("[training] freeze leaves nothing to train")


def parameter_groups(network: Network, settings: TrainingSettings) -> list[dict[str, Any]]:
    """Parameters by learning rate and decay: the head's vectors, scalars and :attr:`Head.undecayed` do not decay."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = settings.lr * (1.0 if name.startswith("backbone.") else settings.lr_head)
        spared = name.removeprefix("head.") in network.head.undecayed
        decays = name.startswith("backbone.") or (parameter.dim() > 1 and not spared)
        key = (rate, settings.weight_decay if decays else 0.0)
        groups.setdefault(key, []).append(parameter)
    return [{"params": members, "lr": rate, "weight_decay": decay} for (rate, decay), members in groups.items()]


def create_optimizer(network: Network, settings: TrainingSettings) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW with the recipe's own settings."""
    options = {key: value for key, value in settings.optimizer.items() if key != "kind"}
    kinds: dict[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": torch.optim.SGD,
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    try:
        return kinds[settings.optimizer["kind"]](parameter_groups(network, settings), **options)
    except TypeError as error:
        raise RecipeError(f"[training.optimizer]: {error}") from None


def rate_factor(schedule: Schedule, epoch: int, update: int, updates: int) -> float:
    """What the learning rate is multiplied by in ``epoch`` (from 0) at ``update`` (from 0) of all ``updates``."""
    warm = min(1.0, (update + 1) / schedule.warmup) if schedule.warmup else 1.0
    if schedule.kind == "step":
        return float(warm * schedule.factor ** (epoch // schedule.every))
    if schedule.kind == "exponential":
        return float(warm * schedule.factor**epoch)
    if schedule.kind == "cosine":
        done = max(0, update - schedule.warmup) / max(1, updates - schedule.warmup)
        return float(warm * 0.5 * (1 + np.cos(np.pi * min(1.0, done))))
    return warm


class BatchValue(NamedTuple):
    """Of one worker's share of a batch: loss, terms it sums, terms that are not zero."""

    loss: float
    terms: int
    active: int


class BatchGradient:
    """Adds the gradient of a batch's loss to the parameters, in passes that fit the memory.

    With several workers each is called with its own share of the tuples when the loss is a sum over tuples, else with
    the whole batch, of which it encodes its share of the photos.

    A loss that is a sum over tuples is taken a few tuples at a time. For another, or when photos do not fit, the
    vectors are computed first without a graph, the loss is differentiated by the vectors, and the photos pass again
    with a graph, a few at a time: the gradient is the same.
    """

    def __init__(self, network: Network, settings: TrainingSettings, group: Workers | None = None) -> None:
        self.network, self.settings = network, settings
        self.group = group or Workers()

    def __call__(self, photos: Sequence[Pixels], tuples: Tuples, scale: float = 1.0) -> BatchValue:
        """``photos`` are the N rows that ``tuples`` speak of; ``scale`` multiplies the gradient."""
        with memory_advice():
            if not self.network.loss.separable:
                return self._whole(photos, tuples, scale)
            mine = list(self.group.share(len(tuples)))
            size = self.settings.tuples_per_pass or max(1, len(mine))
            values = [self._pass(*select(photos, tuples, mine[i : i + size]), scale) for i in range(0, len(mine), size)]
            return (
                BatchValue(*(sum(column) for column in zip(*values, strict=True))) if values else BatchValue(0.0, 0, 0)
            )

    def _autocast(self) -> Any:
        if self.settings.precision == "float32":
            return nullcontext()
        return torch.autocast(self.network.device.type, dtype=torch.bfloat16)

    def _encode(self, photos: Sequence[Pixels], places: Sequence[int]) -> Tensor:
        """Vectors of the photos at ``places``, those of equal size together; in the order of ``places``."""
        device = self.network.device
        order: list[int] = []
        found = []
        for group in by_shape(photos, places):
            batch = torch.from_numpy(np.stack([photos[i] for i in group])).to(device)
            with self._autocast():
                found.append(self.network(batch).float())
            order += group
        position = {place: row for row, place in enumerate(order)}
        return torch.cat(found)[[position[place] for place in places]]

    def _pass(self, photos: Sequence[Pixels], tuples: Tuples, scale: float) -> BatchValue:
        everyone = list(range(len(photos)))
        limit = self.settings.photos_per_pass
        if limit and len(everyone) > limit:
            return self._twice(photos, tuples, scale, everyone)
        value = self.network.loss(self._encode(photos, everyone), tuples.to(self.network.device))
        if value.terms:
            (value.total * scale).backward()
        return BatchValue(float(value.total.detach()), value.terms, value.active)

    def _whole(self, photos: Sequence[Pixels], tuples: Tuples, scale: float) -> BatchValue:
        if self.group.count == 1:
            return self._pass(photos, tuples, scale)
        value = self._twice(photos, tuples, scale, list(self.group.share(len(photos))))
        return value if self.group.first else BatchValue(0.0, 0, 0)

    def _twice(self, photos: Sequence[Pixels], tuples: Tuples, scale: float, mine: list[int]) -> BatchValue:
        """First the vectors, then the gradient of this worker's photos."""
        chunks = list(self._chunks(photos, mine))
        with torch.no_grad():
            rows = torch.cat([self._encode(photos, chunk) for chunk in chunks]) if chunks else None
        placed = [place for chunk in chunks for place in chunk]
        width = self.network.head.dim
        vectors = torch.zeros(len(photos), width, device=self.network.device)
        if rows is not None:
            vectors[placed] = rows
        if len(mine) < len(photos):
            self.group.sum(vectors)
        vectors.requires_grad_()
        value = self.network.loss(vectors, tuples.to(self.network.device))
        if value.terms:
            own = [p for p in self.network.loss.parameters() if p.requires_grad]
            gradients = torch.autograd.grad(value.total * scale, [vectors, *own], allow_unused=True)
            by_vector = gradients[0]
            if self.group.first:
                for parameter, gradient in zip(own, gradients[1:], strict=True):
                    if gradient is not None:
                        parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient
            if by_vector is not None:
                for chunk in chunks:
                    torch.autograd.backward([self._encode(photos, chunk)], [by_vector[chunk]])
        return BatchValue(float(value.total.detach()), value.terms, value.active)

    def _chunks(self, photos: Sequence[Pixels], places: Sequence[int]) -> Iterator[list[int]]:
        limit = self.settings.photos_per_pass or len(photos)
        for group in by_shape(photos, places):
            for i in range(0, len(group), limit):
                yield group[i : i + limit]


def by_shape(photos: Sequence[Pixels], places: Sequence[int]) -> list[list[int]]:
    """Places grouped by the size of their photo."""
    groups: dict[tuple[int, ...], list[int]] = {}
    for place in places:
        groups.setdefault(photos[place].shape, []).append(place)
    return list(groups.values())


def select(photos: Sequence[Pixels], tuples: Tuples, rows: Sequence[int]) -> tuple[list[Pixels], Tuples]:
    """Some of the tuples, and only the photos that they name, numbered anew."""
    chosen = torch.as_tensor(list(rows))
    parts = [tuples.query[chosen], tuples.positive[chosen], tuples.negatives[chosen]]
    used = torch.unique(torch.cat([p.flatten() for p in parts]))
    used = used[used >= 0]
    number = torch.full((len(photos) + 1,), -1, dtype=torch.int64)
    number[used] = torch.arange(len(used))
    query, positive, negatives = (number[p] for p in parts)
    return [photos[i] for i in used.tolist()], Tuples(query, positive, negatives, tuples.labels[used])


@contextmanager
def memory_advice() -> Iterator[None]:
    """Out of memory becomes a TrainingError that says what to lower."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        text = str(error)
        if not isinstance(error, torch.OutOfMemoryError | MemoryError) and not any(
            sign in text for sign in ("out of memory", "not enough memory", "can't allocate memory")
        ):
            raise
        raise TrainingError(
            "out of memory: lower tuples_per_pass or photos_per_pass (the gradient stays the same), set "
            'checkpointing = true or precision = "bfloat16", or lower the photos\' size under [training.views]'
        ) from error
