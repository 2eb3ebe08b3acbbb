"""The settings of training: the recipe's ``[training]`` table, field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, get_args

from reseen.errors import RecipeError
from reseen.images import Exact, Longest, ResizeRule
from reseen.training.mining.negatives import Rule
from reseen.training.mining.selection import MINIMUM, Agreement


@dataclass(frozen=True)
class Views:
    """How training photos are seen.

    Attributes:
        longest: longest side in pixels (aspect kept, never enlarged); or
        exact: ``(width, height)``, swapped for portraits. Neither: as the recipe's ``[images]``.
        virtual: ``(width, height)`` of virtual photos and of the mild views that they match, used as they are.
        flip: how often a photo is mirrored.
        crop: shares of each side that a random crop keeps, ``(least, most)``; aspect kept.
        light: largest relative change of light and of each channel.
        scale: range of a random change of size, ``(least, most)``.
    """

    longest: int | None = None
    exact: tuple[int, int] | None = None
    virtual: tuple[int, int] = (224, 224)
    flip: float = 0.0
    crop: tuple[float, float] = (1.0, 1.0)
    light: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)

    def rule(self, default: ResizeRule) -> ResizeRule:
        """The resize rule, ``default`` when none is set here."""
        if self.exact is not None:
            return Exact(*self.exact)
        return Longest(self.longest) if self.longest is not None else default


@dataclass(frozen=True)
class Pairs:
    """Which photos become queries and positives, when the training set does not say.

    Attributes:
        rule: ``given`` (the set's own pairs; random ones within the clusters of a set that gives none), ``random``
            (within all clusters), ``m1``, ``m2`` or ``m3``.
        per_cluster: random pairs of each cluster.
        farthest: distance from the middle photo of its cluster beyond which a photo gives no random pair, measured with
            the starting network; 0 for any.
        inliers: ``(least, most)`` RANSAC inliers of SIFT matches, at 640 px, a random pair must have; () for any.
        model: what the inliers agree with: ``affine``, ``homography``, ``fundamental`` (a matrix of any scene), or
            ``geometry`` (re-ranking's own verification).
        share, most: share of each cluster that become queries, and their largest number (``m1``..``m3``).
        pool: photos with the closest cameras among which the positive is chosen (``m1``..``m3``).
        overlap, scale_change: of ``m3``.
        candidates: photos of each cluster added to the pool of negatives; 0 for all photos.
    """

    rule: str = "given"
    per_cluster: int = 50
    farthest: float = 0.0
    inliers: tuple[int, ...] = ()
    model: Agreement = "affine"
    share: float = 0.1
    most: int = 30
    pool: int = 100
    overlap: float = 0.2
    scale_change: float = 1.5
    candidates: int = 0


@dataclass(frozen=True)
class Negatives:
    """Which photos a query is set against.

    Attributes:
        rule: ``given``, ``none`` (``info-nce``, pytorch-metric-learning's losses), or one of mining's rules.
        count: negatives per tuple.
        source: ``pool``, photos that are encoded for mining; ``batch``, the other photos of the batch.
        every: tuples after which they are mined again with the current network; 0 for once per epoch.
        margin: of ``semi-hard``.
        pool: photos drawn anew at each mining among the candidates; 0 for all of them.
        warm: epochs of ``semi-hard`` before ``rule`` is followed.
    """

    rule: str = "n2"
    count: int = 5
    source: str = "pool"
    every: int = 0
    margin: float = 0.1
    pool: int = 0
    warm: int = 0


@dataclass(frozen=True)
class Schedule:
    """Learning rate over the run: ``constant``; ``step`` (times ``factor`` every ``every`` epochs);
    ``exponential`` (times ``factor`` each epoch); ``cosine`` to 0, per update, after ``warmup`` updates.
    """

    kind: str = "constant"
    every: int = 10
    factor: float = 0.2
    warmup: int = 0


@dataclass(frozen=True)
class TrainingSettings:
    """Everything that decides what a run learns; saved with the run.

    Attributes:
        loss: ``kind`` and the loss's own settings.
        reduction: ``sum`` over the terms of a batch, ``mean`` over its tuples, or over its ``pairs``: of each tuple the
            matching one and one for each negative.
        optimizer: ``kind`` (``sgd``, ``adam``, ``adamw``) and its own settings.
        lr: learning rate. lr_head: its factor for the head's parameters.
        weight_decay: decay; none for the head's vectors and scalars (p, biases), nor for ``Head.undecayed`` (alpha, log
            sigma, the mixture's weights).
        schedule: see :class:`Schedule`.
        epochs: at most.
        tuples_per_epoch: drawn anew each epoch; 0 for all.
        batch: tuples per update.
        tuples_per_pass: tuples whose maps are in memory at once, for losses that are sums over tuples; 0: all.
        photos_per_pass: photos whose maps are in memory at once; above it a batch is encoded twice. 0: all.
        views, pairs, negatives: see their classes.
        freeze: beginnings of parameter names that are not trained, e.g. ``backbone.net.stem``.
        freeze_norm: scales and shifts of BatchNorm stay too (its statistics always do).
        precision: ``float32`` or ``bfloat16`` (autocast).
        checkpointing: recompute the backbone's steps in the backward pass, to save memory.
        clip: largest norm of the gradient; 0 for none.
        validation: share of the clusters held out when no validation set is given; 0 for none.
        validation_negatives: photos of other clusters, mined with the network, that a validation query's positives are
            ranked with; 0 for all photos.
        patience: epochs without a better validation after which training stops; 0 for never.
        average: share of the starting weights in the result (0.5: halfway between start and best).
        fit_photos: photos that codebooks, and the whitening a linear layer starts as, are learned from before training;
            0 for all.
        fit_pairs: training pairs that KL weights and, afterwards, the projection are learned from; 0 for all.
        project: whether the recipe's projection is learned on the training pairs afterwards.
        seed: of every choice.
    """

    loss: Mapping[str, Any] = field(default_factory=lambda: {"kind": "contrastive"})
    reduction: str = "sum"
    optimizer: Mapping[str, Any] = field(default_factory=lambda: {"kind": "sgd"})
    lr: float = 1e-3
    lr_head: float = 1.0
    weight_decay: float = 5e-4
    schedule: Schedule = field(default_factory=Schedule)
    epochs: int = 30
    tuples_per_epoch: int = 0
    batch: int = 5
    tuples_per_pass: int = 0
    photos_per_pass: int = 0
    views: Views = field(default_factory=Views)
    pairs: Pairs = field(default_factory=Pairs)
    negatives: Negatives = field(default_factory=Negatives)
    freeze: tuple[str, ...] = ()
    freeze_norm: bool = False
    precision: str = "float32"
    checkpointing: bool = False
    clip: float = 0.0
    validation: float = 0.1
    validation_negatives: int = 0
    patience: int = 0
    average: float = 0.0
    fit_photos: int = 0
    fit_pairs: int = 0
    project: bool = True
    seed: int = 0

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> TrainingSettings:
        """Settings from a recipe's table; RecipeError names an unknown or impossible one."""
        parts: dict[str, type[Any]] = {
            "views": Views,
            "pairs": Pairs,
            "negatives": Negatives,
            "schedule": Schedule,
        }
        values: dict[str, Any] = {}
        known = {f.name for f in fields(cls)}
        for key, value in table.items():
            if key not in known:
                raise RecipeError(f"[training] does not know {key!r}; it knows {', '.join(sorted(known))}")
            values[key] = _section(key, parts[key], value) if key in parts else _frozen(value)
        settings = cls(**values)
        settings.check()
        return settings

    def check(self) -> None:
        """RecipeError when a setting is impossible."""
        choices = {
            "reduction": (self.reduction, ("sum", "mean", "pairs")),
            "precision": (self.precision, ("float32", "bfloat16")),
            "optimizer.kind": (self.optimizer.get("kind"), ("sgd", "adam", "adamw")),
            "schedule.kind": (self.schedule.kind, ("constant", "step", "exponential", "cosine")),
            "pairs.model": (self.pairs.model, tuple(MINIMUM)),
            "pairs.rule": (self.pairs.rule, ("given", "random", "m1", "m2", "m3")),
            "negatives.source": (self.negatives.source, ("pool", "batch")),
            "negatives.rule": (self.negatives.rule, ("given", "none", *get_args(Rule))),
        }
        for name, (value, allowed) in choices.items():
            if value not in allowed:
                raise RecipeError(f"[training] {name} = {value!r} is not one of {', '.join(allowed)}")
        if self.negatives.source == "batch" and self.negatives.rule not in get_args(Rule):
            raise RecipeError(f"[training.negatives] rule = {self.negatives.rule!r} mines nothing in the batch")
        if "kind" not in self.loss:
            raise RecipeError("[training.loss] needs a kind")
        if self.loss["kind"] in ("contrastive", "triplet") and (
            self.negatives.rule == "none" or self.negatives.count < 1
        ):
            raise RecipeError(
                f"[training] the loss {self.loss['kind']!r} learns from negatives and negatives.rule = "
                f"{self.negatives.rule!r}, count = {self.negatives.count} give none: set them, or take 'info-nce'"
            )
        inliers, own = self.pairs.inliers, MINIMUM[self.pairs.model]
        if inliers and (len(inliers) != 2 or not own < inliers[0] <= inliers[1]):
            raise RecipeError(
                f"[training.pairs] inliers = {list(inliers)} is not [least, most] with least above {own}: any {own} "
                f"matches agree with a model of kind {self.pairs.model!r}"
            )
        positive = {"lr": self.lr, "epochs": self.epochs, "batch": self.batch}
        for name, number in positive.items():
            if not number > 0:
                raise RecipeError(f"[training] {name} = {number} must be above 0")
        for name, most in {"fit_photos": self.fit_photos, "fit_pairs": self.fit_pairs}.items():
            if most < 0:
                raise RecipeError(f"[training] {name} = {most} must be 0 (all) or above")
        for name, share in {"average": self.average, "validation": self.validation}.items():
            if not 0 <= share < 1:
                raise RecipeError(f"[training] {name} = {share} must be in 0..1")

    def to_dict(self) -> dict[str, Any]:
        """Plain tables, for JSON."""
        return asdict(self)


def _section(name: str, cls: type[Any], table: Any) -> Any:
    if not isinstance(table, Mapping):
        raise RecipeError(f"[training] {name} must be a table")
    try:
        return cls(**{key: _frozen(value) for key, value in table.items()})
    except TypeError as error:
        raise RecipeError(f"[training.{name}]: {str(error).split('__init__() ')[-1]}") from None


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def differences(saved: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One line per setting that differs: ``name: saved -> now``."""
    lines = []
    for key in sorted({*saved, *now}):
        old, new = saved.get(key), now.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            lines += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            lines.append(f"{prefix}{key}: {old!r} -> {new!r}")
    return lines
