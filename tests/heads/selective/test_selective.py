"""The selective head against literal per-feature float64 implementations of the paper's equations."""

import numpy as np
import pytest
import torch

from reseen.errors import NotFitted, ReseenError
from reseen.heads import l2
from reseen.heads.selective import Selective, aggregate, democratic_weights, max_mask, sift_mask, sum_mask
from reseen.heads.selective.embeddings import (
    EMBEDDINGS,
    coefficients,
    ffaemb,
    fisher,
    triangulate,
    vlad,
)

D, K = 6, 4


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    x, c = rng.normal(size=(20, D)), rng.normal(size=(K, D))
    return x, c, torch.from_numpy(x).float(), torch.from_numpy(c).float()


def literal_gamma(x, c, mu=0.01):
    a = sum(np.abs(x - cj).sum() ** 3 for cj in c)
    m = np.linalg.inv(c @ c.T + a * mu * np.eye(len(c)))
    one = np.ones(len(c))
    lam = (one @ m @ c @ x - 1) / (one @ m @ one)
    return m @ (c @ x - lam * one)


def test_vlad_and_temb_are_the_equations(data):
    x, c, tx, tc = data
    for i, row in enumerate(x):
        nearest = min(range(K), key=lambda j: np.linalg.norm(row - c[j]))
        want = np.concatenate([(row - c[j]) * (j == nearest) for j in range(K)])
        np.testing.assert_allclose(vlad(tx, tc)[i], want, atol=1e-5)
        want = np.concatenate([(row - c[j]) / np.linalg.norm(row - c[j]) for j in range(K)])
        np.testing.assert_allclose(triangulate(tx, tc)[i], want, atol=1e-5)


def test_fisher_is_equation_4(data):
    x, c, tx, _ = data
    rng = np.random.default_rng(1)
    w, s = rng.dirichlet(np.ones(K)), rng.uniform(0.5, 1.5, (K, D))
    got = fisher(tx, *(torch.from_numpy(v).float() for v in (w, c, s)))
    for i, row in enumerate(x):
        p = np.array([w[j] * np.prod(np.exp(-0.5 * ((row - c[j]) / s[j]) ** 2) / s[j]) for j in range(K)])
        p /= p.sum()
        u = [p[j] / np.sqrt(w[j]) * (row - c[j]) / s[j] for j in range(K)]
        v = [p[j] / np.sqrt(2 * w[j]) * (((row - c[j]) / s[j]) ** 2 - 1) for j in range(K)]
        np.testing.assert_allclose(got[i], np.concatenate(u + v), atol=1e-5)


@pytest.mark.parametrize("unit", [True, False])
def test_ffaemb_is_equation_7(data, unit):
    x, c, tx, tc = data
    got = ffaemb(tx, tc, unit=unit)
    for i, row in enumerate(x):
        want = []
        for gamma, cj in zip(literal_gamma(row, c), c, strict=True):
            r = (row - cj) / (np.linalg.norm(row - cj) if unit else 1)
            want.append(gamma * np.outer(r, r)[np.triu_indices(D)])
        np.testing.assert_allclose(got[i], np.concatenate(want), atol=2e-5 if not unit else 1e-5)


def test_coefficients_are_feasible_and_optimal(data):
    x, c, tx, tc = data
    gamma = coefficients(tx, tc).double().numpy()
    np.testing.assert_allclose(gamma.sum(1), 1, atol=1e-5)
    rng = np.random.default_rng(2)
    for row, g in zip(x, gamma, strict=True):
        a = sum(np.abs(row - cj).sum() ** 3 for cj in c)

        def cost(h, row=row, a=a):
            return 0.5 * np.sum((c.T @ h - row) ** 2) + 0.005 * h @ h * a

        for _ in range(50):
            step = rng.normal(size=K)
            assert cost(g) <= cost(g + 0.1 * (step - step.mean()))


