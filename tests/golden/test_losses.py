"""Losses against their formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from formulas import loss

from reseen.heads.museum.fcn import fcn_loss
from reseen.training import losses

RNG = np.random.default_rng(0)
TUPLES = losses.Tuples(
    query=torch.tensor([0, 2]),
    positive=torch.tensor([1, 3]),
    negatives=torch.tensor([[4, 5, 2], [6, -1, 0]]),
    labels=torch.tensor([0, 0, 1, 1, 2, 3, 4]),
)


def rows(n, d=5, spread=0.35):
    """Unit rows near one another, so that margins are met."""
    drawn = 1 + spread * RNG.normal(size=(n, d))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def tensor(values):
    return torch.tensor(values, dtype=torch.float32)


def close(ours, golden):
    assert np.asarray(ours, np.float64) == pytest.approx(np.asarray(golden, np.float64), rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("margin", [0.7, 0.8, 0.2])
def test_contrastive(margin):
    x, y, matching = rows(20), rows(20), np.arange(20) % 3 == 0
    golden = [loss.contrastive(a, b, m, margin) for a, b, m in zip(x, y, matching, strict=True)]
    assert sum(value > 0 for value in golden) > 0
    close(losses.contrastive(tensor(x), tensor(y), torch.from_numpy(matching), margin), golden)


@pytest.mark.parametrize("margin", [0.1, 0.4])
def test_triplets(margin):
    q, p, n = rows(30), rows(30), rows(30)
    ours = losses.triplet(tensor(q), tensor(p), tensor(n), margin)
    close(ours, [loss.triplet(*row, margin) for row in zip(q, p, n, strict=True)])
    ours = losses.dot_triplet(tensor(q), tensor(p), tensor(n), margin)
    close(ours, [loss.dot_triplet(*row, margin) for row in zip(q, p, n, strict=True)])


@pytest.mark.parametrize("temperature", [0.07, 0.5])
def test_info_nce(temperature):
    q, p = rows(6), rows(6)
    close(losses.info_nce(tensor(q), tensor(p), temperature), loss.info_nce(q, p, temperature))


@pytest.mark.parametrize("temperature", [0.05, 0.5])
@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1], [0, 1, 0, 2, 1, 0]])
def test_smooth_average_precision(labels, temperature):
    v = rows(6)
    close(losses.smooth_ap(tensor(v), torch.tensor(labels), temperature), loss.smooth_ap(v, labels, temperature))


def test_losses_of_a_batch_are_sums_over_its_pairs_and_triplets():
    v = rows(7, spread=0.8)
    pairs = [(0, 1, True), (2, 3, True), (0, 4, False), (0, 5, False), (0, 2, False), (2, 6, False), (2, 0, False)]
    golden = sum(loss.contrastive(v[a], v[b], m, 0.7) for a, b, m in pairs)
    close(losses.create_loss("contrastive", margin=0.7)(tensor(v), TUPLES).total, golden)
    triplets = [(0, 1, 4), (0, 1, 5), (0, 1, 2), (2, 3, 6), (2, 3, 0)]
    for form, formula in (("squared", loss.triplet), ("dot", loss.dot_triplet)):
        golden = sum(formula(v[a], v[p], v[n], 0.3) for a, p, n in triplets)
        close(losses.create_loss("triplet", margin=0.3, form=form)(tensor(v), TUPLES).total, golden)
    golden = 2 * sum(loss.smooth_ap(v[:4], [0, 0, 1, 1], 0.2)) / 4
    close(losses.create_loss("smooth-ap", temperature=0.2)(tensor(v), TUPLES).total, golden)
    golden = sum(loss.info_nce(v[[0, 2]], v[[1, 3]], 0.2))
    close(losses.create_loss("info-nce", temperature=0.2)(tensor(v), TUPLES).total, golden)


def test_the_fully_convolutional_loss():
    scales = [RNG.normal(size=(1, 4, 3, 5)), RNG.normal(size=(1, 4, 1, 2))]
    golden = loss.fcn([s[0] for s in scales], 2)
    close(fcn_loss([tensor(s) for s in scales], torch.tensor([2])), golden)
