"""Losses of pairs, triplets and places."""

from __future__ import annotations

import math


def squared(x, y):
    """|x - y|^2."""
    return sum((float(a) - float(b)) ** 2 for a, b in zip(x, y, strict=True))


def dot(x, y):
    """x . y."""
    return sum(float(a) * float(b) for a, b in zip(x, y, strict=True))


def contrastive(x, y, matching, margin):
    """siaMAC Eq. 2, SIAM-FV Eq. 8."""
    d = math.sqrt(squared(x, y))
    return 0.5 * (d**2 if matching else max(0.0, margin - d) ** 2)


def triplet(q, p, n, margin):
    """REMAP Eq. 2."""
    return 0.5 * max(0.0, margin + squared(q, p) - squared(q, n))


def dot_triplet(a, p, n, margin):
    """Instance search, Eq. 3.4."""
    return max(0.0, dot(a, n) - dot(a, p) + margin)


def cross_entropy(activations, label):
    """-log softmax."""
    top = max(float(a) for a in activations)
    return top + math.log(sum(math.exp(float(a) - top) for a in activations)) - float(activations[label])


def fcn(scales, label):
    """Instance search, Eq. 3.5: mean over the places of a scale, mean over scales; activations ``(classes, h, w)``."""
    total = 0.0
    for activations in scales:
        _, height, width = activations.shape
        places = [cross_entropy(activations[:, y, x], label) for y in range(height) for x in range(width)]
        total += sum(places) / len(places)
    return total / len(scales)


def info_nce(queries, positives, temperature):
    """Cross-entropy of the own positive among all, in both directions, their mean."""
    n = len(queries)
    similarity = [[dot(q, p) / temperature for p in positives] for q in queries]
    return [
        0.5 * (cross_entropy(similarity[i], i) + cross_entropy([similarity[j][i] for j in range(n)], i))
        for i in range(n)
    ]


def smooth_ap(vectors, labels, temperature):
    """Brown et al., 2020: 1 - smoothed average precision of every vector among all, itself included."""
    out = []
    for q in range(len(vectors)):
        s = [dot(vectors[q], v) for v in vectors]
        positive = [i for i in range(len(vectors)) if labels[i] == labels[q]]

        def rank(i, among, s=s):
            return 1 + sum(1 / (1 + math.exp((s[i] - s[j]) / temperature)) for j in among if j != i)

        out.append(1 - sum(rank(i, positive) / rank(i, range(len(vectors))) for i in positive) / len(positive))
    return out