def test_democratic_contributions_are_equal_whatever_the_padding():
    x = l2(torch.randn(3, 30, 16, generator=torch.Generator().manual_seed(0)))
    counts = torch.tensor([30, 17, 1])
    valid = torch.arange(30)[None] < counts[:, None]
    weights = democratic_weights(x, valid)
    for b, n in enumerate(counts.tolist()):
        gram = np.maximum(x[b, :n].double().numpy() @ x[b, :n].double().numpy().T, 0)
        lam, g = np.ones(n), gram.copy()
        for _ in range(10):
            delta = g.sum(0) ** -0.5
            g, lam = g * np.outer(delta, delta), lam * delta
        np.testing.assert_allclose(weights[b, :n], lam, atol=1e-5)
        w = weights[b, :n].numpy()
        np.testing.assert_allclose(w * (gram @ w), 1, atol=1e-3)
        assert (weights[b, n:] == 0).all()
        np.testing.assert_allclose(aggregate(x, "democratic", valid)[b], lam @ x[b, :n].numpy(), atol=1e-5)
        np.testing.assert_allclose(aggregate(x, "max", valid)[b], x[b, :n].amax(0))


@pytest.mark.parametrize(
    ("kind", "d", "k", "dim"),
    [
        ("fv", 48, 44, 4224),
        ("vlad", 64, 66, 4224),
        ("temb", 64, 68, 4224),
        ("faemb", 32, 10, 4224),
        ("temb", 32, 20, 512),
        ("temb", 64, 18, 1024),
        ("temb", 64, 34, 2048),
        ("temb", 64, 66, 4096),
        ("temb", 128, 64, 8064),
    ],
)
def test_dimensions_of_tables_2_and_4(kind, d, k, dim):
    assert EMBEDDINGS[kind](d, k).dim == dim


def test_masks():
    maps = torch.zeros(1, 2, 2, 3)
    maps[0, 0, 0, 1], maps[0, 1, 1, 2] = 3.0, 5.0
    assert max_mask(maps)[0].tolist() == [[False, True, False], [False, False, True]]
    maps[0, 0] += torch.arange(6).view(2, 3)
    sums = maps[0].sum(0)
    assert torch.equal(sum_mask(maps)[0], sums >= np.median(sums))
    points = [np.array([[99.0, 0.0], [30.0, 60.0]], np.float32), np.empty((0, 2), np.float32)]
    got = sift_mask(points, (2, 3), (100, 100))
    assert got[0].tolist() == [[False, False, True], [False, True, False]]
    assert got[1].all()


@pytest.mark.parametrize("embedding", list(EMBEDDINGS))
@pytest.mark.parametrize("aggregation", ["sum", "average", "max", "democratic"])
def test_head_learns_saves_and_never_gives_nan(embedding, aggregation):
    d, k = (8, 20) if embedding == "temb" else (4, 5)

    def make():
        return Selective([12], d=d, k=k, embedding=embedding, aggregation=aggregation, sample=300)

    head = make()
    with pytest.raises(NotFitted):
        head([torch.zeros(1, 12, 2, 2)])
    generator = torch.Generator().manual_seed(0)
    stream = [([torch.randn(4, 12, 8, 8, generator=generator)], None) for _ in range(6)]
    head.fit(stream, seed=1)
    twin = make()
    twin.load_state_dict(head.state_dict())
    assert twin.fitted
    for maps in (stream[0][0][0], torch.zeros(2, 12, 3, 3), torch.ones(1, 12, 4, 4), torch.ones(1, 12, 1, 1)):
        got = head([maps])
        assert got.isfinite().all()
        assert torch.equal(got, twin([maps]))
    one = torch.cat([head([m[None]]) for m in stream[0][0][0]])
    torch.testing.assert_close(one, head(stream[0][0]), atol=1e-5, rtol=0)
    with pytest.raises(ReseenError):
        head([torch.zeros(1, 11, 2, 2)])
    with pytest.raises(ReseenError, match="add photos"):
        make().fit([([torch.randn(1, 12, 1, 1)], None)])
