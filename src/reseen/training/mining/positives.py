"""Positives for training: siaMAC's three choices of the photo that matches a query (Section 4.2)."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reseen.errors import RecipeError, TrainingError
from reseen.training.mining.negatives import NONE, Labels
from reseen.types import Rows, Vectors

Rule = Literal["m1", "m2", "m3"]


def nearest_cameras(
    queries: Rows, centres: NDArray[np.floating], models: Labels, k: int = 100
) -> list[NDArray[np.int64]]:
    """The pool M(q): the k photos of the query's model with the closest camera centres, nearest first.

    Args:
        queries: ``(q,)`` photo numbers.
        centres: ``(n, 3)`` camera centres of all photos.
        models: ``(n,)`` the model that each photo belongs to.
        k: size of the pool.
    """
    pools = []
    for query in queries:
        rows = np.flatnonzero((models == models[query]) & (np.arange(len(models)) != query))
        away = np.linalg.norm(centres[rows] - centres[query], axis=1)
        pools.append(rows[np.argsort(away, kind="stable")[:k]])
    return pools


def choose_positives(
    rule: Rule,
    queries: Rows,
    pools: list[NDArray[np.int64]],
    *,
    vectors: Vectors | None = None,
    visible: csr_array | None = None,
    scales: NDArray[np.floating] | None = None,
    overlap: float = 0.2,
    scale_change: float = 1.5,
    seed: int = 0,
) -> Rows:
    """One positive of each query, ``(q,)`` photo numbers; -1 where none qualifies.

    Args:
        rule: ``m1``: the nearest descriptor of the pool (Eq. 6); ``m2``: the most co-observed points (Eq. 7);
            ``m3``: random among those with ``|P(i) & P(q)| / |P(q)| >= overlap`` and a scale change of at
            most ``scale_change`` (Eq. 8).
        queries: ``(q,)`` photo numbers.
        pools: candidates of each query.
        vectors: ``(n, d)`` unit rows, for ``m1``.
        visible: ``(n, points)`` bool, which photo observes which 3D point, for ``m2`` and ``m3``.
        scales: ``(n,)`` size at which each photo sees the scene (focal length over median depth), for ``m3``;
            the scale change of two photos is the larger over the smaller.
        overlap: ``m3``'s share of the query's points.
        scale_change: ``m3``'s largest change of scale.
        seed: of ``m3``'s choice.
    """
    if rule not in get_args(Rule):
        raise RecipeError(f"positives {rule!r} are not known; the known ones are m1, m2, m3")
    needs = {"m1": (vectors,), "m2": (visible,), "m3": (visible, scales)}[rule]
    if any(value is None for value in needs):
        raise TrainingError(
            f"positives {rule!r} need {'descriptors' if rule == 'm1' else 'the geometry of a reconstruction'}"
        )
    random = np.random.default_rng(seed)
    chosen = np.full(len(queries), NONE, dtype=np.int64)
    for i, (query, pool) in enumerate(zip(queries, pools, strict=True)):
        if not len(pool):
            continue
        if rule == "m1":
            assert vectors is not None
            chosen[i] = pool[(vectors[pool] @ vectors[query]).argmax()]
            continue
        assert visible is not None
        points = visible[[query]].indices
        shared = np.asarray(visible[pool][:, points].sum(1)).ravel()
        if rule == "m2":
            if shared.max() > 0:
                chosen[i] = pool[shared.argmax()]
            continue
        assert scales is not None
        ratio = scales[pool] / scales[query]
        change = np.maximum(ratio, 1 / ratio)
        fit = pool[(shared >= overlap * max(1, len(points))) & (change <= scale_change)]
        if len(fit):
            chosen[i] = random.choice(fit)
    return chosen
