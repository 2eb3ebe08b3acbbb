"""Losses of the papers, each a pure function of unit vectors, and their form for a batch of tuples.

A batch holds the vectors of N different photos and :class:`Tuples`, which says by row number which of
them are queries, their positives and their negatives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reseen.errors import RecipeError
from reseen.training.mining.negatives import NONE, Rule, mine_negatives

DISTANCE_FLOOR = 1e-12


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """Row-wise ``|x - y|^2`` of ``(P, D)`` and ``(P, D)`` -> ``(P,)``."""
    return (x - y).square().sum(-1)


def contrastive(x: Tensor, y: Tensor, matching: Tensor, margin: float = 0.7) -> Tensor:
    """Contrastive loss of each pair: ``1/2 (Y d^2 + (1 - Y) max(0, margin - d)^2)``, ``(P,)``.

    siaMAC Eq. 2 (``margin`` 0.7) and SIAM-FV Eq. 8 (0.8); ``d`` is the Euclidean distance of the rows
    ``x`` and ``y`` ``(P, D)``, ``matching`` ``(P,)`` bool is Y. Both papers sum it over the pairs.
    """
    squared = squared_distances(x, y)
    apart = (margin - squared.clamp_min(DISTANCE_FLOOR).sqrt()).clamp_min(0).square()
    return 0.5 * torch.where(matching, squared, apart)


def triplet(query: Tensor, positive: Tensor, negative: Tensor, margin: float = 0.1) -> Tensor:
    """``1/2 max(0, margin + |q - p|^2 - |q - n|^2)`` of each row, ``(T,)``: REMAP Eq. 2, margin 0.1."""
    gap = squared_distances(query, positive) - squared_distances(query, negative)
    return 0.5 * (margin + gap).clamp_min(0)


def dot_triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 0.1) -> Tensor:
    """``max(0, a.n - a.p + margin)`` of each row, ``(T,)``: the instance search paper, margin 0.1.

    For unit vectors it is :func:`triplet` with twice the margin.
    """
    return ((anchor * negative).sum(-1) - (anchor * positive).sum(-1) + margin).clamp_min(0)


def info_nce(query: Tensor, positive: Tensor, temperature: float = 0.07, labels: Tensor | None = None) -> Tensor:
    """Symmetric InfoNCE of each pair ``(T,)``: every other pair of the batch is a negative.

    ``query`` and ``positive`` are unit rows ``(T, D)``; ``labels`` ``(T,)``, when given, keeps pairs of
    the same label from being each other's negatives.
    """
    logits = query @ positive.T / temperature
    if labels is not None:
        same = labels[:, None] == labels[None, :]
        same.fill_diagonal_(False)
        logits = logits.masked_fill(same, float("-inf"))
    target = torch.arange(len(query), device=query.device)
    forth = F.cross_entropy(logits, target, reduction="none")
    back = F.cross_entropy(logits.T, target, reduction="none")
    return 0.5 * (forth + back)


def smooth_ap(vectors: Tensor, labels: Tensor, temperature: float = 0.01) -> Tensor:
    """1 - smoothed average precision of each vector among all, itself included: ``(N,)``.

    Brown et al., 2020: ranks count how many others are nearer, each by a sigmoid of the difference of
    the similarities over ``temperature``. ``vectors`` are unit rows ``(N, D)``; rows of one label ``(N,)`` match.
    """
    scores = vectors @ vectors.T
    above = torch.sigmoid((scores[:, None, :] - scores[:, :, None]) / temperature)
    above = above * ~torch.eye(len(scores), dtype=torch.bool, device=scores.device)
    same = (labels[:, None] == labels[None, :]).to(scores.dtype)
    precision = (1 + (above * same[:, None, :]).sum(2)) / (1 + above.sum(2))
    return 1 - (precision * same).sum(1) / same.sum(1)


@dataclass(frozen=True)
class Tuples:
    """Who is who among the N rows of a batch; all tensors are int64.

    Attributes:
        query: ``(T,)`` row of each tuple's query.
        positive: ``(T,)`` row of its matching photo.
        negatives: ``(T, K)`` rows of its non-matching photos; -1 stands for none, K may be 0.
        labels: ``(N,)`` cluster of every row: rows of different clusters do not match.
    """

    query: Tensor
    positive: Tensor
    negatives: Tensor
    labels: Tensor

    def to(self, device: torch.device) -> Tuples:
        """The same tuples on another device."""
        return Tuples(*(t.to(device) for t in (self.query, self.positive, self.negatives, self.labels)))

    def __len__(self) -> int:
        return len(self.query)


class LossValue(NamedTuple):
    """``total`` over the batch, how many ``terms`` it sums, how many are ``active`` (not zero)."""

    total: Tensor
    terms: int
    active: int


class Loss(nn.Module):
    """A loss over a batch of tuples.

    ``separable`` losses are a sum over tuples, so a batch may be split into passes of any size.
    """

    separable: ClassVar[bool] = True

    def forward(self, vectors: Tensor, tuples: Tuples) -> LossValue:
        """Unit rows ``(N, D)`` and who is who among them -> the loss summed over its terms."""
        raise NotImplementedError


def _negative_rows(tuples: Tuples) -> tuple[Tensor, Tensor]:
    """(tuple number, row) of every negative that is there."""
    which, slot = (tuples.negatives >= 0).nonzero(as_tuple=True)
    return which, tuples.negatives[which, slot]


class ContrastiveLoss(Loss):
    """Each tuple gives its matching pair and one non-matching pair per negative (siaMAC section 4.2)."""

    def __init__(self, margin: float = 0.7) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, vectors: Tensor, tuples: Tuples) -> LossValue:
        """:func:`contrastive` summed over the pairs; active are non-matching pairs within the margin."""
        which, rows = _negative_rows(tuples)
        x = vectors[torch.cat([tuples.query, tuples.query[which]])]
        y = vectors[torch.cat([tuples.positive, rows])]
        matching = torch.arange(len(x), device=x.device) < len(tuples)
        values = contrastive(x, y, matching, self.margin)
        return LossValue(values.sum(), len(rows), int((values[len(tuples) :] > 0).sum()))


class TripletLoss(Loss):
    """Each tuple gives one triplet per negative."""

    def __init__(self, margin: float = 0.1, form: str = "squared") -> None:
        super().__init__()
        if form not in ("squared", "dot"):
            raise RecipeError(f"triplet form {form!r} is not known; the known ones are squared, dot")
        self.margin = margin
        self.form = form

    def forward(self, vectors: Tensor, tuples: Tuples) -> LossValue:
        """:func:`triplet` or :func:`dot_triplet`, summed; active are triplets with a loss."""
        which, rows = _negative_rows(tuples)
        function = triplet if self.form == "squared" else dot_triplet
        values = function(vectors[tuples.query[which]], vectors[tuples.positive[which]], vectors[rows], self.margin)
        return LossValue(values.sum(), len(values), int((values > 0).sum()))


class InfoNCELoss(Loss):
    """In-batch softmax; mined negatives, when there are any, are not used."""

    separable = False

    def __init__(self, temperature: float = 0.07) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, vectors: Tensor, tuples: Tuples) -> LossValue:
        """:func:`info_nce`, summed; active are pairs whose positive is not the nearest."""
        query, positive = vectors[tuples.query], vectors[tuples.positive]
        labels = tuples.labels[tuples.query]
        values = info_nce(query, positive, self.temperature, labels)
        with torch.no_grad():
            scores = query @ positive.T
            others = scores.masked_fill(labels[:, None] == labels[None, :], float("-inf"))
            active = int((others.amax(1) > scores.diagonal()).sum()) if len(query) > 1 else 0
        return LossValue(values.sum(), len(query), active)


class SmoothAPLoss(Loss):
    """Average precision of a batch's queries and positives among one another; mined negatives are not used."""

    separable = False

    def __init__(self, temperature: float = 0.01) -> None:
        super().__init__()
        self.temperature = temperature

    def forward(self, vectors: Tensor, tuples: Tuples) -> LossValue:
        """Mean of :func:`smooth_ap`, times the number of tuples; active are photos that are not ranked perfectly."""
        rows = torch.unique(torch.cat([tuples.query, tuples.positive]))
        values = smooth_ap(vectors[rows], tuples.labels[rows], self.temperature)
        return LossValue(values.mean() * len(tuples), len(tuples), int((values > 0).sum()))


