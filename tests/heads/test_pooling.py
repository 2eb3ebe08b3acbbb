"""MAC, SPoC, GeM and CroW against literal loops in float64."""

import numpy as np
import pytest
import torch

from reseen.errors import RecipeError
from reseen.heads import create_head
from reseen.heads.pooling import crow, gem, mac, spoc

RNG = np.random.default_rng(3)
SIZES = [(int(h), int(w)) for h, w in RNG.integers(1, 40, (40, 2))]


def slow_crow(x, a=2, b=2):
    x = np.maximum(x, 0)
    places = x.sum(0)
    norm = (places**a).sum() ** (1 / a)
    weight = (places / norm) ** (1 / b)
    share = (x != 0).mean((1, 2))
    rarity = np.array([np.log(share.sum() / q) if q > 0 else 0 for q in share])
    return (x * weight).sum((1, 2)) * rarity


@pytest.mark.parametrize("size", SIZES)
def test_pooling_equals_literal_loops(size):
    x = RNG.normal(0.3, 1, (4, *size))
    maps = torch.tensor(x[None], dtype=torch.float32)
    cells = x.reshape(4, -1)
    literal = {
        "mac": np.array([max(0, *channel, 0) for channel in cells]),
        "spoc": np.array([sum(channel) / len(channel) for channel in cells]),
        "gem": np.array([(sum(max(v, 1e-6) ** 3 for v in channel) / len(channel)) ** (1 / 3) for channel in cells]),
        "crow": slow_crow(x),
    }
    ours = {"mac": mac(maps), "spoc": spoc(maps), "gem": gem(maps, 3.0), "crow": crow(maps)}
    for name, expected in literal.items():
        np.testing.assert_allclose(ours[name][0], expected, atol=2e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["mac", "spoc", "gem", "crow", "rmac"])
def test_hidden_cells_do_not_change_the_vector(kind):
    head = create_head(kind, [6])
    maps = torch.rand(2, 6, 9, 12)
    valid = torch.rand(2, 9, 12) > 0.4
    spoiled = maps.masked_fill(~valid[:, None], 50.0)
    torch.testing.assert_close(head([maps], valid), head([spoiled], valid))
    assert not torch.allclose(head([spoiled]), head([maps]), atol=1e-3)


@pytest.mark.parametrize("kind", ["mac", "spoc", "gem", "crow", "rmac"])
def test_vectors_have_unit_length_and_a_blank_photo_gives_no_nan(kind):
    head = create_head(kind, [6])
    assert torch.allclose(head([torch.rand(3, 6, 5, 8)]).norm(dim=1), torch.ones(3), atol=1e-5)
    blank = torch.zeros(1, 6, 5, 8, requires_grad=True)
    vector = head([blank])
    assert torch.isfinite(vector).all()
    vector.sum().backward()
    assert torch.isfinite(blank.grad).all()


@pytest.mark.parametrize("pool", [mac, spoc, crow, lambda m: gem(m, 3.0)])
def test_gradients(pool):
    maps = torch.rand(1, 3, 4, 5, dtype=torch.float64, requires_grad=True) + 0.1
    assert torch.autograd.gradcheck(pool, (maps,))


def test_gem_learns_its_exponent():
    head = create_head("gem", [4], p=3.0)
    head([torch.rand(2, 4, 6, 6)])[:, 0].sum().backward()
    assert head.p.grad is not None and head.p.grad.abs().item() > 0


def test_signed_layers_are_clamped_unless_kept():
    maps = torch.full((1, 2, 3, 3), -1.0)
    assert mac(maps).tolist() == [[0, 0]]
    assert mac(maps, signed="keep").tolist() == [[-1, -1]]


def test_unknown_heads_and_settings_are_named():
    with pytest.raises(RecipeError, match="'max' is not known.*rmac"):
        create_head("max", [4])
    with pytest.raises(RecipeError, match="level"):
        create_head("rmac", [4], level=3)
    with pytest.raises(RecipeError, match="one layer"):
        create_head("gem", [4, 4])
