"""Embeddings against literal implementations of Eqs. 4 to 7, one feature at a time in float64."""

import numpy as np
import pytest
import torch

from reseen.errors import NotFitted, RecipeError, ReseenError
from reseen.heads.selective.embeddings import EMBEDDINGS, coefficients, ffaemb, fisher, triangulate, vlad

D, K = 8, 5


@pytest.fixture
def data():
    """Unit features, as the local PCA leaves them, and centroids inside the sphere: float32 and the same float64."""
    random = torch.Generator().manual_seed(0)
    x = torch.nn.functional.normalize(torch.randn(40, D, generator=random), dim=-1)
    c = 0.7 * torch.nn.functional.normalize(torch.randn(K, D, generator=random), dim=-1)
    return x, c, x.double().numpy(), c.double().numpy()


def literal_vlad(x, c):
    nearest = min(range(K), key=lambda j: np.linalg.norm(x - c[j]))
    return np.concatenate([(x - c[j]) if j == nearest else np.zeros(D) for j in range(K)])


def literal_temb(x, c):
    return np.concatenate([(x - cj) / np.linalg.norm(x - cj) for cj in c])


def literal_gamma(x, c, mu=0.01):
    a = sum(np.abs(x - cj).sum() ** 3 for cj in c)
    b = c.T
    inverse = np.linalg.inv(b.T @ b + a * mu * np.eye(K))
    one = np.ones(K)
    lam = (one @ inverse @ b.T @ x - 1) / (one @ inverse @ one)
    return inverse @ (b.T @ x - lam * one)


def literal_ffaemb(x, c, unit):
    blocks = []
    for gamma, cj in zip(literal_gamma(x, c), c, strict=True):
        r = (x - cj) / (np.linalg.norm(x - cj) if unit else 1)
        blocks.append([gamma * r[i] * r[j] for i in range(D) for j in range(i, D)])
    return np.concatenate(blocks)


def literal_fisher(x, w, m, s):
    p = np.array([w[j] * np.prod(np.exp(-0.5 * ((x - m[j]) / s[j]) ** 2) / s[j]) for j in range(K)])
    p /= p.sum()
    u = [p[j] / np.sqrt(w[j]) * (x - m[j]) / s[j] for j in range(K)]
    v = [p[j] / np.sqrt(2 * w[j]) * (((x - m[j]) / s[j]) ** 2 - 1) for j in range(K)]
    return np.concatenate(u + v)


@pytest.mark.parametrize(
    ("function", "literal"),
    [
        (vlad, literal_vlad),
        (triangulate, literal_temb),
        (ffaemb, lambda x, c: literal_ffaemb(x, c, True)),
        (lambda x, c: ffaemb(x, c, unit=False), lambda x, c: literal_ffaemb(x, c, False)),
    ],
    ids=["vlad", "temb", "faemb", "faemb of Eq. 7"],
)
def test_embeddings_are_the_equations(data, function, literal):
    x, c, x64, c64 = data
    want = np.stack([literal(row, c64) for row in x64])
    np.testing.assert_allclose(function(x, c), want, rtol=0, atol=1e-5)
    np.testing.assert_allclose(function(x.view(4, 10, D), c).flatten(0, 1), want, rtol=0, atol=1e-5)


def test_fisher_is_equation_4(data):
    x, c, x64, c64 = data
    rng = np.random.default_rng(1)
    w, s = rng.dirichlet(np.full(K, 5)).astype(np.float32), rng.uniform(0.3, 1.0, (K, D)).astype(np.float32)
    got = fisher(x, torch.from_numpy(w), c, torch.from_numpy(s))
    want = [literal_fisher(row, w.astype(float), c64, s.astype(float)) for row in x64]
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-5)


