"""Projections against closed forms on data with a known solution."""

import numpy as np
import pytest

from reseen.errors import NotFitted, RecipeError
from reseen.projections import LDA, LW, PCA, RN, Chain, Power, Truncate, create_projection, l2_rows
from reseen.projections.moments import moments

RNG = np.random.default_rng(11)


def gaussian(n, covariance, mean=0.0):
    return (RNG.standard_normal((n, len(covariance))) @ np.linalg.cholesky(covariance).T + mean).astype(np.float32)


def test_moments_of_a_stream_equal_those_of_the_whole():
    x = RNG.normal(5, 1, (5000, 7)).astype(np.float32)
    found = moments(iter(np.array_split(x, 13)))
    np.testing.assert_allclose(found.mean, x.mean(0, dtype=np.float64), atol=1e-9)
    np.testing.assert_allclose(found.covariance, np.cov(x.T.astype(np.float64), bias=True), atol=1e-9)


def test_full_whitening_makes_the_covariance_the_identity():
    x = gaussian(4000, np.diag([9.0, 4, 1, 0.25]) + 0.1, mean=2)
    projection = PCA().fit(x)
    white = (x - projection.mean_) @ projection.matrix_.T
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(4), atol=1e-4)


def test_half_power_leaves_the_root_of_the_eigenvalues():
    x = gaussian(4000, np.diag([16.0, 4, 1]))
    projection = PCA(dim=2, power=0.5).fit(x)
    half = (x - projection.mean_) @ projection.matrix_.T
    values = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1][:2]
    np.testing.assert_allclose(np.cov(half.T, bias=True), np.diag(np.sqrt(values)), atol=1e-3)


def test_plain_pca_keeps_distances():
    x = gaussian(300, np.diag([3.0, 2, 1]))
    projection = PCA(power=0).fit(x)
    plain = (x - projection.mean_) @ projection.matrix_.T
    np.testing.assert_allclose(np.linalg.norm(plain[0] - plain[1]), np.linalg.norm(x[0] - x[1]), rtol=1e-5)


def paired(n, d, within, between):
    centres = gaussian(n, between)
    x = np.concatenate([centres + gaussian(n, within), centres + gaussian(n, within)])
    return x, np.stack([np.arange(n), np.arange(n) + n], 1)


@pytest.mark.parametrize("form", ["published", "paper"])
def test_learned_whitening_whitens_the_differences_of_pairs_and_sorts_the_rest(form):
    within, between = np.diag([4.0, 0.01, 1.0]), np.diag([1.0, 1.0, 9.0])
    x, pairs = paired(20000, 3, within, between)
    projection = LW(form=form).fit(x, pairs)
    differences = (x[pairs[:, 0]] - x[pairs[:, 1]]) @ projection.matrix_.T
    np.testing.assert_allclose(differences.T @ differences / len(pairs), np.eye(3), atol=0.02)
    # the second axis tells objects apart best (between / within = 100), then the third (9), then the first
    assert [int(np.abs(row).argmax()) for row in projection.matrix_ * np.sqrt(np.diag(within))] == [1, 2, 0]


def test_both_forms_of_learned_whitening_agree_up_to_their_means():
    x, pairs = paired(3000, 4, np.eye(4) * 0.3, np.diag([4.0, 3, 2, 1]))
    a, b = LW(form="published").fit(x, pairs), LW(form="paper").fit(x, pairs)
    np.testing.assert_allclose(np.abs(a.matrix_), np.abs(b.matrix_), atol=0.1)
    np.testing.assert_allclose(a.mean_, x[pairs[:, 0]].mean(0), atol=1e-5)
    np.testing.assert_allclose(b.mean_, x.mean(0), atol=1e-5)


def test_learned_whitening_equals_the_symmetric_root_up_to_signs():
    x, pairs = paired(2000, 5, np.eye(5) + 0.5, np.diag([5.0, 4, 3, 2, 1]))
    projection = LW().fit(x, pairs)
    d = (x[pairs[:, 0]] - x[pairs[:, 1]]).astype(np.float64)
    values, vectors = np.linalg.eigh(d.T @ d / len(d))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    centred = (x - x[pairs[:, 0]].mean(0)).astype(np.float64)
    _, axes = np.linalg.eigh(root @ (centred.T @ centred / len(x)) @ root)
    expected = axes[:, ::-1].T @ root
    ours = projection.matrix_.astype(np.float64)
    signs = np.sign((expected * ours).sum(1, keepdims=True))
    np.testing.assert_allclose(ours, signs * expected, atol=1e-4)


