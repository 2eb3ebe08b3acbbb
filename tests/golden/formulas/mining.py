"""Which photos train with which (siaMAC, Sections 4.2 and 5.1; REMAP, Section IV-A)."""

from __future__ import annotations

import math

from formulas.loss import dot, squared


def negatives(rule, query, label, pool, labels, k, positive=None, margin=0.1):
    """Nearest photos of other clusters; n2 with one of each; semi-hard ones farther than the positive first."""
    others = [i for i in range(len(pool)) if labels[i] != label]
    others.sort(key=lambda i: (squared(query, pool[i]), i))
    if rule == "semi-hard":
        edge = squared(query, positive)
        farther = [i for i in others if squared(query, pool[i]) > edge]
        band = [i for i in farther if squared(query, pool[i]) < edge + margin]
        others = band + [i for i in farther if i not in band]
    if rule == "n2":
        others = [i for n, i in enumerate(others) if labels[i] not in [labels[j] for j in others[:n]]]
    return (others + [-1] * k)[:k]


def nearest_cameras(query, centres, models, k):
    """M(q): the k photos of the query's model with the closest camera centres."""
    same = [i for i in range(len(models)) if models[i] == models[query] and i != query]
    return sorted(same, key=lambda i: (squared(centres[i], centres[query]), i))[:k]


def m1(query, pool, vectors):
    """Eq. 6."""
    return max(pool, key=lambda i: dot(vectors[query], vectors[i]))


def m2(query, pool, visible):
    """Eq. 7; none where nothing is shared."""
    shared = [sum(bool(a and b) for a, b in zip(visible[query], visible[i], strict=True)) for i in pool]
    return pool[shared.index(max(shared))] if max(shared) else -1


def m3(query, pool, visible, scales, overlap, change):
    """Eq. 8: those among which the positive is drawn."""
    fit = set()
    for i in pool:
        shared = sum(bool(a and b) for a, b in zip(visible[query], visible[i], strict=True))
        scale = max(scales[i] / scales[query], scales[query] / scales[i])
        if shared / sum(map(bool, visible[query])) >= overlap - 1e-12 and scale <= change + 1e-12:
            fit.add(i)
    return fit


def pairs_of(clusters):
    """Every pair of photos of one cluster."""
    n = len(clusters)
    return {(i, j) for i in range(n) for j in range(i + 1, n) if clusters[i] == clusters[j]}


def queries_of(size):
    """How many of a cluster's photos are queries: 10 %, 30 of larger ones; at least one, none of a single photo."""
    return 0 if size < 2 else min(30, max(1, math.floor(0.1 * size + 0.5)))