class InBatch(Loss):
    """A loss over tuples whose negatives are mined among the photos of the batch, with the network as it is.

    Where a pool has to be encoded for mining, a batch is encoded anyway: its other photos, queries and positives
    alike, cost nothing.

    Args:
        loss: what is summed over the tuples.
        rule: one of mining's (:func:`reseen.training.mining.negatives.mine_negatives`), followed within the batch.
        count: negatives per query.
        margin: of ``semi-hard``.
        seed: of ``random``.
    """

    separable = False

    def __init__(self, loss: Loss, rule: Rule, count: int, margin: float = 0.1, seed: int = 0) -> None:
        super().__init__()
        self.loss, self.rule, self.count, self.margin, self.seed = loss, rule, count, margin, seed

    def forward(self, vectors: Tensor, tuples: Tuples) -> LossValue:
        """The loss with the batch's own negatives in place of the given ones; none in a batch of one cluster."""
        labels = tuples.labels.cpu().numpy()
        found = np.full((len(tuples), 0), NONE, np.int64)
        if (labels != labels[0]).any():
            rows = vectors.detach().float().cpu().numpy()
            query, positive = tuples.query.cpu().numpy(), tuples.positive.cpu().numpy()
            found = mine_negatives(
                self.rule,
                rows[query],
                labels[query],
                rows,
                labels,
                self.count,
                positives=rows[positive],
                margin=self.margin,
                seed=self.seed,
            )
        negatives = torch.from_numpy(found).to(vectors.device)
        value: LossValue = self.loss(vectors, replace(tuples, negatives=negatives))
        return value


