"""The museum paper's training: classifier, fully convolutional network, siamese network, region descriptor."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.backbones import Backbone
from reseen.collections.gallery import Gallery
from reseen.descriptor import Descriptor, Recipe
from reseen.errors import RecipeError, TrainingError
from reseen.heads import Head, create_head
from reseen.heads.base import l2
from reseen.heads.museum.classifier import Classifier, imagenet_network, instance_network, set_mode, train_from
from reseen.heads.museum.fcn import convolutional, fcn_loss
from reseen.heads.museum.regions import InstanceRegions, Logits, Siamese
from reseen.images import resize_to
from reseen.scenes.studio import Studio, Wish
from reseen.training.losses import dot_triplet
from reseen.training.mining.negatives import NONE, mine_negatives
from reseen.training.museum.augment import at_shortest, augment
from reseen.types import Pixels, Rows, Vectors


@dataclass(frozen=True)
class Stage:
    """One stage of training.

    Attributes:
        epochs: passes over the references.
        rate, decay, momentum: of SGD; ``fall`` multiplies the rate ``at`` these shares of the epochs.
        batch: photos (or triplets) per update; gradients of single photos are accumulated where sizes differ. The
            cross-entropies are averaged over it, triplet losses are summed (Eqs. 3.4 and 3.6).
        sides: short sides in pixels, each photo at every one; the classifier and the siamese network take the first
            as the exact size of both sides.
        aspect: limit of the long side over the short one, by noise.
        rotation: largest turn in degrees.
        virtual: how often a virtual photo stands for the reference.
        statistics: whether BatchNorm measures anew; not with single photos.
        margin: of the triplet loss. alpha: weight of the cross-entropy beside it.
        warm: epochs of semi-hard negatives before the hardest are taken.
    """

    epochs: int = 20
    rate: float = 1e-3
    decay: float = 5e-4
    momentum: float = 0.9
    fall: float = 0.1
    at: tuple[float, ...] = (0.7,)
    batch: int = 32
    sides: tuple[int, ...] = (224,)
    aspect: float = 2.0
    rotation: float = 45.0
    virtual: float = 0.0
    statistics: bool = False
    margin: float = 0.1
    alpha: float = 1.0
    warm: int = 2


@dataclass(frozen=True)
class Stages:
    """The recipe's ``[training.stages]``.

    Attributes:
        train: steps of the backbone that learn (with the linear layers); the others keep ImageNet's weights.
        classifier, fcn, siamese, regions: see :class:`Stage`.
    """

    train: tuple[str, ...] = ()
    classifier: Stage = field(default_factory=lambda: Stage(rate=1e-2, rotation=180.0, statistics=True))
    fcn: Stage = field(default_factory=Stage)
    siamese: Stage = field(default_factory=Stage)
    regions: Stage = field(default_factory=Stage)

    @classmethod
    def of(cls, recipe: Recipe) -> Stages:
        """From a recipe; RecipeError when it has no stages or names an unknown setting."""
        table = recipe.training.get("stages")
        if not isinstance(table, Mapping):
            raise RecipeError(f"recipe {recipe.name!r} has no [training.stages]: it is no instance search recipe")
        parts: dict[str, Any] = {}
        for name, value in table.items():
            try:
                parts[name] = Stage(**_frozen(value)) if isinstance(value, Mapping) else tuple(value)
            except TypeError as error:
                raise RecipeError(
                    f"recipe {recipe.name!r}, [training.stages.{name}]: {str(error).split('__init__() ')[-1]}"
                ) from None
        try:
            return cls(**parts)
        except TypeError as error:
            raise RecipeError(f"recipe {recipe.name!r}: {str(error).split('__init__() ')[-1]}") from None


def _frozen(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}


class Progress(NamedTuple):
    """Where training is: epochs done of a stage, its loss, and epochs done of all stages' total."""

    stage: str
    epoch: int
    epochs: int
    loss: float
    done: int = 0
    total: int = 0


Watch = Callable[[Progress], None]


class Trained(NamedTuple):
    """Descriptors of a collection's instances, by the paper's names; each can be saved and used like any other."""

    im: Descriptor
    ft: Descriptor
    siamese: Descriptor | None
    regions: Descriptor | None


