from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from reseen.errors import RecipeError
from reseen.heads import create_head
from reseen.heads.regions import region_grid
from reseen.heads.remap import region_weights, remap_regions


def maps(h: int, w: int, c: int = 5, b: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.randn(b, c, h, w, generator=torch.Generator().manual_seed(seed))


def test_forty_regions_at_1024_by_768():
    assert remap_regions(maps(24, 32)).shape == (2, 40, 5)
    assert remap_regions(maps(32, 24)).shape == (2, 40, 5)
    assert create_head("remap", [2048, 2048]).alpha.shape == (2, 40)


def test_it_is_the_formula_written_out():
    layers = [maps(24, 32, 5), maps(24, 32, 3, seed=1)]
    head = create_head("remap", [5, 3])
    alpha = np.random.default_rng(0).random((2, 40)).astype(np.float32)
    head.set_alpha(alpha)
    parts = []
    for m, weights in zip(layers, alpha, strict=True):
        total = torch.zeros(2, m.shape[1])
        for (x0, y0, x1, y1), weight in zip(region_grid(24, 32, 4).tolist(), weights, strict=True):
            total += float(weight) * F.normalize(m[:, :, y0:y1, x0:x1].amax((2, 3)).clamp_min(0), dim=1)
        parts.append(total)
    torch.testing.assert_close(head.pool(layers), torch.cat(parts, 1))
    torch.testing.assert_close(head(layers), F.normalize(torch.cat(parts, 1), dim=1))


def test_a_portrait_gives_the_vector_of_the_transposed_photo():
    head = create_head("remap", [5])
    head.set_alpha(np.random.default_rng(0).random((1, 40)))
    m = maps(24, 32)
    torch.testing.assert_close(head([m]), head([m.transpose(2, 3)]))


@pytest.mark.parametrize(("h", "w"), [(24, 32), (8, 10), (12, 12), (10, 21), (3, 5), (1, 4), (30, 9)])
def test_weights_fit_every_grid_and_ones_stay_ones(h, w):
    weights = region_weights(torch.ones(40), h, w, 4)
    assert len(weights) == len(region_grid(h, w, 4))
    torch.testing.assert_close(weights, torch.ones(len(weights)))
    assert torch.isfinite(create_head("remap", [5])([maps(h, w)])).all()


def test_weights_of_the_landscape_grid_are_taken_as_they_are():
    alpha = torch.rand(40, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(region_weights(alpha, 24, 32, 4), alpha)
    assert len(region_weights(alpha, 16, 32, 4)) == 50
    assert len(region_weights(alpha, 24, 24, 4)) == 30


def test_gradients():
    head = create_head("remap", [3, 2]).double()
    layers = [maps(6, 8, 3, 1).double().requires_grad_(), maps(6, 8, 2, 1, 1).double().requires_grad_()]
    assert torch.autograd.gradcheck(lambda *m: head.pool(list(m)), layers)
    head.pool(layers).sum().backward()
    assert head.alpha.grad.abs().sum() > 0
    frozen = create_head("remap", [3], train_alpha=False)
    assert not frozen.alpha.requires_grad


def test_alpha_stays_non_negative():
    head = create_head("remap", [3])
    with torch.no_grad():
        head.alpha -= 2 * torch.rand(40)
    assert head.alpha.min() < 0
    head.constrain()
    assert head.alpha.min() == 0
    assert head.alpha.max() > 0


def test_hidden_cells_take_no_part():
    head = create_head("remap", [5, 5])
    m = maps(12, 16)
    valid = torch.ones(2, 12, 16, dtype=torch.bool)
    valid[:, :, 8:] = False
    changed = m.clone()
    changed[:, :, :, 8:] += 100
    torch.testing.assert_close(head([m, m], valid), head([changed, changed], valid))


def test_unknown_weighting_is_refused():
    with pytest.raises(RecipeError, match="kl, ones"):
        create_head("remap", [3], weighting="tf")


def test_the_concatenation_goes_into_the_layer_as_it_is_unless_it_is_normalised():
    layers = [maps(24, 32, 5), maps(24, 32, 3, seed=1)]
    as_it_is = create_head("remap", [5, 3], fc=4, normalise=False)
    unit = create_head("remap", [5, 3], fc=4)
    unit.load_state_dict(as_it_is.state_dict())
    pooled = as_it_is.pool(layers)
    assert pooled.norm(dim=1).min() > 2
    torch.testing.assert_close(as_it_is(layers), F.normalize(as_it_is.fc(pooled), dim=1))
    torch.testing.assert_close(unit(layers), F.normalize(unit.fc(F.normalize(pooled, dim=1)), dim=1))
