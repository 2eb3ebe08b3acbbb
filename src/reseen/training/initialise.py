"""What a head learns from photos before training: codebooks, region weights, layers that start as whitening."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from reseen.heads import Head
from reseen.photosets import PhotoSet
from reseen.projections import create_projection
from reseen.training.network import Network
from reseen.training.settings import TrainingSettings
from reseen.training.views import View, ViewReader
from reseen.types import Vectors

T = TypeVar("T")
SHRINKAGE = 1e-3
"""Of the PCA whitening that a layer starts from: finite with fewer photos than dimensions."""
PAIRS_AT_ONCE = 128
"""Pairs of photos that are looked at together: what a head sees in them is in memory at once."""


def initialise(network: Network, data: PhotoSet, settings: TrainingSettings, reader: ViewReader, *, new: bool) -> None:
    """Fit what the head learns by itself; when the network is ``new`` also start its weights and linear layers.

    Codebooks or the whitening of regions are learned from ``fit_photos`` photos of the training set, then what the
    head's ``initialise`` sets (REMAP's KL weights) from ``fit_pairs`` training pairs, then the PCA whitening that the
    head's linear layer starts as from ``fit_photos`` photos again. Memory does not grow with their number.
    """
    chosen = np.random.default_rng((settings.seed, 5)).permutation(len(data.photos))[: settings.fit_photos or None]
    views = [View(i, "mild" if data.virtual[i] else "plain") for i in np.sort(chosen).tolist()]
    head = network.head
    if not head.fitted:
        head.fit(((maps, None) for _, maps in _maps(network, reader, views)), seed=settings.seed)
    if not new:
        return
    head.initialise(PairedPhotos(network, data, settings, reader), seed=settings.seed)
    if head.fc is not None:
        start_as_whitening(head.fc, (pooled(head, maps) for _, maps in _maps(network, reader, views)))


def pooled(head: Head, maps: list[Tensor]) -> Vectors:
    """What the head's linear layer takes, ``(B, raw_dim)``."""
    with torch.no_grad():
        rows = head.pool(maps).float()
        return (nn.functional.normalize(rows, dim=-1) if head.normalise else rows).cpu().numpy()


def start_as_whitening(layer: nn.Linear, rows: Vectors | Iterable[Vectors]) -> None:
    """Make ``layer`` the PCA whitening of rows ``(n, d)``, or of a stream of such blocks, to its number of outputs.

    ``l2(layer(x))`` equals it.
    """
    whitening = create_projection("pca", dim=layer.out_features, shrinkage=SHRINKAGE).fit(rows)
    matrix, shift = whitening.as_linear()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(matrix))
        layer.bias.copy_(torch.from_numpy(shift))


class PairedPhotos:
    """The photos of training pairs and of others, as a head looks at them; a ``reseen.heads.Material``."""

    def __init__(self, network: Network, data: PhotoSet, settings: TrainingSettings, reader: ViewReader) -> None:
        self.network, self.data, self.settings, self.reader = network, data, settings, reader

    def pairs(
        self, look: Callable[[Sequence[Tensor]], Sequence[T] | None]
    ) -> Iterator[tuple[list[tuple[T, T]], list[tuple[T, T]]]]:
        """See ``reseen.heads.Material``; ``fit_pairs`` training pairs, others drawn at random among their photos."""
        data = self.data
        random = np.random.default_rng((self.settings.seed, 7))
        some = random.permutation(len(data.pairs))[: self.settings.fit_pairs or None]
        for start in range(0, len(some), PAIRS_AT_ONCE):
            views: dict[View, int] = {}
            matching = []
            for row in some[start : start + PAIRS_AT_ONCE].tolist():
                query, positive = data.pairs[row].tolist()
                virtual = query == positive
                a = views.setdefault(View(query, "mild" if virtual else "plain"), len(views))
                b = views.setdefault(View(positive, "virtual" if virtual else "plain", row), len(views))
                matching.append((a, b))
            listed = list(views)
            seen: dict[int, T] = {}
            for places, maps in _maps(self.network, self.reader, listed):
                seen.update(zip(places, look(maps) or (), strict=False))
            matching = [(a, b) for a, b in matching if a in seen and b in seen]
            if not matching:
                continue
            clusters = data.clusters[[view.photo for view in listed]]
            drawn = random.choice(np.array(sorted(seen), np.int64), (4 * len(matching), 2)).tolist()
            other = [(a, b) for a, b in drawn if clusters[a] != clusters[b]]
            yield [(seen[a], seen[b]) for a, b in matching], [(seen[a], seen[b]) for a, b in other]


def _maps(network: Network, reader: ViewReader, views: list[View]) -> Iterator[tuple[list[int], list[Tensor]]]:
    """(places in views, feature maps) of batches of equal size."""
    for places, pixels in reader.shapes(views):
        with torch.no_grad():
            batch = torch.from_numpy(pixels).to(network.device)
            maps = network.backbone(network.backbone.normalise(batch))
        yield places, maps
