from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from reseen.errors import RecipeError
from reseen.training.losses import (
    InBatch,
    Tuples,
    contrastive,
    create_loss,
    dot_triplet,
    info_nce,
    triplet,
)
from reseen.training.mining.negatives import mine_negatives


def unit(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype), dim=-1)


def tuples(query, positive, negatives, labels) -> Tuples:
    return Tuples(*(torch.tensor(t) for t in (query, positive, negatives, labels)))


def test_contrastive_by_hand():
    x = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    y = torch.tensor([[0.6, 0.8], [0.8, 0.6], [-1.0, 0.0]])
    d2 = [(1 - 0.6) ** 2 + 0.8**2, (1 - 0.8) ** 2 + 0.6**2, 4.0]
    matching = torch.tensor([True, False, False])
    values = contrastive(x, y, matching, margin=0.7)
    expected = [0.5 * d2[0], 0.5 * (0.7 - math.sqrt(d2[1])) ** 2, 0.0]
    assert values.tolist() == pytest.approx(expected, abs=1e-7)


def test_contrastive_of_equal_vectors_has_finite_gradients():
    x = torch.tensor([[1.0, 0.0]], requires_grad=True)
    contrastive(x, torch.tensor([[1.0, 0.0]]), torch.tensor([False]), 0.7).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_triplet_by_hand():
    q, p, n = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.8, 0.6]]), torch.tensor([[0.6, 0.8]])
    assert triplet(q, p, n, 0.1).item() == 0.0
    assert triplet(q, n, p, 0.1).item() == pytest.approx(0.5 * (0.1 + 0.8 - 0.4), abs=1e-6)
    assert dot_triplet(q, n, p, 0.1).item() == pytest.approx(0.8 - 0.6 + 0.1, abs=1e-6)


def test_dot_triplet_is_the_squared_one_with_twice_the_margin():
    q, p, n = unit(20, 8, seed=1), unit(20, 8, seed=2), unit(20, 8, seed=3)
    torch.testing.assert_close(dot_triplet(q, p, n, 0.1), triplet(q, p, n, 0.2))


def test_info_nce_equals_the_written_out_softmax():
    q, p = unit(5, 4, seed=1), unit(5, 4, seed=2)
    s = (q @ p.T / 0.07).exp()
    forth = [-math.log(s[i, i] / s[i].sum()) for i in range(5)]
    back = [-math.log(s[i, i] / s[:, i].sum()) for i in range(5)]
    expected = [(a + b) / 2 for a, b in zip(forth, back, strict=True)]
    assert info_nce(q, p).tolist() == pytest.approx(expected)


def test_info_nce_spares_pairs_of_the_same_label():
    q, p = unit(3, 4, seed=1), unit(3, 4, seed=2)
    labels = torch.tensor([7, 7, 8])
    s = (q @ p.T / 0.07).exp()
    expected = (-math.log(s[0, 0] / (s[0, 0] + s[0, 2])) - math.log(s[0, 0] / (s[0, 0] + s[2, 0]))) / 2
    assert info_nce(q, p, labels=labels)[0].item() == pytest.approx(expected)


SETTINGS = {
    "contrastive": {"margin": 1.3},
    "triplet": {"margin": 1.3},
    "info-nce": {},
    "smooth-ap": {"temperature": 0.2},
}


@pytest.mark.parametrize("kind", list(SETTINGS))
def test_gradients(kind):
    who = tuples([0, 3], [1, 4], [[2, 5], [5, -1]], [0, 0, 1, 2, 2, 3])
    loss = create_loss(kind, **SETTINGS[kind])
    vectors = unit(6, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: loss(v, who).total, vectors)


def test_a_separable_loss_is_the_sum_of_its_parts():
    vectors = unit(6, 5)
    whole = tuples([0, 3], [1, 4], [[2, 5], [5, -1]], [0, 0, 1, 2, 2, 3])
    parts = [
        tuples([0], [1], [[2, 5]], [0, 0, 1, 2, 2, 3]),
        tuples([3], [4], [[5, -1]], [0, 0, 1, 2, 2, 3]),
    ]
    for kind in ("contrastive", "triplet"):
        loss = create_loss(kind, margin=1.5)
        assert loss.separable
        value = loss(vectors, whole)
        torch.testing.assert_close(value.total, sum(loss(vectors, part).total for part in parts))
        assert value.terms == 3
        assert value.active == sum(loss(vectors, part).active for part in parts)


def test_active_pairs_are_counted():
    vectors = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.96, 0.28], [-1.0, 0.0]])
    who = tuples([0], [1], [[2, 3]], [0, 0, 1, 2])
    assert create_loss("contrastive", margin=0.7)(vectors, who)[1:] == (2, 1)
    assert create_loss("triplet", margin=0.1)(vectors, who)[1:] == (2, 1)


