"""Mutual matches that pass the ratio test, of one query against a whole shortlist."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reseen.search.local.base import LocalFeatures


@dataclass(frozen=True)
class Pairs:
    """Matches of one pair of photos: rows of the query's and of the photo's features, and how distinct.

    Attributes:
        query, photo: ``(m,)`` int64 row numbers; each occurs at most once on its side.
        ratio: ``(m,)`` float32, distance to the match over distance to the second nearest.
        similarity: ``(n, k)`` float32, inner products of all descriptors, for a guided second pass.
    """

    query: NDArray[np.int64]
    photo: NDArray[np.int64]
    ratio: NDArray[np.float32]
    similarity: NDArray[np.float32]


def match_shortlist(
    query: LocalFeatures, photos: Sequence[LocalFeatures], ratio: float = 0.9, threads: int = 4
) -> list[Pairs]:
    """Mutual nearest neighbours under the ratio test (Lowe, 2004), by one matrix product for the shortlist.

    Repeated structure (grids, text, watermarks) fails the ratio test: its second neighbour is as near.
    """
    if not photos:
        return []
    stacked = np.concatenate([p.vectors() for p in photos])
    products = stacked @ query.vectors().T
    ends = np.cumsum([len(p) for p in photos])
    blocks = [products[e - len(p) : e] for p, e in zip(photos, ends, strict=True)]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda block: _mutual(block, ratio), blocks))


def _mutual(similarity: NDArray[np.float32], ratio: float) -> Pairs:
    """``(k, n)`` products of a photo's k and the query's n features -> their mutual distinct matches."""
    k, n = similarity.shape
    none = np.zeros(0, np.int64)
    if k < 2 or n < 2:
        return Pairs(none, none, np.zeros(0, np.float32), similarity.T)
    nearest = similarity.argmax(1)
    backwards = similarity.argmax(0)
    photo = np.flatnonzero(backwards[nearest] == np.arange(k))
    query = nearest[photo]
    rows = similarity[photo].copy()
    best = rows[np.arange(len(photo)), query]
    rows[np.arange(len(photo)), query] = -2
    second = rows.max(1)
    quotient = np.sqrt(np.maximum(1 - best, 0) / np.maximum(1 - second, 1e-6)).astype(np.float32)
    good = quotient < ratio
    return Pairs(query[good], photo[good], quotient[good], similarity.T)
