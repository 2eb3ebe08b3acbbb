"""What a head learns from photos before training: codebooks, region weights, layers that start as whitening."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.errors import TrainingError
from reseen.heads.regions import extra_regions
from reseen.heads.remap import REMAP, landscape
from reseen.projections import create_projection
from reseen.training.datasets import TrainingSet
from reseen.training.mining.divergence import kl_weights
from reseen.training.network import Network
from reseen.training.settings import TrainingSettings
from reseen.training.views import View, ViewReader

SHRINKAGE = 1e-3
"""Of the PCA whitening that a layer starts from: finite with fewer photos than dimensions."""


def initialise(
    network: Network, data: TrainingSet, settings: TrainingSettings, reader: ViewReader, *, new: bool
) -> None:
    """Fit what the head learns by itself; when the network is ``new`` also start its weights and linear layers.

    Everything is learned from at most ``fit_photos`` photos of the training set: codebooks or the whitening of regions,
    then REMAP's KL weights from the training pairs, then the PCA whitening that the head's linear layer starts as.
    """
    chosen = np.random.default_rng((settings.seed, 5)).permutation(len(data.photos))[: settings.fit_photos]
    views = [View(i, "mild" if data.virtual[i] else "plain") for i in np.sort(chosen).tolist()]
    head = network.head
    if not head.fitted:
        head.fit(((maps, None) for _, maps in _maps(network, reader, views)), seed=settings.seed)
    if not new:
        return
    if isinstance(head, REMAP) and head.weighting == "kl":
        head.set_alpha(measured_weights(network, data, settings, reader))
    if head.fc is not None:
        start_as_whitening(head.fc, np.concatenate([pooled(head, m) for _, m in _maps(network, reader, views)]))


def pooled(head: nn.Module, maps: list[Tensor]) -> NDArray[np.float32]:
    """Unit vectors before the head's linear layer, ``(B, raw_dim)``."""
    with torch.no_grad():
        rows: Tensor = head.pool(maps).float()  # type: ignore[operator]
        return nn.functional.normalize(rows, dim=-1).cpu().numpy()


def start_as_whitening(layer: nn.Linear, rows: NDArray[np.float32]) -> None:
    """Make ``layer`` the PCA whitening of ``rows (n, d)`` to its number of outputs: ``l2(layer(x))`` equals it."""
    whitening = create_projection("pca", dim=layer.out_features, shrinkage=SHRINKAGE).fit(rows)
    matrix, shift = whitening.as_linear()
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(matrix))
        layer.bias.copy_(torch.from_numpy(shift))


def measured_weights(
    network: Network, data: TrainingSet, settings: TrainingSettings, reader: ViewReader
) -> NDArray[np.float64]:
    """REMAP's KL weights ``(layers, R)``: from the distances of matching and of as many random other pairs, region
    by region (Section III-B). Photos whose map has another grid (aspect above 1.8, or square) are left out.

    TrainingError when no pair is left.
    """
    head = network.head
    assert isinstance(head, REMAP)
    random = np.random.default_rng((settings.seed, 7))
    some = random.permutation(len(data.pairs))[: max(1, settings.fit_photos // 2)]
    views: dict[View, int] = {}
    matching = []
    for row in some.tolist():
        query, positive = data.pairs[row].tolist()
        virtual = query == positive
        a = views.setdefault(View(query, "mild" if virtual else "plain"), len(views))
        b = views.setdefault(View(positive, "virtual" if virtual else "plain", row), len(views))
        matching.append((a, b))
    listed = list(views)
    regions: dict[int, list[NDArray[np.float32]]] = {}
    for places, maps in _maps(network, reader, listed):
        if any(extra_regions(m.shape[-2], m.shape[-1]) != 1 for m in map(landscape, maps)):
            continue
        layers = [r.float().cpu().numpy() for r in head.regions(maps)]
        for i, place in enumerate(places):
            regions[place] = [r[i] for r in layers]
    pairs = [(a, b) for a, b in matching if a in regions and b in regions]
    clusters = data.clusters[[view.photo for view in listed]]
    known = np.array(sorted(regions), np.int64)
    other = (
        [(int(a), int(b)) for a, b in random.choice(known, (4 * len(pairs), 2)) if clusters[a] != clusters[b]]
        if pairs
        else []
    )
    if not pairs or not other:
        raise TrainingError(
            f"{data.name}: no pairs to measure REMAP's KL weights on; their photos need an aspect of 5:4 to 1.8 "
            'at the size of [training.views], or set weighting = "ones"'
        )

    def distances(which: list[tuple[int, int]], layer: int) -> NDArray[np.float32]:
        rows = [np.linalg.norm(regions[a][layer] - regions[b][layer], axis=1) for a, b in which]
        return np.stack(rows)

    return np.stack([kl_weights(distances(pairs, i), distances(other, i)) for i in range(len(head.channels))])


def _maps(network: Network, reader: ViewReader, views: list[View]) -> Iterator[tuple[list[int], list[Tensor]]]:
    """(places in views, feature maps) of batches of equal size."""
    for places, pixels in reader.shapes(views):
        with torch.no_grad():
            batch = torch.from_numpy(pixels).to(network.device)
            maps = network.backbone(network.backbone.normalise(batch))
        yield places, maps
