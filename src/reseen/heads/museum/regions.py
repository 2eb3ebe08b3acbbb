"""Heads of instance search: class activations, the places where they are highest, the flattened map.

The museum paper (instance search with fully convolutional networks). A classifier whose linear layers are
convolutions gives a class activation for every place of a map of any size; the k places of highest maximal
activation say where an object is, and their feature windows make the descriptor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from reseen.errors import NotFitted, RecipeError
from reseen.heads.base import Head, l2


def convolutional_classifier(channels: int, classes: int, grid: int, hidden: Sequence[int] = ()) -> nn.Sequential:
    """A classifier of a ``grid`` x ``grid`` map, for maps of any size: ``(B, C, H, W)`` -> ``(B, classes, h, w)``.

    Without ``hidden`` layers the window is averaged (ResNet: its global pool with stride 1), else the first
    linear layer becomes a convolution that covers the window (AlexNet). Section 3.4.1.
    """
    if not hidden:
        return nn.Sequential(nn.AvgPool2d(grid, stride=1), nn.Conv2d(channels, classes, 1))
    layers: list[nn.Module] = []
    width, kernel = channels, grid
    for units in hidden:
        layers += [nn.Dropout(), nn.Conv2d(width, units, kernel), nn.ReLU()]
        width, kernel = units, 1
    return nn.Sequential(*layers, nn.Conv2d(width, classes, 1))


def covered(maps: Tensor, grid: int) -> Tensor:
    """Maps with at least ``grid`` cells along each side; what is missing repeats the border's cells."""
    missing_y, missing_x = (max(0, grid - n) for n in maps.shape[-2:])
    if not (missing_x or missing_y):
        return maps
    top, left = missing_y // 2, missing_x // 2
    return F.pad(maps, (left, missing_x - left, top, missing_y - top), mode="replicate")