METRIC_LEARNING = {
    "multi-similarity": "MultiSimilarityLoss",
    "arcface": "ArcFaceLoss",
}
"""Names in recipes -> classes of pytorch-metric-learning."""


class MetricLearningLoss(Loss):
    """A loss of pytorch-metric-learning over the batch's vectors and labels, times the number of tuples.

    Losses with a class matrix (ArcFace) need ``classes`` and ``dim``; their matrix is trained along.
    """

    separable = False

    def __init__(self, kind: str, *, classes: int, dim: int, **options: Any) -> None:
        super().__init__()
        try:
            from pytorch_metric_learning import losses
        except ImportError as error:
            raise RecipeError(
                f"the loss {kind!r} needs pytorch-metric-learning: pip install 'reseen[train]' ({error})"
            ) from None
        sizes = {"num_classes": classes, "embedding_size": dim} if kind == "arcface" else {}
        self.loss: nn.Module = getattr(losses, METRIC_LEARNING[kind])(**sizes, **options)
        self.kind = kind

    def forward(self, vectors: Tensor, tuples: Tuples) -> LossValue:
        """The library's loss over the queries and positives."""
        rows = torch.stack([tuples.query, tuples.positive], 1).flatten()
        value = self.loss(vectors[rows], tuples.labels[rows])
        return LossValue(value * len(tuples), len(tuples), len(tuples) if float(value.detach()) > 0 else 0)


def create_loss(kind: str, *, classes: int = 0, dim: int = 0, **options: Any) -> Loss:
    """A loss by its name in a recipe; RecipeError for an unknown name or option.

    Args:
        kind: ``contrastive``, ``triplet``, ``info-nce``, ``smooth-ap``, or one of :data:`METRIC_LEARNING`.
        classes: number of clusters in the training set (losses with a class matrix).
        dim: size of the vectors (likewise).
        options: the loss's own settings (``margin``, ``form``, ``temperature``).
    """
    own: dict[str, type[Loss]] = {
        "contrastive": ContrastiveLoss,
        "triplet": TripletLoss,
        "info-nce": InfoNCELoss,
        "smooth-ap": SmoothAPLoss,
    }
    try:
        if kind in own:
            return own[kind](**options)
        if kind in METRIC_LEARNING:
            return MetricLearningLoss(kind, classes=classes, dim=dim, **options)
    except TypeError as error:
        raise RecipeError(f"loss {kind!r}: {error}") from None
    known = ", ".join(sorted([*own, *METRIC_LEARNING]))
    raise RecipeError(f"loss {kind!r} is not known; the known ones are {known}")