def test_a_singular_scatter_is_mended_with_a_warning(caplog):
    x, pairs = paired(50, 3, np.eye(3), np.eye(3))
    x = np.concatenate([x, x[:, :1]], 1)
    projection = LW().fit(x, pairs)
    assert np.isfinite(projection.transform(x)).all()
    assert "positive definite" in caplog.text


def test_lda_finds_the_axis_that_tells_classes_apart():
    x, pairs = paired(4000, 3, np.diag([5.0, 0.05, 1.0]), np.diag([1.0, 1.0, 1.0]))
    projection = LDA(dim=1).fit(x, pairs)
    direction = projection.matrix_[0] / np.linalg.norm(projection.matrix_[0])
    assert abs(direction[1]) > 0.98
    wide = LDA().fit(x, pairs)
    white = (x - wide.mean_) @ wide.matrix_.T
    np.testing.assert_allclose(np.cov(white.T), np.eye(3), atol=0.1)


def test_rotation_normalisation_is_orthonormal_and_completed():
    x = gaussian(20, np.eye(30) + 0.2)
    projection = RN(directions=8, seed=3).fit(x)
    np.testing.assert_allclose(projection.rotation_ @ projection.rotation_.T, np.eye(30), atol=1e-5)
    again = RN(directions=8, seed=3).fit(x)
    assert np.array_equal(projection.rotation_, again.rotation_)


def test_power_law_and_truncation():
    x = np.array([[0.25, -0.64, 0.0]], np.float32)
    np.testing.assert_allclose(Power().transform(x), l2_rows(np.array([[0.5, -0.8, 0]])), atol=1e-6)
    np.testing.assert_allclose(Truncate(2).transform(x), l2_rows(x[:, :2]), atol=1e-6)
    with pytest.raises(ValueError, match="3"):
        Truncate(4).transform(x)


def test_a_chain_fits_each_step_on_what_comes_before_and_round_trips():
    x = gaussian(400, np.diag([5.0, 4, 3, 2, 1]))
    chain = create_projection(
        "chain", steps=[{"kind": "rn", "directions": 3}, {"kind": "power"}, {"kind": "pca", "dim": 2}]
    )
    assert not chain.fitted
    vectors = chain.fit(x).transform(x)
    assert vectors.shape == (400, 2) and chain.fitted
    again = create_projection("chain", **chain.settings()).load_state(chain.state())
    assert np.array_equal(again.transform(x), vectors)
    assert isinstance(chain, Chain)


@pytest.mark.parametrize("projection", [PCA(dim=2, shrinkage=0.1), LW(dim=2), LDA(dim=2)])
def test_linear_projections_export_the_same_layer_and_round_trip(projection):
    x, pairs = paired(200, 3, np.eye(3), np.diag([3.0, 2, 1]))
    vectors = projection.fit(x, pairs).transform(x)
    matrix, bias = projection.as_linear()
    np.testing.assert_allclose(l2_rows(x @ matrix.T + bias), vectors, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    again = type(projection)(**projection.settings()).load_state(projection.state())
    assert np.array_equal(again.transform(x), vectors)


def test_fewer_samples_than_dimensions_work_with_shrinkage_and_warn(caplog):
    x = RNG.standard_normal((10, 40)).astype(np.float32)
    vectors = PCA(dim=20, shrinkage=0.2).fit(x).transform(x)
    assert np.isfinite(vectors).all()
    assert "20 dimensions from 10" in caplog.text


def test_bad_vectors_and_names_are_refused():
    good = RNG.standard_normal((50, 4)).astype(np.float32)
    bad = good.copy()
    bad[3, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        PCA().fit(bad)
    with pytest.raises(ValueError, match="dimensions among"):
        PCA().fit(iter([good, good[:, :3]]))
    with pytest.raises(ValueError, match="learned on 4"):
        PCA().fit(good).transform(good[:, :3])
    with pytest.raises(ValueError, match="to 9 dimensions"):
        PCA(dim=9).fit(good)
    with pytest.raises(ValueError, match="matching pairs"):
        LW().fit(good)
    with pytest.raises(NotFitted):
        PCA().transform(good)
    with pytest.raises(RecipeError, match="whitening"):
        create_projection("whitening")
    with pytest.raises(RecipeError, match="dims"):
        create_projection("pca", dims=4)