def top_places(activations: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The places of highest maximal activation, best first (Section 3.4.2).

    Args:
        activations: ``(B, classes, H, W)``.
        k: places; all of them where a map has fewer.

    Returns:
        Places ``(B, k', 2)`` int64 as (row, column), and their maximal activations ``(B, k')``.
    """
    width = activations.shape[-1]
    highest, order = activations.amax(1).flatten(1).sort(dim=1, descending=True, stable=True)
    order = order[:, :k]
    return torch.stack([order // width, order % width], -1), highest[:, :k]


def feature_windows(maps: Tensor, places: Tensor, grid: int) -> Tensor:
    """The ``grid`` x ``grid`` window of features that each place saw, flattened.

    Maps ``(B, C, H, W)`` and places ``(B, k, 2)`` (row, column of the window's first cell) -> ``(B, k, C grid grid)``.
    """
    step = torch.arange(grid, device=maps.device)
    rows = places[..., 0, None, None] + step[:, None]
    columns = places[..., 1, None, None] + step
    photos = torch.arange(len(maps), device=maps.device).view(-1, 1, 1, 1)
    windows = maps.permute(0, 2, 3, 1)[photos, rows, columns]
    return windows.permute(0, 1, 4, 2, 3).flatten(2)


class _Windowed(Head):
    """A head that reads one layer in windows of ``grid`` x ``grid`` cells, the map of the training size."""

    def __init__(self, channels: Sequence[int], *, grid: int, **options: Any) -> None:
        super().__init__(channels, grid=grid, **options)
        self.grid = grid


class _Classifying(_Windowed):
    """A head with a class activation per place.

    ``labels`` names the classes; ``classes`` counts them where they have no names. None at all: the classifier
    is still to be trained on a collection's instances.
    """

    needs = frozenset({"labels"})

    def __init__(
        self,
        channels: Sequence[int],
        *,
        labels: Sequence[str] = (),
        classes: int = 0,
        hidden: Sequence[int] = (),
        **options: Any,
    ) -> None:
        count = len(labels) or classes
        super().__init__(channels, labels=tuple(labels), classes=count, hidden=tuple(hidden), **options)
        self.labels, self.classes, self.hidden = tuple(labels), count, tuple(hidden)
        self.classifier: nn.Sequential | None = None
        if count:
            self.classifier = convolutional_classifier(self.channels[0], count, self.grid, self.hidden)

    @property
    def fitted(self) -> bool:
        """Whether it has classes."""
        return self.classifier is not None

    def activations(self, maps: Sequence[Tensor]) -> Tensor:
        """``[(B, C, H, W)]`` -> class activations ``(B, classes, h, w)``, one per window; NotFitted without classes."""
        if self.classifier is None:
            raise NotFitted(f"head {self.kind!r} has no classes yet: it is trained on the instances of a collection")
        found: Tensor = self.classifier(covered(maps[0], self.grid))
        return found


class Logits(_Classifying):
    """The classifier's output, averaged over places: the paper's IM (ImageNet's classes) and FT (the instances)."""

    kind = "logits"

    def __init__(
        self,
        channels: Sequence[int],
        *,
        grid: int = 7,
        labels: Sequence[str] = (),
        classes: int = 0,
        hidden: Sequence[int] = (),
    ) -> None:
        super().__init__(channels, grid=grid, labels=labels, classes=classes, hidden=hidden)

    @classmethod
    def raw_dim_of(cls, settings: Mapping[str, Any], channels: Sequence[int]) -> int:
        """Number of classes."""
        return len(settings["labels"]) or int(settings["classes"])

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, classes)``."""
        return self.activations(maps).mean((-2, -1))


class Siamese(_Windowed):
    """The simplified siamese network: the whole flattened map, L2, shift and matrix (Section 3.2.2).

    Args:
        channels: of the layer read.
        grid: cells of the map along each side: 7 at 224 px (stride 32), AlexNet 6.
        dim: of the vector. The shift is kept as the matrix's image of it (a bias after the matrix).
    """

    kind = "siamese"

    def __init__(self, channels: Sequence[int], *, grid: int = 7, dim: int = 2048) -> None:
        super().__init__(channels, grid=grid, dim=dim)
        self.project = nn.Linear(self.channels[0] * grid * grid, dim)

    @classmethod
    def raw_dim_of(cls, settings: Mapping[str, Any], channels: Sequence[int]) -> int:
        """Dimensions of the vector."""
        return int(settings["dim"])

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, grid, grid)]`` -> ``(B, dim)``; RecipeError for a map of another size."""
        if tuple(maps[0].shape[-2:]) != (self.grid, self.grid):
            raise RecipeError(
                f"head 'siamese' reads maps of {self.grid} x {self.grid} cells, not "
                f"{maps[0].shape[-1]} x {maps[0].shape[-2]}: give its recipe one exact size under [images]"
            )
        vectors: Tensor = self.project(l2(maps[0].flatten(1)))
        return vectors


class InstanceRegions(_Classifying):
    """The region descriptor: windows of the k places of highest maximal activation (Section 3.4.2).

    Each window is flattened, brought to unit length, shifted and multiplied by one matrix; the results are
    summed over the places (and brought to unit length by every head's last step).

    Args:
        channels: of the layer read.
        grid: cells of a window along each side: 7 (ResNet, 224 px at stride 32), AlexNet 6.
        places: k; 4 in the paper, 6 in its code.
        dim: of the vector.
        labels, classes, hidden: see :func:`convolutional_classifier` and the training stages.
    """

    kind = "instance"

    def __init__(
        self,
        channels: Sequence[int],
        *,
        grid: int = 7,
        places: int = 4,
        dim: int = 2048,
        labels: Sequence[str] = (),
        classes: int = 0,
        hidden: Sequence[int] = (),
    ) -> None:
        super().__init__(channels, grid=grid, labels=labels, classes=classes, hidden=hidden, places=places, dim=dim)
        self.places = places
        self.project = nn.Linear(self.channels[0] * grid * grid, dim)

    @classmethod
    def raw_dim_of(cls, settings: Mapping[str, Any], channels: Sequence[int]) -> int:
        """Dimensions of the vector."""
        return int(settings["dim"])

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, dim)``."""
        return self.describe(maps)[0]

    def describe(self, maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Sums over the places ``(B, dim)`` and the class activations at the places ``(B, k, classes)``."""
        features = covered(maps[0], self.grid)
        activations = self.activations([features])
        places, _ = top_places(activations.detach(), self.places)
        windows = feature_windows(features, places, self.grid)
        photos = torch.arange(len(features), device=features.device)[:, None]
        chosen = activations.permute(0, 2, 3, 1)[photos, places[..., 0], places[..., 1]]
        return self.project(l2(windows)).sum(1), chosen
