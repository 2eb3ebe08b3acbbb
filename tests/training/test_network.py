from __future__ import annotations

import numpy as np
import pytest
import torch

from reseen.errors import RecipeError, TrainingError
from reseen.training.losses import Tuples, create_loss
from reseen.training.network import BatchGradient, Network, create_optimizer, memory_advice, rate_factor, select
from reseen.training.settings import Schedule, TrainingSettings


def photos(n: int = 9) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    shapes = [(40, 52, 3), (52, 40, 3), (44, 44, 3)]
    return [random.integers(0, 255, shapes[i % 3], dtype=np.uint8) for i in range(n)]


def who() -> Tuples:
    negatives = torch.tensor([[6, 7], [8, 0], [0, -1]])
    return Tuples(
        torch.tensor([0, 2, 4]), torch.tensor([1, 3, 5]), negatives, torch.tensor([0, 0, 1, 1, 2, 2, 3, 4, 5])
    )


def network(tiny_for, kind: str, **options) -> Network:
    d = tiny_for()
    return Network(d.backbone, d.head, create_loss(kind, **options))


def gradients(tiny_for, kind: str, scale: float = 1.0, **settings) -> tuple[torch.Tensor, float]:
    net = network(tiny_for, kind)
    net.configure(TrainingSettings(**settings))
    value = BatchGradient(net, TrainingSettings(**settings))(photos(), who(), scale)
    return torch.cat([p.grad.flatten() for p in net.parameters()]), value.loss


@pytest.mark.parametrize("kind", ["contrastive", "triplet", "info-nce"])
@pytest.mark.parametrize("how", [{"tuples_per_pass": 1}, {"photos_per_pass": 2}, {"checkpointing": True}])
def test_the_gradient_is_the_same_however_it_is_split(tiny_for, kind, how):
    whole, loss = gradients(tiny_for, kind)
    split, same = gradients(tiny_for, kind, **how)
    assert whole.abs().sum() > 0
    assert same == pytest.approx(loss, rel=1e-5)
    torch.testing.assert_close(split, whole, rtol=1e-3, atol=1e-5 * float(whole.abs().max()))


def test_the_scale_multiplies_the_gradient_alone(tiny_for):
    whole, loss = gradients(tiny_for, "contrastive")
    half, same = gradients(tiny_for, "contrastive", 0.5)
    assert same == loss
    torch.testing.assert_close(half, whole / 2)


def test_bfloat16_gives_nearly_the_same_gradient(tiny_for):
    whole, _ = gradients(tiny_for, "info-nce")
    rough, _ = gradients(tiny_for, "info-nce", precision="bfloat16")
    assert torch.nn.functional.cosine_similarity(whole, rough, dim=0) > 0.97


def test_select_names_only_what_is_used():
    kept, tuples = select(photos(), who(), [2])
    assert len(kept) == 3
    assert (tuples.query.tolist(), tuples.positive.tolist(), tuples.negatives.tolist()) == ([1], [2], [[0, -1]])
    assert tuples.labels.tolist() == [0, 2, 2]


def test_frozen_parts_do_not_move(tiny_for):
    net = network(tiny_for, "contrastive")
    net.configure(TrainingSettings(freeze=("backbone.net.a",), freeze_norm=True))
    trained = {name for name, p in net.named_parameters() if p.requires_grad}
    assert trained == {"backbone.net.b.0.weight", "backbone.net.b.0.bias", "head.p"}
    with pytest.raises(RecipeError, match="nothing to train"):
        net.configure(TrainingSettings(freeze=("backbone", "head")))


def test_rates_and_decay_by_part(tiny_for):
    net = network(tiny_for, "contrastive")
    groups = create_optimizer(net, TrainingSettings(lr=0.1, lr_head=10, weight_decay=0.01)).param_groups
    assert sorted((g["lr"], g["weight_decay"]) for g in groups) == [(0.1, 0.01), (1.0, 0.0)]
    with pytest.raises(RecipeError, match="optimizer"):
        create_optimizer(net, TrainingSettings(optimizer={"kind": "sgd", "speed": 3}))


def test_schedules():
    step = Schedule("step", every=10, factor=0.2)
    assert [rate_factor(step, e, 0, 1) for e in (0, 9, 10, 20)] == pytest.approx([1, 1, 0.2, 0.04])
    assert rate_factor(Schedule("exponential", factor=0.9), 2, 0, 1) == pytest.approx(0.81)
    cosine = Schedule("cosine", warmup=2)
    assert [rate_factor(cosine, 0, u, 10) for u in (0, 1, 2, 6, 10)] == pytest.approx([0.5, 1, 1, 0.5, 0])
    assert rate_factor(Schedule(), 5, 5, 10) == 1


def test_out_of_memory_says_what_to_lower():
    with pytest.raises(TrainingError, match="tuples_per_pass"), memory_advice():
        raise torch.OutOfMemoryError("CUDA out of memory")
    with pytest.raises(RuntimeError, match="shape"), memory_advice():
        raise RuntimeError("shape mismatch")


@pytest.mark.parametrize(
    ("head", "spared"),
    [({"kind": "remap", "fc": 6}, {"alpha", "fc.bias"}), ({"kind": "fisher", "k": 3}, {"logits", "log_sigmas"})],
)
def test_region_weights_and_the_mixtures_shape_do_not_decay(tiny_for, head, spared):
    d = tiny_for(head=head)
    net = Network(d.backbone, d.head, create_loss("contrastive"))
    names = {id(p): name for name, p in net.named_parameters()}
    groups = create_optimizer(net, TrainingSettings(weight_decay=0.01)).param_groups
    undecayed = {names[id(p)] for g in groups if g["weight_decay"] == 0 for p in g["params"]}
    assert undecayed == {f"head.{name}" for name in spared}
