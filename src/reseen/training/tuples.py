"""Which tuples an epoch holds: pairs drawn, negatives mined with the current network."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from reseen.errors import TrainingError
from reseen.images import Longest
from reseen.photosets import PhotoSet
from reseen.search.local.sift import RootSift
from reseen.training.mining import positives
from reseen.training.mining.negatives import Rule as NegativeRule
from reseen.training.mining.negatives import mine_negatives
from reseen.training.mining.selection import (
    choose_candidates,
    choose_queries,
    inliers,
    middle_photos,
    near_chosen,
    random_pairs,
    verified,
)
from reseen.training.settings import Pairs, TrainingSettings
from reseen.training.views import View, ViewReader
from reseen.types import Vectors

Encode = Callable[[Sequence[View]], Vectors]
log = logging.getLogger(__name__)


def choose_pairs(data: PhotoSet, settings: TrainingSettings, reader: ViewReader, encode: Encode) -> PhotoSet:
    """The set with its pairs and candidate negatives chosen as the recipe says; they stay for the whole run.

    Photos keep their virtual pairs, which are with themselves.

    Raises:
        TrainingError: nothing matches (every cluster has one photo, say).
    """
    rule, seed = settings.pairs, settings.seed
    alone = -1 - np.arange(len(data.photos))
    free = np.where(data.virtual, alone, data.clusters)
    negatives = data.negatives
    if rule.rule == "given":
        drawn = draw_pairs(np.where(data.unpaired, free, alone), data, settings, reader, encode)
        own = np.concatenate([data.pairs, drawn])
        negatives = np.pad(negatives, ((0, len(drawn)), (0, 0)), constant_values=-1)
    elif rule.rule == "random":
        own = np.concatenate([data.virtual_pairs, draw_pairs(free, data, settings, reader, encode)])
        negatives = np.zeros((len(own), 0), np.int64)
    else:
        pairs = query_pairs(data, rule, seed, encode)
        own = np.concatenate([data.virtual_pairs, pairs])
        negatives = np.zeros((len(own), 0), np.int64)
    if not len(own):
        raise TrainingError(
            f"{data.name}: no two photos match (every class has one photo?); add photos of the same things, "
            "or use them as references of virtual photos (virtual:FOLDER)"
        )
    candidates = data.candidates
    if candidates is None and rule.candidates:
        candidates = choose_candidates(data.clusters, np.unique(own), extra=rule.candidates, seed=seed)
    return replace(data, pairs=own, negatives=negatives, candidates=candidates)


def query_pairs(data: PhotoSet, rule: Pairs, seed: int, encode: Encode | None = None) -> NDArray[np.int64]:
    """Queries of each cluster and one positive of each by ``m1``, ``m2`` or ``m3``, ``(m, 2)``.

    siaMAC, Sections 4.2 and 5.1. ``encode`` gives the vectors that ``m1`` needs.
    """
    free = np.where(data.virtual, -1 - np.arange(len(data.photos)), data.clusters)
    queries = choose_queries(free, share=rule.share, most=rule.most, seed=seed)
    geometry = data.geometry
    if geometry is not None:
        pools = positives.nearest_cameras(queries, geometry.centres, data.clusters, rule.pool)
    else:
        numbers = np.arange(len(free))
        pools = [np.flatnonzero((free == free[q]) & (numbers != q)) for q in queries]
    vectors = None
    if rule.rule == "m1" and encode is not None:
        vectors = encode([View(i) for i in range(len(data.photos))])
    chosen = positives.choose_positives(
        rule.rule,  # type: ignore[arg-type]
        queries,
        pools,
        vectors=vectors,
        visible=geometry.visible if geometry else None,
        scales=geometry.scales if geometry else None,
        overlap=rule.overlap,
        scale_change=rule.scale_change,
        seed=seed,
    )
    found: NDArray[np.int64] = np.stack([queries, chosen], 1)[chosen >= 0]
    return found


def draw_pairs(
    clusters: NDArray[np.int64], data: PhotoSet, settings: TrainingSettings, reader: ViewReader, encode: Encode
) -> NDArray[np.int64]:
    """Random pairs within each cluster, ``(m, 2)``: of photos near the cluster's middle one when ``farthest`` is set,
    and only those that geometry verifies when ``inliers`` is set.
    """
    if settings.pairs.farthest:
        vectors = encode([View(i) for i in range(len(data.photos))])
        near = near_chosen(vectors, clusters, middle_photos(vectors, clusters), settings.pairs.farthest)
        clusters = np.where(near, clusters, clusters.min() - 1 - np.arange(len(clusters)))
    pairs = random_pairs(clusters, per_cluster=settings.pairs.per_cluster, seed=settings.seed)
    if settings.pairs.inliers:
        sift = RootSift()
        upright = ViewReader(data, settings.views, Longest(sift.side), workers=reader.workers)
        upright.rejected = reader.rejected
        used = np.unique(pairs).tolist()
        photos = zip(used, upright.stream(View(i) for i in used), strict=True)
        features = {number: sift.extract(pixels) for number, pixels in photos if pixels is not None}
        pairs = pairs[
            verified(inliers(pairs, features, settings.pairs.model, threads=reader.workers), *settings.pairs.inliers)
        ]
    return pairs


def epoch_order(data: PhotoSet, settings: TrainingSettings, epoch: int) -> NDArray[np.int64]:
    """Numbers of the pairs of an epoch, in the order they are trained on."""
    order = np.random.default_rng((settings.seed, 1, epoch)).permutation(len(data.pairs))
    wanted = settings.tuples_per_epoch
    if wanted > len(order):
        rest = np.random.default_rng((settings.seed, 2, epoch)).integers(0, len(order), wanted - len(order))
        return np.concatenate([order, rest])
    return order[:wanted] if wanted else order


def mine(
    data: PhotoSet,
    settings: TrainingSettings,
    rows: NDArray[np.int64],
    epoch: int,
    encode: Encode,
    rejected: dict[int, str],
) -> tuple[NDArray[np.int64], float]:
    """Photo numbers of the negatives of the pairs ``rows``, ``(len(rows), count)``, and the vectors' likeness.

    The likeness is the mean inner product of the pool's vectors, 1 when all are alike; 0 when nothing was encoded.
    """
    asked = settings.negatives
    if asked.rule == "none" or asked.source == "batch":
        return np.full((len(rows), 0), -1, np.int64), 0.0
    if asked.rule == "given":
        if not (data.negatives >= 0).any():
            raise TrainingError(f"{data.name}: gives no negatives; set negatives.rule to n2, say")
        return data.negatives[rows][:, : asked.count], 0.0
    rule = cast(NegativeRule, "semi-hard" if epoch < asked.warm else asked.rule)
    pool = data.candidates if data.candidates is not None else np.arange(len(data.photos))
    if asked.pool and asked.pool < len(pool):
        draw = np.random.default_rng((settings.seed, 3, epoch, int(rows[0])))
        pool = np.sort(draw.choice(pool, asked.pool, replace=False))
    pool = pool[~np.isin(pool, list(rejected))]
    query, positive = data.pairs[rows].T
    used = np.unique(np.concatenate([pool, query] + ([positive] if rule == "semi-hard" else [])))
    vectors = encode([View(i, "mild" if data.virtual[i] else "plain", 0) for i in used.tolist()])
    place = np.full(len(data.photos), -1)
    place[used] = np.arange(len(used))
    usable = np.linalg.norm(vectors[place[pool]], axis=1) > 0
    pool = pool[usable]
    found = mine_negatives(
        rule,
        vectors[place[query]],
        data.clusters[query],
        vectors[place[pool]],
        data.clusters[pool],
        asked.count,
        positives=vectors[place[positive]] if rule == "semi-hard" else None,
        margin=asked.margin,
        seed=settings.seed + epoch,
    )
    return np.where(found >= 0, pool[found], -1), likeness(vectors[place[pool]])


def likeness(vectors: Vectors) -> float:
    """Mean inner product of different rows of unit vectors ``(n, d)``; 0 for fewer than two."""
    n = len(vectors)
    if n < 2:
        return 0.0
    total = float((vectors.sum(0, dtype=np.float64) ** 2).sum())
    return (total - float((vectors.astype(np.float64) ** 2).sum())) / (n * (n - 1))
