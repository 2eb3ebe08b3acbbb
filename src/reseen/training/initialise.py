"""What a head learns from photos before training: codebooks, region weights, the layer that starts as whitening."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.projections import create_projection
from reseen.training.datasets import TrainingSet
from reseen.training.network import Network
from reseen.training.settings import TrainingSettings
from reseen.training.views import View, ViewReader

SHRINKAGE = 1e-3
"""Of the PCA whitening that a layer starts from: finite with fewer photos than dimensions."""


def initialise(
    network: Network, data: TrainingSet, settings: TrainingSettings, reader: ViewReader, *, new: bool
) -> None:
    """Fit the head's codebooks, and start its linear layer as PCA whitening when the network is ``new``.

    Everything is learned from at most ``fit_photos`` photos of the training set.
    """
    chosen = np.random.default_rng((settings.seed, 5)).permutation(len(data.photos))[: settings.fit_photos]
    views = [View(i) for i in np.sort(chosen).tolist()]
    head = network.head
    if not head.fitted:
        head.fit(((maps, None) for maps in _maps(network, reader, views)), seed=settings.seed)
    if new and head.fc is not None:
        rows = [pooled(network, maps) for maps in _maps(network, reader, views)]
        start_as_whitening(head.fc, np.concatenate(rows))


def pooled(network: Network, maps: list[Tensor]) -> NDArray[np.float32]:
    """Unit vectors before the head's linear layer, ``(B, raw_dim)``."""
    rows = network.head.pool(maps).float()
    return nn.functional.normalize(rows, dim=-1).cpu().numpy()


def start_as_whitening(layer: nn.Linear, rows: NDArray[np.float32]) -> None:
    """Make ``layer`` the PCA whitening of ``rows (n, d)`` to its number of outputs."""
    whitening = create_projection("pca", dim=layer.out_features, shrinkage=SHRINKAGE).fit(rows)
    matrix, shift = whitening.as_linear()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(matrix))
        layer.bias.copy_(torch.from_numpy(shift))


def _maps(network: Network, reader: ViewReader, views: list[View]) -> Iterator[list[Tensor]]:
    """Feature maps of batches of equal size."""
    with torch.no_grad():
        for _, pixels in reader.shapes(views):
            batch = torch.from_numpy(pixels).to(network.device)
            yield network.backbone(network.backbone.normalise(batch))
