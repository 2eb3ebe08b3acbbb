"""Masks, embeddings and aggregations against their formulas written out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from formulas import selective
from formulas.pooling import unit
from formulas.projection import eigen, scatter

from reseen.heads import create_head
from reseen.heads.selective import embeddings
from reseen.heads.selective.aggregation import aggregate
from reseen.heads.selective.masks import max_mask, sift_mask, sum_mask

RNG = np.random.default_rng(0)
CENTROIDS = RNG.normal(size=(4, 3))
FEATURES = np.array([row / np.linalg.norm(row) for row in RNG.normal(size=(12, 3))])


def tensor(values):
    return torch.tensor(np.asarray(values), dtype=torch.float32)


def close(ours, golden):
    """Equal to 1e-5 of the largest."""
    ours, golden = np.asarray(ours, np.float64), np.asarray(golden, np.float64)
    assert ours.shape == golden.shape
    assert np.abs(ours - golden).max() <= 1e-5 * np.abs(golden).max()


def places(mask):
    return {(int(y), int(x)) for y, x in torch.nonzero(mask)}


@pytest.mark.parametrize("size", [(4, 5), (5, 5), (7, 3), (1, 6)])
def test_masks_of_maps(size):
    maps = RNG.uniform(0.1, 1, (1, 6, *size)).astype(np.float32)
    assert places(sum_mask(torch.from_numpy(maps))[0]) == selective.sum_mask(maps[0])
    assert places(max_mask(torch.from_numpy(maps))[0]) == selective.max_mask(maps[0])


def test_masks_of_valid_cells_alone():
    maps = RNG.uniform(0.1, 1, (2, 6, 5, 7)).astype(np.float32)
    valid = RNG.random((2, 5, 7)) < 0.5
    given, shown = torch.from_numpy(maps), torch.from_numpy(valid)
    for i in range(2):
        cells = np.argwhere(valid[i])
        alone = maps[i][:, valid[i]][:, None, :]  # side by side
        for mask, formula in ((sum_mask, selective.sum_mask), (max_mask, selective.max_mask)):
            golden = {tuple(cells[x].tolist()) for _, x in formula(alone)}
            assert places(mask(given, shown)[i]) == golden


def test_values_below_zero_are_clamped_unless_they_are_kept():
    empty = torch.tensor([[[[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.5]]]])
    assert places(max_mask(empty)[0]) == {(0, 2)}
    maps = torch.tensor([[[[-1.0, -3.0, -2.0]], [[-9.0, 0.5, -9.0]]]])
    assert places(max_mask(maps)[0]) == {(0, 1)} and places(max_mask(maps, signed="keep")[0]) == {(0, 0), (0, 1)}
    assert places(sum_mask(maps)[0]) == {(0, 0), (0, 1), (0, 2)}
    assert places(sum_mask(maps, signed="keep")[0]) == {(0, 0), (0, 1)}


def test_what_the_head_selects_of_a_signed_layer_and_of_one_row():
    maps = torch.from_numpy(RNG.normal(size=(1, 6, 1, 8)).astype(np.float32))
    for mask, function in (("sum", sum_mask), ("max", max_mask)):
        for signed in ("keep", "clamp"):
            head = create_head("selective", (6,), d=4, k=3, mask=mask, embedding="vlad", signed=signed, maxpool=True)
            found, valid = head.local_features([maps])
            shown = maps if signed == "keep" else maps.clamp_min(0)
            close(found[valid], shown[0][:, function(maps, signed=signed)[0]].T)  # nothing to pool in one row


def test_the_mask_of_keypoints():
    grid, size = (12, 16), (192, 256)
    points = RNG.uniform(0, 1, (40, 2)).astype(np.float32) * [255, 191]
    edges = np.array([[0, 0], [255, 191], [0, 191], [3, 100]], np.float32)
    for given in (points.astype(np.float32), edges, np.zeros((0, 2), np.float32)):
        assert places(sift_mask([given], grid, size)[0]) == selective.sift_mask(given, grid, size)


def test_embeddings_of_single_features():
    weights, sigmas = np.array([0.4, 0.3, 0.2, 0.1]), RNG.uniform(0.5, 1.5, (4, 3))
    x, c = tensor(FEATURES), tensor(CENTROIDS)
    fisher = embeddings.fisher(x, tensor(weights), c, tensor(sigmas))
    close(fisher, [selective.fv(f, weights, CENTROIDS, sigmas) for f in FEATURES])
    close(embeddings.vlad(x, c), [selective.vlad(f, CENTROIDS) for f in FEATURES])
    close(embeddings.triangulate(x, c), [selective.temb(f, CENTROIDS) for f in FEATURES])
    for mu in (0.01, 0.3):
        gamma = embeddings.coefficients(x, c, mu)
        close(gamma, [selective.coefficients(f, CENTROIDS, mu) for f in FEATURES])
        for turned in (True, False):
            golden = [selective.faemb(f, CENTROIDS, mu, turned) for f in FEATURES]
            close(embeddings.ffaemb(x, c, mu, unit=turned), golden)


@pytest.mark.parametrize("kind", ["temb", "faemb", "faemb-eq7"])
@pytest.mark.parametrize("unit", [True, False])
def test_whitened_embeddings(kind, unit):
    d, k = (16, 9) if kind == "temb" else (6, 8)  # more dimensions than are floored or dropped
    floored = 33 if kind == "temb" else 129
    train = RNG.normal(size=(700, d))
    train /= np.linalg.norm(train, axis=1, keepdims=True)
    # in float64: whitening magnifies what float32 rounds off a flat direction
    ours = embeddings.EMBEDDINGS[kind](d, k, unit=unit).double().fit(torch.from_numpy(train))
    centroids = ours.centroids.double().numpy()

    def embed(x):
        if kind == "temb":
            return selective.temb(x, centroids)
        return selective.faemb(x, centroids, 0.01, kind == "faemb")

    mean, matrix = selective.whitening([embed(x) for x in train], floored)
    golden = np.array([matrix @ (embed(x) - mean) for x in train[:30]])
    if unit:
        golden /= np.linalg.norm(golden, axis=1, keepdims=True)
    found = ours(torch.from_numpy(train[:30])).numpy()
    close(found @ found.T, golden @ golden.T)  # axes may point either way


def test_whitening_of_flat_embeddings_stays_finite():
    """Features of two directions alone leave most of T-emb's eigenvalues at 0."""
    angles = RNG.uniform(0, 6.28, 500)
    flat = np.zeros((500, 16), np.float32)
    flat[:, 0], flat[:, 1] = np.cos(angles), np.sin(angles)
    ours = embeddings.EMBEDDINGS["temb"](16, 9, unit=False).fit(torch.from_numpy(flat))
    found = ours(torch.from_numpy(flat)).numpy()
    spread = np.linalg.svd(found - found.mean(0), compute_uv=False) / 500**0.5
    assert np.isfinite(found).all() and spread[0] < 1.1 and spread[1] > 0.9