def train_instances(
    recipe: Recipe,
    gallery: Gallery,
    *,
    weights: str | None = None,
    siamese: bool = True,
    regions: bool = True,
    seed: int = 0,
    watch: Watch | None = None,
) -> Trained:
    """Train a recipe of the museum paper on the references of a collection, stage by stage.

    Args:
        recipe: one with ``[training.stages]``, such as ``museum-lite0``.
        gallery: the instances; each photo is a file that can be read again.
        weights: of the backbone and its ImageNet classifier, instead of the recipe's.
        siamese, regions: which descriptors to train after the classifier.
        seed: of every choice.
        watch: called after each epoch.

    Raises:
        RecipeError: not such a recipe. WeightsMissing: the ImageNet weights are not here. TrainingError: one
            instance only, or a loss that is not a number.
    """
    if len(gallery) < 2:
        raise TrainingError(f"one instance only ({', '.join(gallery.names)}): a classifier needs two")
    stages = Stages.of(recipe)
    torch.manual_seed(seed)
    imagenet = imagenet_network(recipe.backbone.name, weights or recipe.backbone.weights, seed=seed)
    grid = int(recipe.head.get("grid", 7))
    views = Views(Studio(gallery.paths, seed=seed), gallery.instance, seed)
    used = [
        stages.classifier,
        *([stages.siamese] if siamese else []),
        *([stages.fcn, stages.regions] if regions else []),
    ]
    total, done = sum(stage.epochs for stage in used), 0

    def tell(progress: Progress) -> None:
        nonlocal done
        done += 1
        if watch is not None:
            watch(progress._replace(done=done, total=total))

    im = describe(
        recipe, imagenet.backbone, as_logits(imagenet, grid, ()), suffix="im", side=stages.classifier.sides[0]
    )
    network = instance_network(copy.deepcopy(imagenet), len(gallery))
    train_classifier(network, views, stages.classifier, stages.train, tell)
    ft = describe(
        recipe, network.backbone, as_logits(network, grid, gallery.names), suffix="ft", side=stages.classifier.sides[0]
    )
    found: dict[str, Descriptor | None] = {"siamese": None, "regions": None}
    if siamese:
        backbone = copy.deepcopy(network.backbone)
        head = Siamese(backbone.channels, grid=grid, dim=int(recipe.head.get("dim", 2048)))
        train_triplets(backbone, head, views, stages.siamese, stages.train, tell)
        found["siamese"] = describe(recipe, backbone, head, suffix="siamese", side=stages.siamese.sides[0])
    if regions:
        backbone = copy.deepcopy(network.backbone)
        logits = as_logits(network, grid, gallery.names)
        train_fcn(backbone, logits, views, stages.fcn, stages.train, tell)
        options = {key: value for key, value in recipe.head.items() if key != "kind"}
        region_head = create_head(
            "instance", backbone.channels, **{**options, "labels": gallery.names, "hidden": logits.hidden}
        )
        assert isinstance(region_head, InstanceRegions) and region_head.classifier is not None
        assert logits.classifier is not None
        region_head.classifier.load_state_dict(logits.classifier.state_dict())
        train_triplets(backbone, region_head, views, stages.regions, stages.train, tell)
        found["regions"] = describe(recipe, backbone, region_head)
    return Trained(im, ft, found["siamese"], found["regions"])


def as_logits(network: Classifier, grid: int, labels: Sequence[str]) -> Logits:
    """The head of a classifier made convolutional; its classes are ``labels``, or numbers when there are none."""
    channels = network.backbone.channels[0]
    linear = [module for module in network.linear if isinstance(module, nn.Linear)]
    hidden = tuple(module.out_features for module in linear[:-1])
    head = Logits([channels], grid=grid, labels=labels, classes=linear[-1].out_features, hidden=hidden)
    assert head.classifier is not None
    head.classifier.load_state_dict(convolutional(network.linear, channels, grid).state_dict())
    return head


def describe(
    recipe: Recipe, backbone: Backbone, head: Head, *, suffix: str = "", side: int | None = None
) -> Descriptor:
    """A descriptor of trained parts; ``side`` makes photos exactly that square, else the recipe's rule holds."""
    images = recipe.images
    if side is not None:
        images = replace(images, exact=(side, side), shortest=None, aspect=None, fill=None)
    made = replace(
        recipe,
        name=f"{recipe.name}-{suffix}" if suffix else recipe.name,
        images=images,
        head={"kind": head.kind, **head.options},
        projection=(),
    )
    return Descriptor(made, backbone.eval().requires_grad_(False), head.eval().requires_grad_(False))


