"""Vectors -> vectors: PCA whitening, Lw, LDA, RN, power law, product quantisation. Axes may point either way."""

from __future__ import annotations

import math

import numpy as np

from formulas.pooling import unit


def eigen(matrix):
    """Eigenvalues, largest first, and vectors as rows."""
    values, vectors = np.linalg.eigh(matrix)
    return values[::-1], vectors[:, ::-1].T


def scatter(differences):
    """Sum of d d^T."""
    return sum(np.outer(d, d) for d in differences)


def pca(train, x, dim, power, shrinkage):
    """diag(lambda^(-power / 2)) E^T (x - mean), L2; shrinkage draws lambda to its mean."""
    mean = sum(train) / len(train)
    values, axes = eigen(scatter(row - mean for row in train) / len(train))
    values = (1 - shrinkage) * values + shrinkage * sum(values) / len(values)
    return [unit([values[i] ** (-power / 2) * (axes[i] @ (row - mean)) for i in range(dim)]) for row in x]


def lw_paper(train, pairs, x, dim, shrinkage=0.0):
    """siaMAC, Section 3.3: C_S^(-1/2) eig(C_S^(-1/2) C_D C_S^(-1/2)) on the D largest, mu the mean of all."""
    matching = {frozenset((int(a), int(b))) for a, b in pairs}
    inner = scatter(train[a] - train[b] for a, b in pairs)
    n = len(train)
    outer = scatter(train[i] - train[j] for i in range(n) for j in range(i + 1, n) if frozenset((i, j)) not in matching)
    values, axes = eigen((1 - shrinkage) * inner + shrinkage * np.trace(inner) / len(inner) * np.eye(len(inner)))
    root = sum(value**-0.5 * np.outer(axis, axis) for value, axis in zip(values, axes, strict=True))
    _, turned = eigen(root @ outer @ root)
    mean = sum(train) / n
    return [unit((turned[:dim] @ root) @ (row - mean)) for row in x]


def lw_published(train, pairs, x, dim):
    """The authors' code: mean of the queries, C_S = L L^T, all vectors about that mean for the differences."""
    mean = sum(train[a] for a, _ in pairs) / len(pairs)
    inner = scatter(train[a] - train[b] for a, b in pairs) / len(pairs)
    whiten = np.linalg.inv(np.linalg.cholesky(inner))
    _, turned = eigen(scatter(whiten @ (row - mean) for row in train))
    return [unit(turned[:dim] @ whiten @ (row - mean)) for row in x]


def lda(train, classes, x, dim):
    """Directions of the largest between-class over within-class scatter; the total scatter along each is one."""
    mean = sum(train) / len(train)
    centres = {c: sum(train[classes == c]) / sum(classes == c) for c in set(classes)}
    within = scatter(row - centres[c] for row, c in zip(train, classes, strict=True))
    total = scatter(row - mean for row in train)
    values, vectors = np.linalg.eig(np.linalg.solve(within, total - within))
    kept = [vectors.real[:, i] for i in np.argsort(-values.real)[:dim]]
    return [unit([v @ (row - mean) / math.sqrt(v @ total @ v) for v in kept]) for row in x]


def rotated(train, x, dropped):
    """RN: rotated to the principal axes about the mean, the leading ones dropped, L2."""
    mean = sum(train) / len(train)
    _, axes = eigen(scatter(row - mean for row in train))
    return [unit(axes[dropped:] @ (row - mean)) for row in x]


def power_law(x, exponent):
    """sign(x) |x|^a, L2."""
    return [unit([math.copysign(abs(v) ** exponent, v) for v in row]) for row in x]


def codes(x, centroids):
    """Nearest centroid of each part."""
    width = len(centroids[0][0])
    return [
        [
            min(range(len(part)), key=lambda c: sum((row[p * width : (p + 1) * width] - part[c]) ** 2))
            for p, part in enumerate(centroids)
        ]
        for row in x
    ]


def asymmetric(query, code, centroids):
    """Squared distance of a query from a coded vector: sum over the parts."""
    width = len(centroids[0][0])
    return sum(sum((query[p * width : (p + 1) * width] - centroids[p][number]) ** 2) for p, number in enumerate(code))
