"""What comes out of a run: weights averaged with the starting ones, then the projection."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from reseen.descriptor import Descriptor
from reseen.photosets import PhotoSet
from reseen.training.settings import TrainingSettings
from reseen.training.views import View, ViewReader
from reseen.types import Pairs


def with_weights(descriptor: Descriptor, tensors: Mapping[str, Tensor]) -> Descriptor:
    """A copy of the descriptor with the weights ``backbone.*`` and ``head.*``."""
    backbone, head = copy.deepcopy(descriptor.backbone), copy.deepcopy(descriptor.head)
    for part, module in (("backbone", backbone), ("head", head)):
        module.load_state_dict({k.partition(".")[2]: v for k, v in tensors.items() if k.startswith(f"{part}.")})
    return descriptor.replace(backbone=backbone, head=head.eval())


def averaged(start: Mapping[str, Tensor], best: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """``share`` of the starting weights and the rest of the best ones, for every weight of the network.

    Fine-tuned networks that began at the same weights can be averaged: in between they keep most of what the start
    knew (Wortsman et al., 2022, "Robust fine-tuning of zero-shot models", Eq. 1).
    """
    return {k: share * start[k] + (1 - share) * v if v.is_floating_point() else v for k, v in best.items()}


def learn_projection(
    trained: Descriptor, data: PhotoSet, settings: TrainingSettings, rejected: Mapping[int, str]
) -> Descriptor:
    """The descriptor with its projection learned on ``fit_pairs`` training pairs.

    Virtual photos are made as large as the descriptor sees photos, and lie in a temporary folder meanwhile.
    """
    width, height = settings.views.virtual
    factor = trained.recipe.images.rule.longest_side / max(width, height)
    views = replace(settings.views, virtual=(round(width * factor), round(height * factor)))
    reader = ViewReader(data, views, trained.recipe.images.rule, seed=settings.seed)
    reader.rejected = dict(rejected)
    with tempfile.TemporaryDirectory() as folder:
        photos, pairs = _photos_of_pairs(data, reader, settings.fit_pairs or None, settings.seed, Path(folder))
        return trained.fit(photos, pairs, seed=settings.seed)


def _photos_of_pairs(
    data: PhotoSet, reader: ViewReader, most: int | None, seed: int, folder: Path
) -> tuple[list[Any], Pairs]:
    """Photos of at most ``most`` training pairs, virtual ones written to ``folder``, and the pairs as rows of them."""
    chosen = np.random.default_rng((seed, 4)).permutation(len(data.pairs))[:most]
    photos: list[Any] = []
    number: dict[View, int] = {}
    pairs = []
    for query, positive in data.pairs[chosen].tolist():
        virtual = query == positive
        views = (View(query), View(positive, "virtual" if virtual else "plain", -1))
        if any(view.photo in reader.rejected for view in views):
            continue
        for view in views:
            if view not in number:
                pixels = reader.read(view) if view.kind == "virtual" else None
                number[view] = len(photos)
                photos.append(data.photos[view.photo])
                if pixels is not None:
                    photos[-1] = folder / f"{number[view]}.jpg"
                    Image.fromarray(pixels).save(photos[-1], quality=95)
        pairs.append([number[view] for view in views])
    return photos, np.asarray(pairs, np.int64).reshape(-1, 2)
