"""Vectors of parts of a photo, from one pass of the network over the whole of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from reseen.descriptor.descriptor import Descriptor
from reseen.errors import RecipeError
from reseen.images import PhotoLike
from reseen.types import Box, Vectors


def photo_map(descriptor: Descriptor, photo: PhotoLike, box: Box | None = None, *, crop: str | None = None) -> Vectors:
    """The feature map ``(C, h, w)`` of a photo, or of the part of it in ``box``.

    Raises:
        RecipeError: the descriptor has several layers. PhotoRejected: the photo cannot be used.
    """
    if len(descriptor.backbone.layers) != 1:
        raise RecipeError(
            f"{descriptor.name}: parts are pooled from one layer, and it has {len(descriptor.backbone.layers)}"
        )
    item = next(iter(descriptor.maps([photo], [box], crop=crop)))
    if item.rejected is not None:
        raise item.rejected
    return np.asarray(item.maps[0].numpy(), np.float32)


def pool_parts(descriptor: Descriptor, maps: Vectors, parts: Sequence[tuple[int, int, int, int]]) -> Vectors:
    """Unit vectors ``(n, dim)`` of parts ``(x0, y0, x1, y1)`` of a map ``(C, h, w)``, in cells, ends exclusive."""
    head = descriptor.head_on("cpu")
    whole = torch.from_numpy(maps)[None]
    with torch.inference_mode():
        raw = [head([whole[..., y0:y1, x0:x1]]).numpy()[0] for x0, y0, x1, y1 in parts]
    return descriptor.project(np.stack(raw))
