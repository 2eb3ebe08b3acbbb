"""Sum, average, max and democratic aggregation, batched over photos with different numbers of features."""

import numpy as np
import pytest
import torch

from reseen.heads import l2
from reseen.heads.selective import aggregate, democratic_weights
from reseen.heads.selective.aggregation import gram


def literal_democratic(x):
    """Sinkhorn scaling as in the paper of democratic aggregation, on one photo in float64."""
    gram = np.maximum(x @ x.T, 0)
    weights = np.ones(len(x))
    for _ in range(10):
        delta = gram.sum(0) ** -0.5
        gram, weights = gram * np.outer(delta, delta), weights * delta
    return weights


@pytest.fixture
def ragged():
    """Three photos of 200, 60 and 1 features in one padded batch; the padding is rubbish."""
    x = torch.randn(3, 200, 24, generator=torch.Generator().manual_seed(0))
    valid = torch.arange(200)[None] < torch.tensor([[200], [60], [1]])
    return torch.where(valid[..., None], l2(x + 0.5), 7 * x), valid


def test_weights_are_the_published_iteration_and_make_contributions_equal(ragged):
    x, valid = ragged
    weights = democratic_weights(x, valid)
    assert (weights[~valid] == 0).all()
    for photo, keep, got in zip(x.double(), valid, weights, strict=True):
        rows = photo[keep].numpy()
        np.testing.assert_allclose(got[keep], literal_democratic(rows), rtol=0, atol=1e-5)
        own = got[keep].double().numpy()
        contributions = own * (np.maximum(rows @ rows.T, 0) @ own)
        np.testing.assert_allclose(contributions, 1, rtol=0, atol=1e-3)


def test_bursts_lose_their_weight():
    burst, rare = torch.eye(4)[0].expand(50, 4), torch.eye(4)[1:2]
    x = torch.cat([burst, rare])[None]
    got = aggregate(x, "democratic")[0]
    assert got[0] == pytest.approx(50**0.5, rel=1e-4) and got[1] == pytest.approx(1, rel=1e-4)
    assert aggregate(x, "sum")[0].tolist() == [50, 1, 0, 0]


def test_a_batch_is_its_photos_one_by_one(ragged):
    x, valid = ragged
    for kind in ("sum", "average", "max", "democratic"):
        got = aggregate(x, kind, valid)
        for photo, keep, row in zip(x, valid, got, strict=True):
            torch.testing.assert_close(row, aggregate(photo[keep][None], kind)[0], atol=1e-5, rtol=1e-5)
    rows = x[1, :60]
    torch.testing.assert_close(aggregate(x, "sum", valid)[1], rows.sum(0))
    torch.testing.assert_close(aggregate(x, "average", valid)[1], rows.mean(0))
    torch.testing.assert_close(aggregate(x, "max", valid)[1], rows.amax(0))


def test_zero_features_weigh_nothing_and_nothing_is_nan():
    x = l2(torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(1)))
    x[0, 2] = 0
    weights = democratic_weights(x)
    assert weights.isfinite().all() and weights[0, 2] == 0
    torch.testing.assert_close(weights[0, [0, 1, 3, 4, 5]], democratic_weights(x[:, [0, 1, 3, 4, 5]])[0])
    nobody = torch.zeros(1, 6, dtype=torch.bool)
    for kind in ("sum", "average", "max", "democratic"):
        assert aggregate(torch.zeros(1, 6, 4), kind).tolist() == [[0, 0, 0, 0]]
        assert aggregate(x, kind, nobody).tolist() == [[0, 0, 0, 0]]


def test_the_gram_matrix_in_blocks_is_the_gram_matrix():
    x = torch.randn(2, 300, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for rows in (x, x[0], x[:, :7], x[:, :128], x[:, :0]):
        torch.testing.assert_close(gram(rows), rows @ rows.mT)


def test_gradients_reach_the_features_whatever_the_padding(ragged):
    x, valid = ragged
    x = x.requires_grad_()
    aggregate(x, "democratic", valid).square().sum().backward()
    assert x.grad.isfinite().all() and (x.grad[valid].abs().sum(-1) > 0).all() and (x.grad[~valid] == 0).all()


def test_gradients_of_zero_features_are_finite():
    x = torch.zeros(1, 3, 4)
    x[0, 0] = 1
    x.requires_grad_()
    aggregate(x, "democratic").square().sum().backward()
    assert x.grad.isfinite().all()