class Views:
    """Training views of references.

    Args:
        studio: gives references and virtual photos.
        instance: ``(n,)`` of each of its rows.
        seed: of all chances.
    """

    def __init__(self, studio: Studio, instance: Rows, seed: int = 0) -> None:
        self.studio, self.instance, self.seed = studio, instance, seed

    def usable(self) -> Rows:
        """Rows whose photo can be read; TrainingError when there are none of two instances."""
        rows = np.array([i for i in range(len(self.instance)) if self.studio.reference(i) is not None], np.int64)
        if len(np.unique(self.instance[rows])) < 2:
            raise TrainingError("photos of two instances at least must be readable")
        return rows

    def square(self, row: int, draw: int, stage: Stage) -> Pixels:
        """A view of exactly the first side in both directions, as classifiers take it."""
        rng = np.random.default_rng((self.seed, 11, row, draw))
        side = stage.sides[0]
        return resize_to(self._changed(row, draw, stage, rng), side, side)

    def whole(self, row: int, draw: int, stage: Stage, side: int) -> Pixels:
        """A whole view with its short side at ``side`` and its aspect limited."""
        rng = np.random.default_rng((self.seed, 12, row, draw))
        return at_shortest(self._changed(row, draw, stage, rng), side, rng, stage.aspect)

    def plain(self, row: int, stage: Stage, *, square: bool) -> Pixels:
        """The reference itself, as descriptors see it."""
        pixels = self._reference(row)
        side = stage.sides[0]
        if square:
            return resize_to(pixels, side, side)
        return at_shortest(pixels, side, np.random.default_rng((self.seed, row)), stage.aspect)

    def _reference(self, row: int) -> Pixels:
        pixels = self.studio.reference(row)
        assert pixels is not None
        return pixels

    def _changed(self, row: int, draw: int, stage: Stage, rng: np.random.Generator) -> Pixels:
        reference = self._reference(row)
        if rng.random() < stage.virtual:
            short = max(stage.sides)
            size = (round(4 / 3 * short), short)
            made = self.studio.make(
                Wish(row, "virtual", draw, size if reference.shape[1] >= reference.shape[0] else size[::-1])
            )
            assert made is not None
            return made
        return augment(reference, rng, rotation=stage.rotation)


def train_classifier(network: Classifier, views: Views, stage: Stage, steps: Sequence[str], watch: Watch) -> Classifier:
    """Stage 1: cross-entropy over the instances, in batches of square photos (Section 3.1)."""
    learned = train_from(network, steps)
    rows = views.usable()
    optimizer = _sgd(learned, stage)
    for epoch in range(stage.epochs):
        set_mode(network, statistics=stage.statistics)
        _rate(optimizer, stage, epoch)
        total = 0.0
        for group in _groups(rows, stage.batch, views.seed + epoch):
            photos = np.stack([views.square(int(row), epoch, stage) for row in group])
            outputs = network(network.backbone.normalise(torch.from_numpy(photos)))
            loss = F.cross_entropy(outputs, torch.from_numpy(views.instance[group]))
            optimizer.zero_grad()
            _finite(loss, "classifier").backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += float(loss.detach()) * len(group)
        watch(Progress("classifier", epoch + 1, stage.epochs, total / len(rows)))
    network.eval()
    return network


def train_fcn(backbone: Backbone, head: Logits, views: Views, stage: Stage, steps: Sequence[str], watch: Watch) -> None:
    """Stage 2: whole photos at every scale, one at a time, gradients accumulated over a batch (Section 3.4.1)."""
    network = Classifier(backbone, nn.Sequential(head))
    learned = train_from(network, steps)
    rows = views.usable()
    optimizer = _sgd(learned, stage)
    for epoch in range(stage.epochs):
        set_mode(network, statistics=False)
        _rate(optimizer, stage, epoch)
        total = 0.0
        for group in _groups(rows, stage.batch, views.seed + epoch):
            optimizer.zero_grad()
            for row in group.tolist():
                right = torch.from_numpy(views.instance[[row]])
                outputs = [
                    head.activations(_maps(backbone, views.whole(row, epoch, stage, side))) for side in stage.sides
                ]
                loss = fcn_loss(outputs, right)
                (_finite(loss, "fcn") / len(group)).backward()  # type: ignore[no-untyped-call]
                total += float(loss.detach())
            optimizer.step()
        watch(Progress("fcn", epoch + 1, stage.epochs, total / len(rows)))
    network.eval()


