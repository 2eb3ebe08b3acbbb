"""Maps ``(C, H, W)`` of one photo -> one vector: MAC, SPoC, GeM, CroW, R-MAC, REMAP, Fisher, NetVLAD, museum."""

from __future__ import annotations

import math

import numpy as np


def unit(v):
    """L2; zero stays zero."""
    length = math.sqrt(sum(float(x) ** 2 for x in v))
    return np.array([float(x) / length if length else 0.0 for x in v])


def cells(maps):
    """Local features, row by row."""
    return [maps[:, y, x].astype(float) for y in range(maps.shape[1]) for x in range(maps.shape[2])]


def mac(maps):
    """siaMAC, Eq. 1: f_k = max over x of x . 1(x > 0)."""
    return np.array([max(max(float(x), 0.0) for x in channel.flatten()) for channel in maps])


def spoc(maps):
    """Sum over places."""
    return np.array([sum(float(x) for x in channel.flatten()) for channel in maps])


def gem(maps, p, floor):
    """((1 / |X|) sum x^p)^(1/p)."""
    out = []
    for channel in maps:
        values = [max(float(x), floor) ** p for x in channel.flatten()]
        out.append((sum(values) / len(values)) ** (1 / p))
    return np.array(out)


def crow(maps, a=2.0, b=2.0):
    """Places by (S / |S|_a)^(1/b), channels by log(sum of the shares of non-zero places / their own share)."""
    channels, height, width = maps.shape
    total = [[sum(float(maps[c, y, x]) for c in range(channels)) for x in range(width)] for y in range(height)]
    norm = sum(abs(s) ** a for row in total for s in row) ** (1 / a)
    shares = [sum(v != 0 for v in channel.flatten()) / (height * width) for channel in maps]
    out = []
    for c in range(channels):
        pooled = sum(
            float(maps[c, y, x]) * (total[y][x] / norm) ** (1 / b) for y in range(height) for x in range(width)
        )
        out.append(pooled * math.log(sum(shares) / shares[c]) if shares[c] else 0.0)
    return np.array(out)


def grid(height, width, levels):
    """R-MAC's regions ``(x0, y0, x1, y1)``: neighbours overlap as close to 40 % as can be (REMAP, Section III)."""
    short, long = min(height, width), max(height, width)
    best, extra = None, 0
    for n in range(2, 8):
        step = (long - short) / (n - 1)
        away = abs((short * short - short * step) / (short * short) - 0.4)
        if best is None or away < best - 1e-12:
            best, extra = away, n - 1
    if height == width:
        extra = 0
    out = []
    for level in range(1, levels + 1):
        side = 2 * short // (level + 1)
        if side == 0:
            continue
        across = level + (extra if width > height else 0)
        down = level + (extra if height > width else 0)
        for i in range(down):
            y = i * (height - side) // (down - 1) if down > 1 else 0
            for j in range(across):
                x = j * (width - side) // (across - 1) if across > 1 else 0
                out.append((x, y, x + side, y + side))
    return out


def regions(maps, levels):
    """Unit vectors of the maxima in each region (REMAP's L2(zeta(o)))."""
    return [unit(mac(maps[:, y0:y1, x0:x1])) for x0, y0, x1, y1 in grid(*maps.shape[1:], levels)]


def rmac(maps, levels, whole):
    """Sum of the regions' unit maxima; the published code counts the whole map as one more region."""
    return sum(regions(maps, levels) + ([unit(mac(maps))] if whole else []))


def whitened_rmac(maps, levels, matrix, bias):
    """REMAP, Section II-B: regions L2, PCA and whitening, L2 again, sum."""
    return sum(unit(matrix @ region + bias) for region in regions(maps, levels))


def remap(layers, levels, alphas, matrix=None, bias=None, between=False):
    """REMAP, Section III: per layer the weighted sum of regions, concatenated; the fully connected layer."""
    streams = []
    for maps, alpha in zip(layers, alphas, strict=True):
        total = np.zeros(len(maps))
        for weight, region in zip(alpha, regions(maps, levels), strict=True):
            total = total + float(weight) * region
        streams.append(total)
    p = np.concatenate(streams)
    if between:
        p = unit(p)
    return unit(p if matrix is None else matrix @ p + bias)


def divergence(matching, others, bins, smoothing):
    """KL(Pr(y | matching) || Pr(y | others)) of one region's distances, histograms over 0..2."""

    def density(distances):
        counts = [smoothing] * bins
        for d in distances:
            counts[min(int(float(d) / 2 * bins), bins - 1)] += 1
        return [count / sum(counts) for count in counts]

    m, n = density(matching), density(others)
    return sum(a * math.log(a / b) for a, b in zip(m, n, strict=True))


def posteriors(x, weights, means, sigmas, printed=False):
    """SIAM-FV, Eq. 1; as printed it leaves out the weights and the normalisers of the Gaussians."""
    values = []
    for w, mean, sigma in zip(weights, means, sigmas, strict=True):
        power = sum(((x[k] - mean[k]) / sigma[k]) ** 2 for k in range(len(x)))
        value = math.exp(-0.5 * power)
        values.append(value if printed else w * value / math.prod(float(s) for s in sigma))
    return [value / sum(values) for value in values]


def fisher(maps, weights, means, sigmas, printed=False):
    """SIAM-FV, Eq. 2 with sigma^-1: 1 / (T sqrt w_j) sum_t tau_tj (x_t - mu_j) / sigma_j."""
    features = cells(maps)
    zeta = np.zeros((len(weights), maps.shape[0]))
    for x in features:
        tau = posteriors(x, weights, means, sigmas, printed)
        for j in range(len(weights)):
            for k in range(len(x)):
                zeta[j, k] += tau[j] * (x[k] - means[j][k]) / sigmas[j][k]
    for j in range(len(weights)):
        zeta[j] /= len(features) * math.sqrt(weights[j])
    return zeta.flatten()


def netvlad(maps, matrix, bias, centres):
    """Unit local features; V(j, k) = sum_i a_k(x_i) (x_i(j) - c_k(j)); each cluster's column to unit length."""
    out = np.zeros_like(np.asarray(centres, float))
    for x in (unit(cell) for cell in cells(maps)):
        raised = [math.exp(float(w @ x) + float(b)) for w, b in zip(matrix, bias, strict=True)]
        for k in range(len(centres)):
            out[k] += raised[k] / sum(raised) * (x - centres[k])
    return np.concatenate([unit(row) for row in out])


def places(activations, k):
    """The k places of highest maximal class activation, best first (museum, Section 3.4.2)."""
    _, height, width = activations.shape
    ranked = sorted((-float(activations[:, y, x].max()), y, x) for y in range(height) for x in range(width))
    return [(y, x) for _, y, x in ranked[:k]]


def museum(maps, activations, k, side, matrix, bias):
    """Windows of the k places: L2, shift and fully connected layer, sum over the places, L2 (Section 3.4.2)."""
    total = 0.0
    for y, x in places(activations, k):
        window = maps[:, y : y + side, x : x + side].astype(float).flatten()
        total = total + matrix @ unit(window) + bias
    return unit(total)


def multi_scale(vectors, weights, p=1.0):
    """REMAP, Eq. 3: X_m = 2 X_1 + 1.4 X_2, L2; with GeM's p the mean is generalised too."""
    total = [sum(w * max(float(x), 0.0) ** p if p != 1 else w * float(x) for w, x in zip(weights, column, strict=True))
             for column in zip(*vectors, strict=True)]  # fmt: skip
    return unit([value ** (1 / p) if p != 1 else value for value in total])
