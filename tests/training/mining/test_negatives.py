from __future__ import annotations

import numpy as np
import pytest

from reseen.errors import RecipeError, TrainingError
from reseen.training.mining import negatives
from reseen.training.mining.negatives import mine_negatives


def circle(*degrees: float) -> np.ndarray:
    a = np.radians(degrees)
    return np.stack([np.cos(a), np.sin(a)], 1).astype(np.float32)


POOL = circle(0, 5, 10, 12, 40, 90, 180)
LABELS = np.array([0, 1, 1, 2, 2, 3, 0])
QUERY, LABEL = circle(0), np.array([0])


def test_n1_takes_the_nearest_photos_of_other_clusters():
    assert mine_negatives("n1", QUERY, LABEL, POOL, LABELS, 3).tolist() == [[1, 2, 3]]


def test_n2_takes_one_photo_per_cluster():
    assert mine_negatives("n2", QUERY, LABEL, POOL, LABELS, 3).tolist() == [[1, 3, 5]]


def test_rows_end_in_none_when_there_are_too_few():
    assert mine_negatives("n2", QUERY, LABEL, POOL, LABELS, 5).tolist() == [[1, 3, 5, -1, -1]]
    assert mine_negatives("n1", QUERY, LABEL, POOL[:2], LABELS[:2], 2).tolist() == [[1, -1]]


def test_semi_hard_are_farther_than_the_positive_within_the_margin_first():
    positive = circle(8)
    got = mine_negatives("semi-hard", QUERY, LABEL, POOL, LABELS, 3, positives=positive, margin=0.1)
    assert got.tolist() == [[2, 3, 4]]
    nearest = 2 - 2 * (QUERY @ POOL[2])
    assert 2 - 2 * (QUERY @ positive[0]) < nearest < 2 - 2 * (QUERY @ positive[0]) + 0.1


def test_semi_hard_leaves_out_what_is_as_near_as_the_positive():
    got = mine_negatives("semi-hard", QUERY, LABEL, POOL, LABELS, 3, positives=POOL[2:3])  # at 10 degrees
    assert got.tolist() == [[3, 4, 5]]


def test_random_negatives_come_from_other_clusters_and_follow_the_seed():
    many = np.repeat(QUERY, 50, 0)
    got = mine_negatives("random", many, np.zeros(50, int), POOL, LABELS, 2, seed=3)
    assert (LABELS[got] != 0).all()
    assert len(np.unique(got)) == 5
    assert (got == mine_negatives("random", many, np.zeros(50, int), POOL, LABELS, 2, seed=3)).all()
    assert (got != mine_negatives("random", many, np.zeros(50, int), POOL, LABELS, 2, seed=4)).any()


@pytest.mark.parametrize("rule", ["n1", "n2"])
def test_blocks_and_a_slow_implementation_agree(rule, monkeypatch):
    random = np.random.default_rng(0)
    vectors = random.normal(size=(60, 5)).astype(np.float32)
    labels = random.integers(0, 12, 60)
    monkeypatch.setattr(negatives, "_BLOCK_SCORES", 200)
    got = mine_negatives(rule, vectors[:25], labels[:25], vectors, labels, 4)
    for i in range(25):
        chosen: list[int] = []
        for j in sorted(range(60), key=lambda j: -float(vectors[i] @ vectors[j])):
            if labels[j] == labels[i] or (rule == "n2" and labels[j] in labels[chosen]):
                continue
            chosen.append(j)
        assert got[i].tolist() == chosen[:4]


def test_a_cluster_without_negatives_is_named():
    with pytest.raises(TrainingError, match="cluster 7 has no negatives"):
        mine_negatives("n1", QUERY, np.array([7]), POOL, np.full(7, 7), 1)


def test_bad_rules_are_refused():
    with pytest.raises(RecipeError, match="known ones are n1"):
        mine_negatives("n3", QUERY, LABEL, POOL, LABELS, 1)  # type: ignore[arg-type]
    with pytest.raises(TrainingError, match="positives"):
        mine_negatives("semi-hard", QUERY, LABEL, POOL, LABELS, 1)
