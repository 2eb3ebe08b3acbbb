"""Projections against their formulas written out; an axis may point either way."""

from __future__ import annotations

import numpy as np
import pytest
from formulas import projection

from reseen.projections.base import create_projection
from reseen.projections.pq import ProductQuantizer

RNG = np.random.default_rng(0)
SPREAD = np.diag(np.linspace(2, 0.3, 6)) @ np.linalg.qr(RNG.normal(size=(6, 6)))[0]
OBJECTS = RNG.normal(size=(30, 6))
CLASSES = np.repeat(np.arange(30), 3)
TRAIN = ((OBJECTS[CLASSES] + 0.4 * RNG.normal(size=(90, 6))) @ SPREAD + 0.3).astype(np.float32)
TRAIN /= np.linalg.norm(TRAIN, axis=1, keepdims=True)
ASKED = TRAIN[::4] + RNG.normal(size=TRAIN[::4].shape).astype(np.float32) * 0.1
PAIRS = np.array([(3 * i, 3 * i + 1 + i % 2) for i in range(30)])  # queries are the first of each object
ALL_PAIRS = np.array([(3 * i + a, 3 * i + b) for i in range(30) for a, b in ((0, 1), (0, 2), (1, 2))])


def same_up_to_signs(ours, golden):
    """Equal to 1e-5 once each column of ours points where the golden one does."""
    ours, golden = np.asarray(ours, np.float64), np.asarray(golden)
    assert ours.shape == golden.shape
    signs = np.sign((ours * golden).sum(0))
    assert np.abs(ours * signs - golden).max() <= 1e-5


def wide(rows):
    return rows.astype(np.float64)


@pytest.mark.parametrize("dim", [6, 4])
@pytest.mark.parametrize(("power", "shrinkage"), [(1.0, 0.0), (0.5, 0.0), (0.0, 0.0), (1.0, 0.3)])
def test_pca(dim, power, shrinkage):
    ours = create_projection("pca", dim=dim, power=power, shrinkage=shrinkage).fit(TRAIN)
    same_up_to_signs(ours.transform(ASKED), projection.pca(wide(TRAIN), wide(ASKED), dim, power, shrinkage))


@pytest.mark.parametrize("dim", [6, 3])
def test_learned_whitening(dim):
    paper = create_projection("lw", dim=dim, form="paper").fit(TRAIN, ALL_PAIRS)
    same_up_to_signs(paper.transform(ASKED), projection.lw_paper(wide(TRAIN), ALL_PAIRS, wide(ASKED), dim))
    shrunk = create_projection("lw", dim=dim, form="paper", shrinkage=0.6).fit(TRAIN, ALL_PAIRS)
    same_up_to_signs(shrunk.transform(ASKED), projection.lw_paper(wide(TRAIN), ALL_PAIRS, wide(ASKED), dim, 0.6))
    published = create_projection("lw", dim=dim, form="published").fit(TRAIN, PAIRS)
    same_up_to_signs(published.transform(ASKED), projection.lw_published(wide(TRAIN), PAIRS, wide(ASKED), dim))


def test_lda():
    ours = create_projection("lda", dim=4).fit(TRAIN, ALL_PAIRS)
    same_up_to_signs(ours.transform(ASKED), projection.lda(wide(TRAIN), CLASSES, wide(ASKED), 4))


@pytest.mark.parametrize("dropped", [0, 2])
def test_rotation_and_power(dropped):
    rotation = create_projection("rn", directions=6, dropped=dropped).fit(TRAIN)
    golden = projection.rotated(wide(TRAIN), wide(ASKED), dropped)
    same_up_to_signs(rotation.transform(ASKED), golden)
    power = create_projection("power", exponent=0.5)
    same_up_to_signs(power.transform(rotation.transform(ASKED)), projection.power_law(golden, 0.5))
    truncated = create_projection("truncate", dim=3)
    assert truncated.transform(ASKED) == pytest.approx(
        ASKED[:, :3] / np.linalg.norm(ASKED[:, :3], axis=1, keepdims=True), abs=1e-6
    )


@pytest.mark.parametrize("rotate", [False, True])
def test_product_quantisation(rotate):
    rows = RNG.normal(size=(600, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    ours = ProductQuantizer(4, rotate=rotate).fit(rows)
    state = ours.state()
    turn = state["rotation"].astype(np.float64) if rotate else np.eye(8)
    assert np.abs(turn @ turn.T - np.eye(8)).max() < 1e-5
    asked, stored = rows[:10], rows[100:140]
    centroids = state["centroids"].astype(np.float64)
    turned = wide(stored) @ turn.T
    codes = ours.encode(stored)
    assert codes.tolist() == projection.codes(turned, centroids)
    golden = [[1 - projection.asymmetric(q, code, centroids) / 2 for code in codes] for q in wide(asked) @ turn.T]
    assert ours.similarities(asked, codes) == pytest.approx(np.array(golden), abs=1e-5)


def test_rotation_learned_from_fewer_rows_than_dimensions():
    few = TRAIN[:4]
    ours = create_projection("rn", directions=6).fit(few).transform(ASKED)
    mean = wide(few).mean(0)
    _, axes = projection.eigen(projection.scatter(row - mean for row in wide(few)))
    golden = np.array([projection.unit(row - mean) for row in wide(ASKED)]) @ axes[:3].T
    same_up_to_signs(ours[:, :3], golden)