@pytest.mark.parametrize("kind", ["sum", "average", "max", "democratic"])
def test_aggregation(kind):
    features = RNG.normal(size=(2, 9, 6))
    golden = [selective.aggregate(list(one), kind) for one in features]
    close(aggregate(tensor(features), kind), golden)
    valid = torch.ones(2, 9, dtype=torch.bool)
    valid[:, 5:] = False
    close(aggregate(tensor(features), kind, valid), [selective.aggregate(list(one[:5]), kind) for one in features])


@pytest.mark.parametrize(("mask", "chosen"), [("max", selective.max_mask), ("sum", selective.sum_mask)])
def test_the_whole_head(mask, chosen):
    """Mask, centred PCA, L2, embedding of each feature, aggregation, L2 (Section 4)."""
    drawn = [torch.from_numpy(RNG.uniform(0.1, 1, (1, 6, 5, 7)).astype(np.float32)) for _ in range(6)]
    head = create_head("selective", (6,), d=4, k=3, mask=mask, embedding="vlad", aggregation="democratic")
    head.fit([([maps], None) for maps in drawn])

    def kept(maps):
        return [maps[:, y, x].astype(np.float64) for y, x in sorted(chosen(maps))]

    learned_from = [cell for maps in drawn for cell in kept(maps[0].numpy())]
    mean, axes = head.pca.mean.double().numpy(), head.pca.axes.double().numpy()
    close(mean, sum(learned_from) / len(learned_from))
    golden = eigen(scatter(cell - mean for cell in learned_from))[1][:4]
    close(axes * np.sign((axes * golden).sum(1))[:, None], golden)
    centroids = head.embedding.centroids.double().numpy()
    features = [selective.vlad(unit(axes @ (cell - mean)), centroids) for cell in kept(drawn[0][0].numpy())]
    close(head([drawn[0]]).detach()[0], unit(selective.aggregate(features, "democratic")))