def train_triplets(
    backbone: Backbone,
    head: Siamese | InstanceRegions,
    views: Views,
    stage: Stage,
    steps: Sequence[str],
    watch: Watch,
) -> None:
    """The siamese network and the region descriptor (Sections 3.2 and 3.4.2, Eqs. 3.4 and 3.6).

    Couples are all pairs of photos of one instance, a photo with itself included (in two views). Negatives are
    chosen before each pass from the vectors of all references: semi-hard ones for ``warm`` passes, then the hardest.
    Every triplet is seen in views of its own. Triplet losses are summed over the batch; the region descriptor adds
    the mean over the batch of the cross-entropy of the anchor's places.
    """
    network = nn.ModuleDict({"backbone": backbone, "head": head})
    learned = train_from(Classifier(backbone, nn.Sequential(head)), steps)
    rows = views.usable()
    optimizer = _sgd(learned, stage)
    square = isinstance(head, Siamese)
    name = "siamese" if square else "regions"
    draw = itertools.count()
    for epoch in range(stage.epochs):
        triplets = choose_triplets(
            reference_vectors(backbone, head, views, rows, stage),
            views.instance[rows],
            semi_hard=epoch < stage.warm,
            seed=views.seed + epoch,
        )
        set_mode(network, statistics=False)
        _rate(optimizer, stage, epoch)
        total = 0.0
        for group in _groups(np.arange(len(triplets)), stage.batch, views.seed + epoch):
            optimizer.zero_grad()
            for triplet in rows[triplets[group]].tolist():
                seen = [
                    views.square(row, next(draw), stage)
                    if square
                    else views.whole(row, next(draw), stage, stage.sides[0])
                    for row in triplet
                ]
                ranked, named = _triplet_losses(backbone, head, seen, int(views.instance[triplet[0]]), stage)
                _finite(ranked + stage.alpha * named / len(group), name).backward()  # type: ignore[no-untyped-call]
                total += float(ranked.detach()) + stage.alpha * float(named.detach())
            optimizer.step()
        watch(Progress(name, epoch + 1, stage.epochs, total / max(1, len(triplets))))
    network.eval()


def _triplet_losses(
    backbone: Backbone, head: Siamese | InstanceRegions, seen: Sequence[Pixels], instance: int, stage: Stage
) -> tuple[Tensor, Tensor]:
    """Of one triplet: the ranking loss, and the anchor's cross-entropy averaged over its places (0 for a siamese)."""
    maps = [_maps(backbone, pixels) for pixels in seen]
    if isinstance(head, Siamese):
        anchor, positive, negative = (head(m) for m in maps)
        return dot_triplet(anchor, positive, negative, stage.margin).sum(), torch.zeros(())
    described = [head.describe(m) for m in maps]
    anchor, positive, negative = (l2(vector) for vector, _ in described)
    anchor_places = described[0][1][0]
    named = F.cross_entropy(anchor_places, torch.full((len(anchor_places),), instance))
    return dot_triplet(anchor, positive, negative, stage.margin).sum(), named


def choose_triplets(vectors: Vectors, instance: Rows, *, semi_hard: bool, seed: int = 0) -> NDArray[np.int64]:
    """Triplets ``(t, 3)`` of rows: all couples of an instance, each with its negative (Section 3.2.3).

    Semi-hard: the hardest negative that is easier than the couple; couples without one are left out.
    """
    couples = np.array([(a, p) for i in np.unique(instance) for a in _own(instance, i) for p in _own(instance, i)])
    anchors, positives = couples.T
    chosen = mine_negatives(
        "semi-hard" if semi_hard else "hardest",
        vectors[anchors],
        instance[anchors],
        vectors,
        instance,
        1,
        positives=vectors[positives],
        margin=4.0,  # in squared distance: every farther photo counts
        seed=seed,
    )[:, 0]
    kept = chosen != NONE
    return np.stack([anchors[kept], positives[kept], chosen[kept]], 1)


def _own(instance: Rows, i: int) -> list[int]:
    return np.flatnonzero(instance == i).tolist()


def reference_vectors(
    backbone: Backbone, head: Siamese | InstanceRegions, views: Views, rows: Rows, stage: Stage
) -> Vectors:
    """Vectors of the references as they are: ``(n, dim)``, unit rows."""
    backbone.eval()
    head.eval()
    square = isinstance(head, Siamese)
    with torch.no_grad():
        photos = (views.plain(row, stage, square=square) for row in rows.tolist())
        return np.concatenate([head(_maps(backbone, pixels)).numpy() for pixels in photos])


def _maps(backbone: Backbone, pixels: Pixels) -> list[Tensor]:
    maps: list[Tensor] = backbone(backbone.normalise(torch.from_numpy(pixels[None])))
    return maps


def _sgd(learned: list[nn.Parameter], stage: Stage) -> torch.optim.SGD:
    return torch.optim.SGD(learned, stage.rate, stage.momentum, weight_decay=stage.decay)


def _rate(optimizer: torch.optim.Optimizer, stage: Stage, epoch: int) -> None:
    falls = sum(epoch >= math.ceil(share * stage.epochs) for share in stage.at)
    for group in optimizer.param_groups:
        group["lr"] = stage.rate * stage.fall**falls


def _groups(rows: Rows, size: int, seed: int) -> Iterator[Rows]:
    order = np.random.default_rng(seed).permutation(rows)
    for start in range(0, len(order), size):
        yield order[start : start + size]


def _finite(loss: Tensor, stage: str) -> Tensor:
    if not torch.isfinite(loss):
        raise TrainingError(f"stage {stage!r}: the loss is not a number; lower its rate")
    return loss
