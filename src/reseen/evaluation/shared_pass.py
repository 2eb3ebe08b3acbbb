"""Descriptors that differ in their heads only see each photo once."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from reseen.descriptor import Descriptor
from reseen.heads import Head


def unprojected(descriptor: Descriptor) -> Descriptor:
    """The same backbone and head without the projection, and without the rule for boxes, which keys hold."""
    recipe = descriptor.recipe
    images = dataclasses.replace(recipe.images, crop="relative")
    return descriptor.replace(recipe=dataclasses.replace(recipe, projection=(), images=images), projection=None)


class SideBySide(Head):
    """Several heads over the same maps, their vectors side by side ``(B, sum of dims)``, each of unit length."""

    kind = "side-by-side"
    layers = None

    def __init__(self, heads: Sequence[Head]) -> None:
        super().__init__(heads[0].channels if heads else ())
        self.heads = nn.ModuleList(heads)

    @property
    def raw_dim(self) -> int:
        """Of all heads together."""
        return sum(head.dim for head in self.heads)  # type: ignore[misc]

    def forward(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """See :class:`Head`; nothing is normalised over all heads."""
        return torch.cat([head(maps, valid) for head in self.heads], 1)


def sharing(descriptors: Sequence[Descriptor]) -> list[list[Descriptor]]:
    """Descriptors without their projections, in groups that may share one pass over each photo.

    They share it when network, layers, inputs and scales are equal, and no head looks at the pixels itself.
    """
    groups: dict[str, list[Descriptor]] = {}
    for raw in map(unprojected, descriptors):
        alone = raw.head.photo_task is not None or raw.recipe.scales.power == "gem" or not raw.head.fitted
        key = raw.fingerprint if alone else _network(raw)
        group = groups.setdefault(key, [])
        if all(other.fingerprint != raw.fingerprint for other in group):
            group.append(raw)
    return list(groups.values())


def abreast(raws: Sequence[Descriptor]) -> Descriptor:
    """One descriptor with the heads of all."""
    return _with_head(raws[0], SideBySide([raw.head for raw in raws]))


def _network(raw: Descriptor) -> str:
    """Of what comes before the head."""
    return _with_head(raw, SideBySide([])).fingerprint + str(raw.runtime)


def _with_head(raw: Descriptor, head: Head) -> Descriptor:
    return raw.replace(recipe=dataclasses.replace(raw.recipe, head={"kind": head.kind}), head=head)
