"""Selective deep convolutional features: masks (Section 3.2), embeddings (4.2), aggregation (4.3)."""

from __future__ import annotations

import math

import numpy as np

from formulas.pooling import posteriors, unit


def sum_mask(maps):
    """Eq. 3: places whose sum over channels is at least the median of the sums."""
    _, height, width = maps.shape
    sums = {(y, x): sum(float(v) for v in maps[:, y, x]) for y in range(height) for x in range(width)}
    ordered = sorted(sums.values())
    middle = len(ordered) // 2
    median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
    return {place for place, value in sums.items() if value >= median}


def max_mask(maps):
    """Eq. 2: the place of every channel's maximum."""
    _, height, width = maps.shape
    return {
        max(((y, x) for y in range(height) for x in range(width)), key=lambda place: float(channel[place]))
        for channel in maps
    }


def sift_mask(points, grid, size):
    """Eq. 1 for keypoints counted from 0: round(x W / W_I) with both counted from 1, kept inside the grid."""
    (height, width), (high, wide) = grid, size
    out = set()
    for x, y in points:
        column = math.floor((float(x) + 1) * width / wide + 0.5)
        row = math.floor((float(y) + 1) * height / high + 0.5)
        out.add((min(max(row, 1), height) - 1, min(max(column, 1), width) - 1))
    return out or {(y, x) for y in range(height) for x in range(width)}


def fv(x, weights, means, sigmas):
    """Eq. 4: all u_i, then all v_i."""
    p = posteriors(x, weights, means, sigmas)
    u, v = [], []
    for i, w in enumerate(weights):
        for k in range(len(x)):
            z = (x[k] - means[i][k]) / sigmas[i][k]
            u.append(p[i] / math.sqrt(w) * z)
            v.append(p[i] / math.sqrt(2 * w) * (z * z - 1))
    return np.array(u + v)


def vlad(x, centroids):
    """Eq. 5."""
    nearest = min(range(len(centroids)), key=lambda i: sum((x - centroids[i]) ** 2))
    return np.concatenate([x - c if i == nearest else np.zeros(len(x)) for i, c in enumerate(centroids)])


def temb(x, centroids):
    """Eq. 6."""
    return np.concatenate([unit(x - c) for c in centroids])


def coefficients(x, centroids, mu):
    """Minimum of 1/2 |B g - x|^2 + mu/2 |g|^2 sum_j |x - c_j|_1^3 under sum g = 1, by its Lagrange equations."""
    k = len(centroids)
    a = sum(sum(abs(float(v)) for v in x - c) ** 3 for c in centroids)
    system, right = np.zeros((k + 1, k + 1)), np.zeros(k + 1)
    for i in range(k):
        for j in range(k):
            system[i, j] = centroids[i] @ centroids[j] + (mu * a if i == j else 0.0)
        system[i, k] = system[k, i] = 1.0
        right[i] = centroids[i] @ x
    right[k] = 1.0
    return np.linalg.solve(system, right)[:k]


def faemb(x, centroids, mu, unit_residuals):
    """Eq. 7: s_i = gamma_i V((x - c_i)(x - c_i)^T), V the upper triangle row by row."""
    out = []
    for gamma, c in zip(coefficients(x, centroids, mu), centroids, strict=True):
        residual = unit(x - c) if unit_residuals else x - c
        out += [gamma * residual[i] * residual[j] for i in range(len(x)) for j in range(i, len(x))]
    return np.array(out)


def whitening(embedded, floored):
    """Mean and whitening matrix of embedded features; the last ``floored`` eigenvalues count as the floored-th last."""
    mean = sum(embedded) / len(embedded)
    covariance = sum(np.outer(e - mean, e - mean) for e in embedded) / len(embedded)
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = values[::-1].copy(), vectors[:, ::-1]
    if len(values) > floored:
        values[-floored:] = values[-floored]
    return mean, np.diag(values**-0.5) @ vectors.T


def democratic(features, iterations=10):
    """Democratic aggregation: lambda from the clipped Gram matrix, psi = sum lambda_i phi_i."""
    n = len(features)
    gram = [[max(float(a @ b), 0.0) for b in features] for a in features]
    weights = [1.0] * n
    for _ in range(iterations):
        sums = [sum(gram[i][j] for i in range(n)) for j in range(n)]
        delta = [s**-0.5 if s > 0 else 0.0 for s in sums]
        gram = [[gram[i][j] * delta[i] * delta[j] for j in range(n)] for i in range(n)]
        weights = [w * d for w, d in zip(weights, delta, strict=True)]
    return sum(w * f for w, f in zip(weights, features, strict=True))


def aggregate(features, kind):
    """Section 4.3."""
    if kind == "sum":
        return sum(features)
    if kind == "average":
        return sum(features) / len(features)
    if kind == "max":
        return np.array([max(f[i] for f in features) for i in range(len(features[0]))])
    return democratic(features)
