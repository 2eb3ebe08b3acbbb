"""Codebooks see all that they are given, and keep the best of several runs."""

import numpy as np
import pytest
import torch

from reseen.heads import codebooks
from reseen.heads.codebooks import kmeans


def inertia(x, centroids):
    return float(torch.cdist(x, centroids).min(1).values.square().sum())


def test_every_row_counts_however_many_there_are():
    """Two clusters of which one is a hundred times rarer than FAISS's own sample of 256 rows a centroid would show."""
    random = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 2, generator=random)
    got = kmeans(x, 2, seed=0)
    labels = torch.cdist(x, got).argmin(1)
    means = torch.stack([x[labels == i].mean(0) for i in range(2)])
    torch.testing.assert_close(got, means, atol=0.01, rtol=0)


def test_the_best_of_five_runs_is_kept(monkeypatch):
    random = torch.Generator().manual_seed(1)
    centres = 10 * torch.randn(12, 3, generator=random)
    x = (centres[:, None] + 0.1 * torch.randn(12, 50, 3, generator=random)).flatten(0, 1)
    assert codebooks.RUNS == 5
    best = [inertia(x, kmeans(x, 12, seed)) for seed in range(6)]
    monkeypatch.setattr(codebooks, "RUNS", 1)
    once = [inertia(x, kmeans(x, 12, seed)) for seed in range(6)]
    assert np.mean(best) < 0.5 * np.mean(once)
    assert all(b <= o + 1e-3 for b, o in zip(best, once, strict=True))


def test_a_seed_gives_one_codebook():
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(2))
    assert kmeans(x, 6, 3).equal(kmeans(x, 6, 3))
    assert not kmeans(x, 6, 3).equal(kmeans(x, 6, 4))
    assert kmeans(x, 6, 3).numpy() == pytest.approx(kmeans(x.double(), 6, 3).numpy())
