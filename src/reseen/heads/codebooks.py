"""What heads with a codebook share: local features of maps, a sample of them, k-means and Gaussian mixtures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from reseen.errors import NotFitted
from reseen.heads.base import EPS

RUNS = 5
"""Runs of k-means, of which the best is kept (published code of selective features)."""


def local_features(maps: Tensor) -> Tensor:
    """Maps ``(B, C, H, W)`` -> their cells ``(B, H W, C)``, row by row, in float32 (float64 stays)."""
    x = maps.flatten(2).transpose(1, 2)
    return x if x.dtype == torch.float64 else x.float()


def reservoir(blocks: Iterable[Tensor], count: int, seed: int) -> Tensor:
    """At most ``count`` rows of a stream of blocks ``(n, d)``, every row as likely as any other: ``(m, d)`` on the CPU.

    Each row draws a random key and the ``count`` smallest stay, in one buffer: memory does not grow with the
    stream. NotFitted when the stream holds no row.
    """
    random = torch.Generator().manual_seed(seed)
    kept, keys, filled = torch.empty(0, 0), torch.empty(count, dtype=torch.float64), 0
    for block in blocks:
        rows = block.detach().cpu()
        key = torch.rand(len(rows), generator=random, dtype=torch.float64)
        if not filled:
            kept = torch.empty(count, rows.shape[1], dtype=rows.dtype)
        room = min(count - filled, len(rows))
        kept[filled : filled + room], keys[filled : filled + room] = rows[:room], key[:room]
        filled += room
        if room < len(rows):
            smallest = torch.cat([keys, key[room:]]).topk(count, largest=False, sorted=False).indices
            stays = torch.zeros(count + len(rows) - room, dtype=torch.bool)
            stays[smallest] = True
            leaving, entering = ~stays[:count], stays[count:]
            kept[leaving], keys[leaving] = rows[room:][entering], key[room:][entering]
    if not filled:
        raise NotFitted("no photo could be used to learn the codebook from")
    return kept[:filled]


def sample_features(stream: Iterable[tuple[Sequence[Tensor], Tensor | None]], count: int, seed: int) -> Tensor:
    """At most ``count`` valid cells of the first map of a stream, ``(n, C)`` (see :func:`reservoir`)."""

    def blocks() -> Iterator[Tensor]:
        for maps, valid in stream:
            x = local_features(maps[0])
            yield x[valid.flatten(1).to(x.device)] if valid is not None else x.flatten(0, 1)

    return reservoir(blocks(), count, seed)


def kmeans(x: Tensor, k: int, seed: int) -> Tensor:
    """Centroids ``(k, d)`` float32 of all rows ``(n, d)``, the best of :data:`RUNS` runs.

    NotFitted when there are fewer rows than centroids.
    """
    import faiss

    if len(x) < k:
        raise NotFitted(f"{k} centroids need as many local features, there are {len(x)}; add photos")
    every = -(-len(x) // k)  # FAISS takes a sample of 256 rows a centroid unless it is told
    model = faiss.Kmeans(
        x.shape[1], k, niter=25, nredo=RUNS, seed=seed, min_points_per_centroid=1, max_points_per_centroid=every
    )
    model.train(np.ascontiguousarray(x.cpu().numpy(), dtype=np.float32))
    return torch.from_numpy(np.array(model.centroids, dtype=np.float32))


def mixture(x: Tensor, k: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Diagonal Gaussian mixture of rows ``(n, d)`` by EM: weights ``(k,)``, means and deviations ``(k, d)``, float64.

    Variances are floored at a thousandth of their mean. NotFitted when there are fewer rows than Gaussians.
    """
    from sklearn.mixture import GaussianMixture

    if len(x) < k:
        raise NotFitted(f"{k} Gaussians need as many local features, there are {len(x)}; add photos")
    floor = max(EPS, 1e-3 * float(x.var(0, unbiased=False).mean()))
    model = GaussianMixture(k, covariance_type="diag", reg_covar=floor, max_iter=60, random_state=seed)
    model.fit(x.cpu().double().numpy())
    found = (model.weights_, model.means_, np.sqrt(model.covariances_))
    weights, means, sigmas = (torch.from_numpy(value) for value in found)
    return weights, means, sigmas
