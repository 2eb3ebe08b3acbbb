"""What a head learns from photos before training: codebooks, region weights, layers that start as whitening."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.errors import TrainingError
from reseen.heads import Head
from reseen.heads.regions import extra_regions
from reseen.heads.remap import REMAP, landscape
from reseen.projections import create_projection
from reseen.training.datasets import TrainingSet
from reseen.training.mining.divergence import kl_weights
from reseen.training.network import Network
from reseen.training.settings import TrainingSettings
from reseen.training.views import View, ViewReader
from reseen.types import Vectors

SHRINKAGE = 1e-3
"""Of the PCA whitening that a layer starts from: finite with fewer photos than dimensions."""
PAIRS_AT_ONCE = 128
"""Pairs whose regions are in memory at once while KL weights are measured."""


def initialise(
    network: Network, data: TrainingSet, settings: TrainingSettings, reader: ViewReader, *, new: bool
) -> None:
    """Fit what the head learns by itself; when the network is ``new`` also start its weights and linear layers.

    Codebooks or the whitening of regions are learned from ``fit_photos`` photos of the training set, then REMAP's KL
    weights from ``fit_pairs`` training pairs, then the PCA whitening that the head's linear layer starts as from
    ``fit_photos`` photos again. Memory does not grow with their number.
    """
    chosen = np.random.default_rng((settings.seed, 5)).permutation(len(data.photos))[: settings.fit_photos or None]
    views = [View(i, "mild" if data.virtual[i] else "plain") for i in np.sort(chosen).tolist()]
    head = network.head
    if not head.fitted:
        head.fit(((maps, None) for _, maps in _maps(network, reader, views)), seed=settings.seed)
    if not new:
        return
    if isinstance(head, REMAP) and head.weighting == "kl":
        head.set_alpha(measured_weights(network, data, settings, reader))
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
    some = random.permutation(len(data.pairs))[: settings.fit_pairs or None]
    matching: list[list[Vectors]] = [[] for _ in head.channels]
    other: list[list[Vectors]] = [[] for _ in head.channels]
    for start in range(0, len(some), PAIRS_AT_ONCE):
        views: dict[View, int] = {}
        pairs = []
        for row in some[start : start + PAIRS_AT_ONCE].tolist():
            query, positive = data.pairs[row].tolist()
            virtual = query == positive
            a = views.setdefault(View(query, "mild" if virtual else "plain"), len(views))
            b = views.setdefault(View(positive, "virtual" if virtual else "plain", row), len(views))
            pairs.append((a, b))
        regions = _landscape_regions(network, head, reader, list(views))
        pairs = [(a, b) for a, b in pairs if a in regions and b in regions]
        if not pairs:
            continue
        clusters = data.clusters[[view.photo for view in views]]
        drawn = random.choice(np.array(sorted(regions), np.int64), (4 * len(pairs), 2)).tolist()
        strangers = [(a, b) for a, b in drawn if clusters[a] != clusters[b]]
        for layer in range(len(head.channels)):
            matching[layer] += [_distances(regions[a][layer], regions[b][layer]) for a, b in pairs]
            other[layer] += [_distances(regions[a][layer], regions[b][layer]) for a, b in strangers]
    if not matching[0] or not other[0]:
        raise TrainingError(
            f"{data.name}: no pairs to measure REMAP's KL weights on; their photos need an aspect of 5:4 to 1.8 "
            'at the size of [training.views], or set weighting = "ones"'
        )
    return np.stack([kl_weights(np.stack(m), np.stack(o)) for m, o in zip(matching, other, strict=True)])


def _landscape_regions(
    network: Network, head: REMAP, reader: ViewReader, views: list[View]
) -> dict[int, list[Vectors]]:
    """Region vectors ``(R, C)`` of each layer, by place in ``views``; photos with another grid are left out."""
    regions: dict[int, list[Vectors]] = {}
    for places, maps in _maps(network, reader, views):
        if any(extra_regions(m.shape[-2], m.shape[-1]) != 1 for m in map(landscape, maps)):
            continue
        layers = [r.float().cpu().numpy() for r in head.regions(maps)]
        for i, place in enumerate(places):
            regions[place] = [r[i] for r in layers]
    return regions


def _distances(a: Vectors, b: Vectors) -> Vectors:
    """Distance ``(R,)`` of each region."""
    return np.asarray(np.linalg.norm(a - b, axis=1))


def _maps(network: Network, reader: ViewReader, views: list[View]) -> Iterator[tuple[list[int], list[Tensor]]]:
    """(places in views, feature maps) of batches of equal size."""
    for places, pixels in reader.shapes(views):
        with torch.no_grad():
            batch = torch.from_numpy(pixels).to(network.device)
            maps = network.backbone(network.backbone.normalise(batch))
        yield places, maps
