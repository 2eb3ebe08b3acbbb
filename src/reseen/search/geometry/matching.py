"""Mutual matches that pass the ratio test, of one photo's descriptors against another's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Pairs:
    """Matches of one pair of photos: rows of the query's and of the photo's features.

    Attributes:
        query, photo: ``(m,)`` int64 row numbers; each occurs at most once on its side.
        similarity: ``(k, n)`` float32, inner products of the photo's k and the query's n descriptors.
        margin: ``(m,)`` float32 above 0, how clearly each match beats the second one: the log of the quotient of their
            squared distances.
    """

    query: NDArray[np.int64]
    photo: NDArray[np.int64]
    similarity: NDArray[np.float32]
    margin: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.query)


def match(query: NDArray[np.float32], photo: NDArray[np.float32], ratio: float = 0.9) -> Pairs:
    """Mutual nearest neighbours under the ratio test (Lowe, 2004).

    The second neighbour is looked for in the query: repeated structure there (grids, text, watermarks) fails the
    test, as its second neighbour is as near, while an object that the photo shows twice passes.

    Args:
        query: unit descriptors ``(n, d)``.
        photo: unit descriptors ``(k, d)``.
        ratio: largest quotient of the distances to the nearest and to the second nearest.
    """
    similarity = photo @ query.T
    none = np.zeros(0, np.int64)
    if min(similarity.shape) < 2:
        return Pairs(none, none, similarity, np.zeros(0, np.float32))
    rows = np.arange(len(photo))
    nearest = similarity.argmax(1)
    best = similarity[rows, nearest]
    matched = np.flatnonzero(best >= similarity.max(0)[nearest])
    # several photo features may tie for one query feature; the first of them is its match
    _, first = np.unique(nearest[matched], return_index=True)
    matched = matched[np.sort(first)]
    others = similarity[matched]
    others[np.arange(len(matched)), nearest[matched]] = -2
    near, next_near = 1 - best[matched], 1 - others.max(1)
    passed = near < ratio**2 * next_near
    kept = matched[passed]
    margin = np.log(np.maximum(next_near[passed], 1e-6) / np.maximum(near[passed], 1e-6))
    return Pairs(nearest[kept], kept, similarity, margin)