def test_active_terms_are_those_that_are_not_won_yet():
    turned = torch.tensor([0.0, 0.1, 2.0, 1.0, 1.2, 1.25])
    vectors = torch.stack([turned.cos(), turned.sin()], 1)
    who = tuples([0, 2, 4], [1, 3, 5], [[], [], []], [0, 0, 1, 1, 2, 2])
    # at 2.0 another positive, at 1.25, is nearer than the own one at 1.0
    assert create_loss("info-nce")(vectors, who)[1:] == (3, 1)
    assert create_loss("info-nce")(vectors, tuples([0], [1], [[]], [0, 0, 1, 1, 2, 2]))[1:] == (1, 0)
    turned = torch.tensor([0.0, 0.9, 0.1, 0.05])
    two = torch.stack([turned.cos(), turned.sin()], 1)
    assert create_loss("info-nce")(two, tuples([0, 2], [1, 3], [[], []], [0, 0, 1, 1]))[1:] == (2, 1)
    tied = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.6, -0.8], [0.8, -0.6]])  # both positives at 0.8 from the first
    assert create_loss("info-nce")(tied, tuples([0, 2], [1, 3], [[], []], [0, 0, 1, 1]))[1:] == (2, 0)
    same = tuples([0, 2, 4], [1, 3, 5], [[], [], []], [0, 0, 1, 1, 1, 1])
    assert create_loss("info-nce")(vectors, same)[1:] == (3, 0)
    apart = torch.eye(3).repeat_interleave(2, 0)
    assert create_loss("smooth-ap")(apart, who)[1:] == (3, 0)
    assert create_loss("smooth-ap", temperature=0.001)(vectors, who)[1:] == (3, 2)
    assert create_loss("triplet", margin=0.0)(apart, tuples([0], [0], [[0, 2]], [0, 0, 1, 1, 2, 2]))[1:] == (2, 0)
    assert create_loss("contrastive", margin=2.0**0.5)(apart, tuples([0], [1], [[2]], [0, 0, 1, 1, 2, 2]))[2] == 0


@pytest.mark.parametrize(
    ("rule", "settings"),
    [("semi-hard", [{}]), ("n2", [{}]), ("random", [{"seed": 1}, {"seed": 4}])],
)
def test_negatives_in_the_batch_follow_the_rule_and_its_settings(rule, settings):
    vectors = unit(24, 3, seed=5)
    labels = [n // 2 for n in range(24)]
    query, positive = list(range(0, 24, 2)), list(range(1, 24, 2))
    who = tuples(query, positive, [[]] * 12, labels)
    totals = []
    for setting in settings:
        rows = vectors.float().numpy()
        mined = mine_negatives(
            rule, rows[query], np.array(labels)[query], rows, np.array(labels), 2, positives=rows[positive], **setting
        )
        given = tuples(query, positive, mined.tolist(), labels)
        expected = create_loss("triplet", margin=1.0)(vectors, given)
        found = InBatch(create_loss("triplet", margin=1.0), rule, 2, **setting)(vectors, who)
        torch.testing.assert_close(found.total, expected.total)
        totals.append(float(found.total))
    assert len({*totals}) == len(settings)


def test_a_loss_of_the_library_is_given_queries_and_positives_and_counted_once_for_each_tuple():
    library = pytest.importorskip("pytorch_metric_learning.losses")
    vectors = unit(7, 6, dtype=torch.float32)
    labels = [0, 1, 2, 1, 0, 2, 3]
    value = create_loss("multi-similarity")(vectors, tuples([0, 1, 2], [4, 3, 5], [[6]] * 3, labels))
    expected = 3 * library.MultiSimilarityLoss()(vectors[:6], torch.tensor(labels[:6]))
    torch.testing.assert_close(value.total, expected)
    assert value[1:] == (3, 3)
    loss = create_loss("multi-similarity")
    loss.loss = Learned()
    assert loss(vectors, tuples([0, 1, 2], [4, 3, 5], [[6]] * 3, labels))[1:] == (3, 0)


class Learned(torch.nn.Module):
    """A loss that has nothing left to teach."""

    def forward(self, rows, labels):
        return rows.sum() * 0


def test_negatives_in_the_batch_are_the_nearest_photos_of_other_clusters():
    vectors = unit(6, 5)
    who = tuples([0, 2, 4], [1, 3, 5], [[], [], []], [0, 0, 1, 1, 1, 1])
    loss = InBatch(create_loss("contrastive", margin=1.5), "n1", 1)
    scores = vectors @ vectors.T
    nearest = [2 + int(scores[0, 2:].argmax()), *(int(scores[q, :2].argmax()) for q in (2, 4))]
    given = tuples([0, 2, 4], [1, 3, 5], [[n] for n in nearest], [0, 0, 1, 1, 1, 1])
    torch.testing.assert_close(loss(vectors, who).total, create_loss("contrastive", margin=1.5)(vectors, given).total)
    assert not loss.separable
    assert torch.autograd.gradcheck(lambda v: loss(v, who).total, unit(6, 5).requires_grad_())


def test_a_batch_of_one_cluster_has_no_negatives():
    vectors = unit(4, 5)
    who = tuples([0, 2], [1, 3], [[], []], [0, 0, 0, 0])
    assert InBatch(create_loss("triplet"), "hardest", 1)(vectors, who)[1:] == (0, 0)


@pytest.mark.parametrize("kind", ["multi-similarity", "arcface"])
def test_losses_of_pytorch_metric_learning_are_trainable_by_name(kind):
    pytest.importorskip("pytorch_metric_learning")
    vectors = unit(8, 6, dtype=torch.float32).requires_grad_()
    who = tuples([0, 2, 4, 6], [1, 3, 5, 7], [[]] * 4, [0, 0, 1, 1, 2, 2, 3, 3])
    loss = create_loss(kind, classes=4, dim=6)
    value = loss(vectors, who)
    value.total.backward()
    assert value.terms == 4
    assert torch.isfinite(vectors.grad).all()
    assert vectors.grad.abs().sum() > 0
    assert bool(list(loss.parameters())) == (kind == "arcface")


def test_unknown_names_and_options_are_refused():
    with pytest.raises(RecipeError, match="known ones are arcface, contrastive"):
        create_loss("hinge")
    with pytest.raises(RecipeError, match="loss 'triplet'"):
        create_loss("triplet", temperature=1.0)
    with pytest.raises(RecipeError, match="form"):
        create_loss("triplet", form="cubic")