def test_coefficients_meet_their_constraint_and_no_feasible_point_is_better(data):
    x, c, x64, c64 = data
    gamma = coefficients(x, c).double().numpy()
    np.testing.assert_allclose(gamma, [literal_gamma(row, c64) for row in x64], rtol=0, atol=1e-5)
    np.testing.assert_allclose(gamma.sum(1), 1, rtol=0, atol=1e-6)
    rng = np.random.default_rng(2)
    for row, own in zip(x64, gamma, strict=True):
        a = sum(np.abs(row - cj).sum() ** 3 for cj in c64)
        others = rng.normal(0, 1, (500, K))
        others += (1 - others.sum(1, keepdims=True)) / K
        near = own + 0.01 * (others - others.mean(1, keepdims=True))
        cost = [0.5 * np.sum((g @ c64 - row) ** 2) + 0.005 * g @ g * a for g in (own, *others, *near)]
        assert np.argmin(cost) == 0


def test_a_feature_on_its_centroid_leaves_zeros_not_nan(data):
    _, c, _, _ = data
    on_centroid = c[2]
    for embed in (vlad, triangulate, ffaemb, lambda x, c: ffaemb(x, c, unit=False)):
        blocks = embed(on_centroid, c).view(K, -1)
        assert blocks.isfinite().all() and (blocks[2] == 0).all()
    twins = c[2].expand(K, D)
    for embed in (vlad, triangulate, ffaemb):
        assert embed(on_centroid, twins).isfinite().all()
    assert ffaemb(torch.zeros(D), torch.zeros(K, D)).isfinite().all()


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
    cls = EMBEDDINGS[kind]
    assert cls.size(d, k) - cls.dropped(d) == dim
    with torch.device("meta"):
        assert cls(d, k).dim == cls.size(d, k)


@pytest.mark.parametrize("kind", EMBEDDINGS)
def test_a_learned_embedding_has_its_size_and_refuses_what_does_not_fit(kind):
    d, k = (8, 20) if kind == "temb" else (4, 6)
    x = torch.nn.functional.normalize(torch.randn(400, d, generator=torch.Generator().manual_seed(0)), dim=-1)
    embedding = EMBEDDINGS[kind](d, k)
    with pytest.raises(NotFitted, match="add photos"):
        embedding.fit(x[: k - 1])
    got = embedding.fit(x, seed=3)(x.view(8, 50, d))
    assert got.shape == (8, 50, EMBEDDINGS[kind].size(d, k)) and got.isfinite().all()
    assert embedding.fit(x, seed=3)(x.view(8, 50, d)).equal(got)
    with pytest.raises(ReseenError, match=f"made for {d} dimensions, not {d + 1}"):
        embedding(torch.zeros(3, d + 1))


@pytest.mark.parametrize(
    ("kind", "d", "k", "dropped"), [("temb", 8, 20, 128), ("faemb", 4, 6, 20), ("faemb-eq7", 4, 6, 20)]
)
def test_whitening_keeps_every_axis_and_decorrelates_them(kind, d, k, dropped):
    assert EMBEDDINGS[kind].dropped(d) == dropped
    x = torch.nn.functional.normalize(torch.randn(3000, d, generator=torch.Generator().manual_seed(0)), dim=-1)
    embedding = EMBEDDINGS[kind](d, k).fit(x)
    raw = embedding.embed(x).double() - embedding.mean.double()
    assert raw.mean(0).abs().max() < 1e-5
    values = np.linalg.eigvalsh(np.cov(raw.numpy().T, bias=True))[::-1]
    assert embedding.axes.shape[0] == len(values)
    whitened = raw @ embedding.axes.double().T
    variances = np.diag(np.cov(whitened.numpy().T, bias=True))
    floor = values[-embedding.floored :].max() if embedding.floored < len(values) else values[0]
    np.testing.assert_allclose(variances, np.minimum(values / floor, 1), atol=2e-3)


@pytest.mark.parametrize(("kind", "d", "k"), [("temb", 8, 16), ("faemb", 4, 2)])
def test_an_embedding_with_nothing_left_is_refused(kind, d, k):
    with pytest.raises(RecipeError, match="nothing left"):
        EMBEDDINGS[kind](d, k)
