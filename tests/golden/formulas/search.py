"""Expansion of queries and databases, and the measures of rankings."""

from __future__ import annotations

import numpy as np

from formulas.loss import dot
from formulas.pooling import unit


def ranked(query, database, skip=None):
    """Rows by similarity, best first."""
    return sorted((i for i in range(len(database)) if i != skip), key=lambda i: -dot(query, database[i]))


def alpha_qe(query, database, n, alpha):
    """l2(q + sum s_i^alpha x_i), s not below 0; alpha 0 is the plain mean."""
    total = np.array(query, float)
    for i in ranked(query, database)[:n]:
        total = total + max(dot(query, database[i]), 0.0) ** alpha * database[i]
    return unit(total)


def augmented(database, row, n, weight):
    """A vector with its n nearest others, weighed by ``weight(rank from 1, similarity)``, itself at 1."""
    total = np.array(database[row], float)
    for r, i in enumerate(ranked(database[row], database, skip=row)[:n], start=1):
        total = total + weight(r, dot(database[row], database[i])) * database[i]
    return unit(total)


def without_junk(ranking, junk):
    """Junk is removed before ranks count."""
    return [i for i in ranking if i not in junk]


def average_precision(ranking, relevant, junk):
    """Oxford's compute_ap: trapezoids under precision over recall."""
    total, hits, precision, recall = 0.0, 0, 1.0, 0.0
    for rank, i in enumerate(without_junk(ranking, junk), start=1):
        hits += i in relevant
        total += (hits / len(relevant) - recall) * (precision + hits / rank) / 2
        precision, recall = hits / rank, hits / len(relevant)
    return total


def finite_average_precision(ranking, relevant, junk):
    """Instance search, Eq. 4.6."""
    total, hits = 0.0, 0
    for rank, i in enumerate(without_junk(ranking, junk), start=1):
        if i in relevant:
            hits += 1
            total += hits / rank
    return total / len(relevant)


def average_precision_at(ranking, relevant, junk, k):
    """Google Landmarks: precision at each relevant of the first k over min(relevant, k)."""
    total, hits = 0.0, 0
    for rank, i in enumerate(without_junk(ranking, junk)[:k], start=1):
        if i in relevant:
            hits += 1
            total += hits / rank
    return total / min(len(relevant), k)


def precision_at(ranking, relevant, junk, k):
    """Instance search, Eq. 4.3."""
    return sum(i in relevant for i in without_junk(ranking, junk)[:k]) / k


def revisited_precision_at(ranking, relevant, junk, k):
    """Revisited Oxford: over min(k, rank of the last relevant)."""
    clean = without_junk(ranking, junk)
    last = max(rank for rank, i in enumerate(clean, start=1) if i in relevant)
    return precision_at(ranking, relevant, junk, min(k, last))
