"""Instances named by a descriptor's own classifier (the museum paper, Sections 3.1 and 3.4.1), without neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np

from reseen.collections.gallery import Gallery
from reseen.encoder import Encoder
from reseen.errors import CollectionError
from reseen.images import PhotoLike
from reseen.types import FeatureMaps, Vectors

By = Literal["neighbours", "classifier"]
"""What names instances: the reference photos most alike, or the classifier that was trained on them."""


class Classes:
    """The classes of a descriptor as the instances of a gallery.

    Args:
        encoder: a museum descriptor, trained on the collection's instances.
        gallery: the instances now.

    Attributes:
        missing: instances that have no class, because they came after the training; they are never named.

    Raises:
        CollectionError: the encoder has no classifier, or none of its classes is an instance.
    """

    def __init__(self, encoder: Encoder, gallery: Gallery) -> None:
        from reseen.descriptor import Descriptor
        from reseen.heads.museum.regions import InstanceRegions, Logits

        head = encoder.head_on("cpu") if isinstance(encoder, Descriptor) else None
        if not isinstance(encoder, Descriptor) or not isinstance(head, InstanceRegions | Logits) or not head.labels:
            raise CollectionError(
                f"{encoder.name!r} has no classifier of these instances: train one with "
                "`reseen adapt COLLECTION --recipe museum-lite0`, or identify by neighbours"
            )
        number = {label: i for i, label in enumerate(head.labels)}
        self._classes = np.array([number.get(name, -1) for name in gallery.names], np.int64)
        self.missing = tuple(name for name in gallery.names if name not in number)
        if len(self.missing) == len(gallery):
            raise CollectionError(
                f"none of the {len(number)} classes of {encoder.name!r} is an instance of this collection: "
                "train it again (`reseen adapt --recipe`), or identify by neighbours"
            )
        self._descriptor, self._head = encoder, head

    def scores(self, maps: FeatureMaps) -> Vectors:
        """Class activations averaged over places, of each instance: ``(I,)``; -inf for one without a class."""
        import torch

        with torch.inference_mode():
            found = self._head.activations([torch.from_numpy(m)[None] for m in maps]).mean((-2, -1))[0].numpy()
        return np.where(self._classes >= 0, found[self._classes], -np.inf).astype(np.float32)

    def stream(self, photos: Iterable[PhotoLike]) -> Iterator[Vectors]:
        """:meth:`scores` of each photo, in order; PhotoRejected for one that cannot be used."""
        for item in self._descriptor.maps(photos):
            if item.rejected is not None:
                raise item.rejected
            yield self.scores(tuple(m.numpy() for m in item.maps))


def shares(scores: Vectors) -> Vectors:
    """Softmax over the instances: ``(..., I)`` -> ``(..., I)``, rows sum to 1."""
    found: Vectors = np.exp(scores - scores.max(-1, keepdims=True))
    return np.asarray(found / found.sum(-1, keepdims=True), np.float32)
