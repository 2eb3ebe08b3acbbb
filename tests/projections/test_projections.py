"""Projections against closed forms on data with a known solution."""

import tracemalloc

import numpy as np
import pytest

from reseen.errors import NotFitted, RecipeError
from reseen.projections import LDA, LW, PCA, RN, Chain, Power, Truncate, create_projection, l2_rows
from reseen.projections.moments import blocks, class_scatter, moments
from reseen.projections.subspace import leading

RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same numbers, whichever ran before it."""
    RNG.bit_generator.state = np.random.default_rng(11).bit_generator.state


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


def test_rotation_drops_its_leading_directions_after_rotating():
    x = gaussian(500, np.diag([9.0, 4, 2, 1, 0.5]))
    whole, cut = RN(seed=3).fit(x), RN(seed=3, dropped=2).fit(x)
    np.testing.assert_allclose(cut.transform(x), l2_rows(whole.transform(x)[:, 2:]), atol=1e-5)
    variances = np.var((x - cut.mean_) @ cut.rotation_.T, axis=0)
    np.testing.assert_allclose(variances, np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1][2:], rtol=1e-3)
    again = create_projection("rn", **cut.settings()).load_state(cut.state())
    assert np.array_equal(again.transform(x), cut.transform(x)) and again.dropped == 2
    with pytest.raises(ValueError, match="drops 5 directions"):
        RN(dropped=5).fit(x)
    with pytest.raises(NotFitted, match="span 3.*more photos"):
        RN(dropped=3).fit(x[:4])


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


def test_the_papers_learned_whitening_equals_all_non_matching_pairs_one_by_one():
    x, pairs = paired(30, 3, np.eye(3) * 0.4, np.diag([3.0, 2, 1]))
    ours = LW(form="paper").fit(x, pairs)
    matching = {frozenset(pair) for pair in pairs.tolist()}
    d = x.astype(np.float64)
    same = np.array([d[i] - d[j] for i, j in pairs])
    other = np.array(
        [d[i] - d[j] for i in range(60) for j in range(60) if i != j and frozenset((i, j)) not in matching]
    )
    values, vectors = np.linalg.eigh(same.T @ same / len(same))
    root = vectors @ np.diag(values**-0.5) @ vectors.T
    _, axes = np.linalg.eigh(root @ (other.T @ other / len(other)) @ root)
    expected = axes[:, ::-1].T @ root
    signs = np.sign((expected * ours.matrix_).sum(1, keepdims=True))
    np.testing.assert_allclose(ours.matrix_, signs * expected, atol=1e-4)


def classes(count, size, d, spread=0.5):
    centres = RNG.standard_normal((count, d)) * np.linspace(2, 0.5, d)
    x = np.repeat(centres, size, 0) + spread * RNG.standard_normal((count * size, d)) * np.linspace(0.5, 1.5, d)
    rows = np.arange(count * size).reshape(count, size)
    pairs = np.concatenate([np.stack([rows[:, i], rows[:, i + 1]], 1) for i in range(size - 1)])
    return x.astype(np.float32), pairs, np.repeat(np.arange(count), size)


def test_lda_finds_the_directions_of_scikit_learn():
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, pairs, labels = classes(12, 25, 5)
    ours = LDA().fit(x, pairs)
    theirs = LinearDiscriminantAnalysis(solver="eigen").fit(x, labels).scalings_[:, :5].T
    cosine = np.abs((ours.matrix_ * theirs).sum(1))
    cosine /= np.linalg.norm(ours.matrix_, axis=1) * np.linalg.norm(theirs, axis=1)
    np.testing.assert_allclose(cosine, 1, atol=1e-5)
    white = (x - ours.mean_) @ ours.matrix_.T
    np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(5), atol=1e-3)


def test_photos_without_a_match_take_no_part_in_lda():
    x, pairs, _ = classes(10, 4, 3)
    strangers = np.concatenate([x, np.full((5, 3), 50, np.float32)])
    np.testing.assert_allclose(LDA().fit(strangers, pairs).matrix_, LDA().fit(x, pairs).matrix_, atol=1e-6)


@pytest.mark.parametrize("block", [7, 40, 10_000])
def test_scatter_within_classes_in_blocks_equals_one_class_after_the_other(monkeypatch, block):
    monkeypatch.setattr("reseen.projections.moments.BLOCK", block)
    labels = np.repeat([3, 0, 8, 5], [30, 2, 9, 100])
    x = RNG.standard_normal((141, 4)).astype(np.float32) + labels[:, None]
    order = RNG.permutation(141)
    expected = sum((labels == c).sum() * np.cov(x[labels == c].T.astype(np.float64), bias=True) for c in set(labels))
    found = class_scatter(x[order], np.arange(141), labels[order])
    np.testing.assert_allclose(found, expected / 141, atol=1e-9)


@pytest.mark.parametrize(
    "projection",
    [PCA(dim=3), LW(), LW(form="paper"), LDA(), RN(), Chain([PCA(power=0), Power(), LW(dim=2)])],
    ids=lambda p: p.kind,
)
def test_a_stream_and_a_file_teach_what_an_array_does(tmp_path, projection):
    x, pairs, _ = classes(30, 4, 4)
    np.save(tmp_path / "x.npy", x)
    expected = projection.fit(x, pairs).transform(x)
    for source in (iter(np.array_split(x, 7)), np.load(tmp_path / "x.npy", mmap_mode="r")):
        again = create_projection(projection.kind, **projection.settings()).fit(source, pairs)
        np.testing.assert_allclose(again.transform(x), expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["pca", "lw", "lda"])
def test_learning_takes_the_memory_of_some_blocks_not_of_the_vectors(tmp_path, kind):
    n, d = 150_000, 32
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, d))
    for start in range(0, n, 10_000):
        x[start : start + 10_000] = RNG.standard_normal((10_000, d))
    rows = np.load(tmp_path / "x.npy", mmap_mode="r")
    pairs = np.stack([np.arange(0, 20_000), np.arange(20_000, 40_000)], 1) if kind != "pca" else None
    tracemalloc.start()
    try:
        create_projection(kind).fit(rows, pairs)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.75 * rows.nbytes  # float64 copies alone would be twice the vectors


def test_fewer_pairs_than_dimensions_work_with_shrinkage_and_warn(caplog):
    x, pairs = paired(6, 20, np.eye(20), np.eye(20))
    for projection in (LW(dim=5, shrinkage=0.3), LDA(dim=5, shrinkage=0.3)):
        assert np.isfinite(projection.fit(x, pairs).transform(x)).all()
        assert f"{projection.kind} of 20 dimensions from" in caplog.text
    assert "positive definite" not in caplog.text


def test_pairs_that_name_no_row_are_refused():
    x, pairs = paired(6, 3, np.eye(3), np.eye(3))
    for wrong in (pairs + 7, pairs - 1, pairs[:, :1]):
        with pytest.raises(ValueError, match="pairs must be"):
            LW().fit(x, wrong)
    with pytest.raises(ValueError, match="no vectors"):
        LW().fit(iter([]), pairs)


@pytest.mark.parametrize("seed", range(3))
def test_wide_vectors_are_whitened_without_their_covariance(monkeypatch, seed):
    rng = np.random.default_rng(seed)
    d, kept = 300, 24
    scales = (1 + np.arange(d)) ** -0.7 * np.where(np.arange(d) < kept, 1, 0.5)  # what is kept stands out a little
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    x = (rng.standard_normal((600, d)) * scales @ turn + 0.3).astype(np.float32)
    exact = PCA(dim=kept, shrinkage=0.1).fit(x)
    monkeypatch.setattr("reseen.projections.subspace.WIDE", 200)
    monkeypatch.setattr("reseen.projections.linear.moments", None)
    for source in (x, iter(np.array_split(x, 9))):
        wide = PCA(dim=kept, shrinkage=0.1).fit(source)
        np.testing.assert_allclose(wide.mean_, exact.mean_, atol=1e-5)
        np.testing.assert_allclose(wide.eigenvalues_, exact.eigenvalues_[:kept], rtol=1e-3)
        ours, theirs = wide.transform(x), exact.transform(x)
        np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=0.01)  # whatever the signs of the axes


def test_wide_vectors_take_the_memory_of_the_axes(tmp_path):
    n, d, dim = 700, 9000, 32
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (n, d))
    x[:] = RNG.standard_normal((n, d)).astype(np.float32)
    tracemalloc.start()
    try:
        PCA(dim=dim, shrinkage=0.1).fit(np.load(tmp_path / "x.npy", mmap_mode="r"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * d * d / 4  # the covariance alone would take four times as much


def test_blocks_of_wide_rows_are_short_and_small_parts_are_joined(monkeypatch):
    monkeypatch.setattr("reseen.projections.moments.BLOCK_BYTES", 8 * 10 * 20)
    x = RNG.standard_normal((95, 10)).astype(np.float32)
    assert [len(block) for block in blocks(x)] == [20, 20, 20, 20, 15]
    parts = list(blocks(iter(np.array_split(x, 19))))
    assert [len(block) for block in parts] == [20, 20, 20, 20, 15]
    np.testing.assert_array_equal(np.concatenate(parts), x.astype(np.float64))


def test_one_value_that_is_no_number_is_refused_wherever_it_stands():
    for place in ((0, 0), (-1, -1)):
        x = gaussian(60, np.eye(4))
        x[place] = np.inf
        for given in (x, iter(np.array_split(x, 4))):
            with pytest.raises(ValueError, match="NaN or infinite"):
                moments(given)
    with pytest.raises(ValueError, match="must be"):
        moments(np.zeros(5, np.float32))
    with pytest.raises(ValueError, match="5 dimensions among those of 4"):
        moments(iter([np.zeros((2, 4), np.float32), np.zeros((2, 5), np.float32)]))
    for nothing in (np.zeros((0, 4), np.float32), iter(())):
        with pytest.raises(ValueError, match="no vectors"):
            moments(nothing)


@pytest.mark.parametrize(("count", "warned"), [(4, True), (5, False)])
def test_pca_warns_where_there_are_no_more_vectors_than_dimensions(caplog, count, warned):
    PCA(dim=4, shrinkage=0.1).fit(gaussian(count, np.eye(6)))
    assert bool(caplog.records) is warned


@pytest.mark.parametrize(("kind", "count", "warned"), [(LW, 3, True), (LW, 4, False), (LDA, 3, True), (LDA, 4, False)])
def test_whitening_of_pairs_warns_where_there_are_fewer_than_dimensions(caplog, kind, count, warned):
    x = gaussian(12, np.eye(4))
    kind(shrinkage=0.2).fit(x, np.arange(2 * count).reshape(-1, 2))
    assert bool(caplog.records) is warned


@pytest.mark.parametrize("row", [-1, 12])
def test_pairs_just_outside_the_rows_are_refused(row):
    for pairs in (np.array([[0, 1], [2, row]]), np.array([[row, 1]])):
        with pytest.raises(ValueError, match="rows of the 12 vectors"):
            LW().fit(gaussian(12, np.eye(3)), pairs)


def test_dimensions_of_what_comes_out_are_known_before_fitting():
    chain = Chain([{"kind": "rn", "dropped": 3}, {"kind": "power"}, {"kind": "truncate", "dim": 5}])
    assert (RN(dropped=3).dim_out(10), Power().dim_out(10), Truncate(5).dim_out(10), chain.dim_out(10)) == (7, 10, 5, 5)
    assert RN(dropped=3).dim_out(None) is None and PCA().dim_out(None) is None and PCA(dim=4).dim_out(None) == 4
    assert PCA().dim_out(9) == 9 and LW(dim=2).dim_out(9) == 2 and chain.settings() == Chain(chain.steps).settings()


@pytest.mark.parametrize("dropped", [-1, 6])
def test_rotation_drops_what_there_is(dropped):
    with pytest.raises(ValueError, match="the vectors have 6 dimensions"):
        RN(dropped=dropped).fit(gaussian(30, np.eye(6)))
    assert RN(dropped=5).fit(gaussian(30, np.eye(6))).transform(gaussian(2, np.eye(6))).shape == (2, 1)


def test_shrinkage_is_a_share():
    x = gaussian(30, np.diag([4.0, 1, 1]))
    for amount in (-0.1, 1.1):
        with pytest.raises(ValueError, match=r"not in 0\.\.1"):
            PCA(shrinkage=amount).fit(x)
    np.testing.assert_allclose(np.diff(PCA(shrinkage=1.0).fit(x).eigenvalues_), 0, atol=1e-6)
    assert PCA(shrinkage=0.0).fit(x).eigenvalues_[0] > 2


def test_parts_of_a_stream_are_joined_without_loss(monkeypatch):
    monkeypatch.setattr("reseen.projections.moments.BLOCK", 8)
    x = gaussian(100, np.diag([4.0, 2, 1]), mean=3) + np.linspace(0, 5, 100, dtype=np.float32)[:, None]
    for size in (3, 5, 8, 20):
        parts = [x[start : start + size] for start in range(0, 100, size)]
        found = moments(iter(parts))
        assert found.count == 100
        np.testing.assert_allclose(found.covariance, np.cov(x.T.astype(np.float64), bias=True), atol=1e-9)
    wide = leading(x, 2)
    np.testing.assert_allclose(wide.variance, np.trace(np.cov(x.T.astype(np.float64), bias=True)), rtol=1e-9)
    np.testing.assert_allclose(wide.mean, x.mean(0, dtype=np.float64), rtol=1e-9)
    golden = np.sort(np.linalg.eigvalsh(np.cov(x.T.astype(np.float64), bias=True)))[::-1][:2]
    np.testing.assert_allclose(wide.values, golden, rtol=1e-5)
