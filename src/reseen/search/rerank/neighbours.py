"""Re-ranking by descriptors alone: what the first hits say about each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from reseen.search.ranking import Ranking
from reseen.search.rerank.base import Evidence, permuted, rescored
from reseen.types import Vectors


def _unit(x: NDArray[Any]) -> Vectors:
    return np.asarray(x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12), np.float32)


def superglobal(
    query: Vectors,
    vectors: Vectors,
    neighbours: int = 9,
    beta: float = 0.15,
    pool: Literal["max", "mean"] = "max",
    *,
    rises: Vectors | None = None,
) -> Vectors:
    """Scores ``(n,)`` of the first hits ``(n, d)`` by refined descriptors (SuperGlobal: Shao et al., 2023, Section 4).

    As in the published code: each hit becomes the mean of itself and of its nearest ``neighbours`` among the hits,
    weighted by 1 and ``beta * similarity``; the ``neighbours + 1`` hits whose refined vectors are most alike the query
    are pooled into a refined query; the score is the mean of a refined hit's products with both.

    Args:
        query: unit ``(d,)``.
        vectors: unit ``(n, d)``.
        neighbours: the paper's K.
        beta: of the weights.
        pool: ``max`` as published; ``mean`` for vectors that were rotated by a whitening, whose largest values mean
            nothing.
        rises: ``(n,)`` what other evidence adds to the refined similarities when those hits are chosen.
    """
    similarity = vectors @ vectors.T
    np.fill_diagonal(similarity, np.inf)
    count = min(neighbours + 1, len(vectors))
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    weights = beta * np.take_along_axis(similarity, nearest, 1)
    weights[:, 0] = 1
    refined = np.einsum("nk,nkd->nd", weights, vectors[nearest]) / weights.sum(1, keepdims=True)
    first = refined @ query
    chosen = first if rises is None else first + rises
    best = refined[np.argsort(-chosen, kind="stable")[:count]]
    asked = best.max(0) if pool == "max" else best.mean(0)
    return np.asarray((first + refined @ asked) / 2, np.float32)


def k_reciprocal(
    query: Vectors, vectors: Vectors, k1: int = 20, k2: int = 6, balance: float = 0.3
) -> NDArray[np.float64]:
    """Jaccard distance of k-reciprocal neighbours, ``(n,)``, mixed with the cosine distance (Zhong et al., 2017).

    ``k1`` neighbours make the sets (Eq. 3 and 5: sets grow by neighbours' halves that overlap by two thirds),
    ``k2`` the local expansion (Eq. 11), ``balance`` is the share of the cosine distance (Eq. 12). As in the published
    code, distances are squared and each photo's are divided by its largest.
    """
    everyone = np.concatenate([query[None], vectors])
    distance = np.maximum(0, 2 - 2 * (everyone @ everyone.T)).astype(np.float64)
    distance /= np.maximum(distance.max(1, keepdims=True), 1e-12)
    order = np.argsort(distance, axis=1, kind="stable")
    total = len(everyone)

    def reciprocal(k: int) -> NDArray[np.bool_]:
        near = np.zeros((total, total), bool)
        np.put_along_axis(near, order[:, : k + 1], True, axis=1)
        return near & near.T

    whole, half = reciprocal(k1), reciprocal(max(1, k1 // 2))
    encoded = np.zeros((total, total))
    for row in range(total):
        members = whole[row].copy()
        for other in np.flatnonzero(whole[row]):
            if (half[other] & whole[row]).sum() * 3 > 2 * half[other].sum():
                members |= half[other]
        encoded[row, members] = np.exp(-distance[row, members])
    encoded /= np.maximum(encoded.sum(1, keepdims=True), 1e-12)
    encoded = encoded[order[:, :k2]].mean(1)
    shared = np.minimum(encoded[:1], encoded[1:]).sum(1)
    jaccard = 1 - shared / np.maximum(2 - shared, 1e-12)
    return np.asarray((1 - balance) * jaccard + balance * distance[0, 1:])


def diffuse(
    query: Vectors, vectors: Vectors, neighbours: int = 10, alpha: float = 0.9, gamma: float = 3.0, start: int = 5
) -> NDArray[np.float64]:
    """Diffusion on the shortlist's graph, ``(n,)``, in closed form (Iscen et al., 2017, Section 3 and Eq. 8).

    The graph joins mutual nearest ``neighbours`` with ``similarity^gamma``, is normalised symmetrically, and heat
    flows from the ``start`` hits nearest to the query: ``(I - alpha S) f = y``. The published code has alpha 0.99, 50
    neighbours and 10 to start from on a graph of the whole database; on a shortlist fewer neighbours and less heat keep
    to what is near.
    """
    n = len(vectors)
    similarity = np.maximum(vectors @ vectors.T, 0).astype(np.float64)
    np.fill_diagonal(similarity, 0)
    near = np.zeros((n, n), bool)
    np.put_along_axis(near, np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours], True, axis=1)
    graph = np.where(near & near.T, similarity**gamma, 0)
    degree = np.sqrt(np.maximum(graph.sum(1), 1e-12))
    graph /= degree[:, None] * degree[None]
    first = np.maximum(vectors @ query, 0).astype(np.float64) ** gamma
    heat = np.where(np.argsort(np.argsort(-first, kind="stable"), kind="stable") < start, first, 0)
    return np.asarray(np.linalg.solve(np.eye(n) - alpha * graph, heat))


@dataclass(frozen=True)
class SuperGlobalStage:
    """:func:`superglobal` of the first ``depth`` hits.

    What an earlier stage found stays: each hit's score rises or falls as its refined score does against its similarity.
    The method takes it that a query has several matches. Where geometry has looked, the first hit stays first, which it
    is with one match too.
    """

    depth: int = 100
    neighbours: int = 9
    beta: float = 0.15
    pool: Literal["max", "mean"] = "mean"
    name: str = "superglobal"
    needs: frozenset[str] = frozenset()

    def __call__(self, ranking: Ranking, evidence: Evidence) -> Ranking:
        """The same photos in a new order."""
        ids = [hit.id for hit in ranking.hits[: self.depth]]
        if not ids:
            return ranking
        vectors = evidence.vectors(ids)
        hits = ranking.hits[: len(ids)]
        old = np.array([hit.score for hit in hits])
        similarity = vectors @ evidence.vector
        found = superglobal(
            evidence.vector,
            vectors,
            self.neighbours,
            self.beta,
            self.pool,
            rises=np.asarray(old - similarity, np.float32),
        )
        scores = old + found - similarity
        if hits[0].match is not None:
            scores[0] = scores.max()
        return rescored(ranking, scores)


@dataclass(frozen=True)
class ReciprocalStage:
    """:func:`k_reciprocal` of the first ``depth`` hits."""

    depth: int = 100
    k1: int = 20
    k2: int = 6
    balance: float = 0.3
    name: str = "reciprocal"
    needs: frozenset[str] = frozenset()

    def __call__(self, ranking: Ranking, evidence: Evidence) -> Ranking:
        """The hits in the order of the mixed distance; the scores stay where they are."""
        ids = [hit.id for hit in ranking.hits[: self.depth]]
        if not ids:
            return ranking
        mixed = k_reciprocal(evidence.vector, evidence.vectors(ids), self.k1, self.k2, self.balance)
        return permuted(ranking, -mixed)


@dataclass(frozen=True)
class DiffusionStage:
    """:func:`diffuse` over the first ``depth`` hits."""

    depth: int = 100
    neighbours: int = 10
    alpha: float = 0.9
    gamma: float = 3.0
    start: int = 5
    name: str = "diffusion"
    needs: frozenset[str] = frozenset()

    def __call__(self, ranking: Ranking, evidence: Evidence) -> Ranking:
        """The hits in the order of the heat; the scores stay where they are."""
        ids = [hit.id for hit in ranking.hits[: self.depth]]
        if not ids:
            return ranking
        heat = diffuse(evidence.vector, evidence.vectors(ids), self.neighbours, self.alpha, self.gamma, self.start)
        return permuted(ranking, heat)


@dataclass(frozen=True)
class VerifiedExpansionStage:
    """Alpha query expansion (Radenovic et al., 2018) with verified hits only, so that a false hit never poisons it.

    Each score changes by as much as the similarity to the query does. Without verified hits nothing changes.

    Args:
        depth: hits that are scored again.
        alpha: exponent of the similarity that weighs a hit.
        take: at most so many verified hits.
        least: probability from which a hit counts as verified.
    """

    depth: int = 100
    alpha: float = 1.0
    take: int = 10
    least: float = 0.9
    name: str = "expansion"
    follows: ClassVar[str] = "geometry"
    needs: frozenset[str] = frozenset()

    def __call__(self, ranking: Ranking, evidence: Evidence) -> Ranking:
        """Comes after ``geometry``, which says what is verified."""
        top = ranking.hits[: self.depth]
        sure = [row for row, hit in enumerate(top) if hit.match and hit.match.probability >= self.least]
        if not sure:
            return ranking
        vectors = evidence.vectors([hit.id for hit in top])
        before = vectors @ evidence.vector
        chosen = sure[: self.take]
        weights = np.maximum(before[chosen], 0) ** self.alpha
        expanded = _unit(evidence.vector + weights @ vectors[chosen])
        return rescored(ranking, np.array([hit.score for hit in top]) + vectors @ expanded - before)
