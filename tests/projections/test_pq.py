"""Product quantisation against its definition, one vector at a time."""

import numpy as np
import pytest

from reseen.errors import NotFitted
from reseen.projections import ProductQuantizer, l2_rows
from reseen.projections import pq as module


@pytest.fixture(scope="module")
def rows():
    """Unit rows whose parts differ in variance."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((700, 24)) * np.linspace(2, 0.2, 24)
    return l2_rows(x @ np.linalg.qr(rng.standard_normal((24, 24)))[0])


@pytest.fixture(scope="module")
def queries():
    return l2_rows(np.random.default_rng(1).standard_normal((5, 24)))


@pytest.mark.parametrize("rotate", [False, True])
@pytest.mark.parametrize("m", [1, 4, 24])
def test_codes_name_the_nearest_centroid_of_each_part_and_distances_are_asymmetric(rows, queries, m, rotate):
    quantizer = ProductQuantizer(m, rotate=rotate).fit(rows)
    centroids, turn = quantizer.centroids_, quantizer.rotation_ if rotate else np.eye(24)
    codes = quantizer.encode(rows[:40])
    assert codes.shape == (40, m) and codes.dtype == np.uint8
    decoded = quantizer.decode(codes)
    similar = quantizer.similarities(queries, codes)
    for i, row in enumerate(rows[:40]):
        parts = (turn @ row).reshape(m, -1)
        distances = [((part - own) ** 2).sum(1) for part, own in zip(parts, centroids, strict=True)]
        assert all(d[code] <= d.min() + 1e-6 for d, code in zip(distances, codes[i], strict=True))
        stand_in = turn.T @ np.concatenate([own[code] for own, code in zip(centroids, codes[i], strict=True)])
        np.testing.assert_allclose(decoded[i], stand_in, atol=1e-5)
        expected = [1 - ((query - stand_in) ** 2).sum() / 2 for query in queries]
        np.testing.assert_allclose(similar[:, i], expected, atol=1e-5)


def test_more_bytes_lose_less_and_the_rotation_helps(rows):
    def error(m, rotate=False):
        quantizer = ProductQuantizer(m, rotate=rotate).fit(rows)
        return float(np.square(rows - quantizer.decode(quantizer.encode(rows))).sum(1).mean())

    errors = [error(m) for m in (2, 4, 8, 24)]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.01
    assert error(4, rotate=True) < 0.95 * error(4)


def test_a_code_without_error_gives_the_inner_product(queries):
    few = l2_rows(np.random.default_rng(2).standard_normal((256, 24)))  # as many as there are centroids
    quantizer = ProductQuantizer(4).fit(few)
    np.testing.assert_allclose(quantizer.similarities(queries, quantizer.encode(few)), queries @ few.T, atol=1e-4)


def test_it_round_trips_and_the_seed_decides(rows, queries):
    for rotate in (False, True):
        one = ProductQuantizer(4, rotate=rotate, seed=3).fit(rows)
        again = ProductQuantizer(**one.settings()).load_state(one.state())
        codes = one.encode(rows)
        assert np.array_equal(again.encode(rows), codes)
        assert np.array_equal(again.similarities(queries, codes), one.similarities(queries, codes))
    first, same, other = (ProductQuantizer(4, seed=seed).fit(rows).centroids_ for seed in (0, 0, 1))
    assert np.array_equal(first, same) and not np.array_equal(first, other)


def test_every_vector_teaches_it():
    """FAISS takes 256 vectors a centroid unless it is told; centroids are then means of some of the rare ones only."""
    many = np.zeros((4 * 256 * 256, 1), np.float32)
    rare = np.random.default_rng(0).permutation(len(many))[:200]
    many[rare, 0] = np.linspace(1, 2, 200)
    codes = (quantizer := ProductQuantizer(1).fit(many)).encode(many[rare])
    assert quantizer.decode(codes).mean() == pytest.approx(many[rare].mean(), abs=1e-3)


def test_blocks_give_what_one_block_gives(rows, queries, monkeypatch):
    quantizer = ProductQuantizer(4).fit(rows)
    codes = quantizer.encode(rows)
    whole = quantizer.similarities(queries, codes)
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * 5 * 13)
    np.testing.assert_array_equal(quantizer.similarities(queries, codes), whole)


def test_what_does_not_fit_is_refused(rows):
    with pytest.raises(ValueError, match="7 parts of equal length cannot be cut from 24"):
        ProductQuantizer(7).fit(rows)
    with pytest.raises(NotFitted, match="256 vectors or more to learn from, there are 100"):
        ProductQuantizer(4).fit(rows[:100])
    with pytest.raises(NotFitted, match="has not been fitted"):
        ProductQuantizer(4).encode(rows)
    with pytest.raises(ValueError, match="learned on 24 dimensions"):
        ProductQuantizer(4).fit(rows).encode(rows[:, :20])


@pytest.mark.parametrize("rotate", [False, True])
def test_faiss_says_nothing_about_small_sets(rows, rotate, capfd):
    ProductQuantizer(4, rotate=rotate).fit(rows)
    assert capfd.readouterr() == ("", "")
