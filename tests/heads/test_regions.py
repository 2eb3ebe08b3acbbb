"""The region grid against REMAP's Table I, and the pooled regions against slices."""

import numpy as np
import pytest
import torch

from reseen.errors import NotFitted
from reseen.heads.regions import extra_regions, region_grid, region_max
from reseen.heads.rmac import RMAC, SHRINKAGE, rmac
from reseen.projections import PCA

RNG = np.random.default_rng(7)
ODD_SIZES = [(int(h), int(w)) for h, w in RNG.integers(3, 48, (36, 2))] + [(10, 18), (61, 25), (2, 9), (1, 1)]


def slow_grid(height, width, levels):
    """The grid as the text has it, with exact fractions."""
    from fractions import Fraction

    short, long = min(height, width), max(height, width)
    extra = 0
    if short < long:
        errors = {n: abs(Fraction(short**2) - short * Fraction(long - short, n - 1)) for n in range(2, 8)}
        errors = {
            n: abs((short**2 - short * Fraction(long - short, n - 1)) / short**2 - Fraction(2, 5)) for n in errors
        }
        extra = min(errors, key=lambda n: (errors[n], n)) - 1
    found = []
    for level in range(1, levels + 1):
        side = int(Fraction(2 * short, level + 1))
        if side == 0:
            continue
        counts = {True: level + extra, False: level}
        ny, nx = counts[height > width], counts[width > height]
        ys = [int(Fraction(i * (height - side), ny - 1)) if ny > 1 else 0 for i in range(ny)]
        xs = [int(Fraction(i * (width - side), nx - 1)) if nx > 1 else 0 for i in range(nx)]
        found += [(x, y, x + side, y + side) for y in ys for x in xs]
    return found


@pytest.mark.parametrize(("levels", "count"), [(2, 8), (3, 20), (4, 40), (5, 70)])
def test_counts_equal_table_one_of_remap(levels, count):
    assert len(region_grid(24, 32, levels)) == count
    assert len(region_grid(32, 24, levels)) == count


def test_counts_of_a_square_and_of_two_to_one():
    assert len(region_grid(24, 24, 4)) == 30
    assert len(region_grid(16, 32, 4)) == 50
    assert extra_regions(24, 24) == 0


@pytest.mark.parametrize("size", ODD_SIZES)
def test_grid_equals_the_text_in_exact_fractions(size):
    assert [tuple(row) for row in region_grid(*size, 4)] == slow_grid(*size, 4)


@pytest.mark.parametrize("size", ODD_SIZES)
def test_regions_reach_every_edge_and_stay_inside(size):
    height, width = size
    grid = region_grid(height, width, 4)
    assert grid[:, :2].min() == 0
    assert (grid[:, 2] <= width).all() and (grid[:, 3] <= height).all()
    assert grid[:, 2].max() == width and grid[:, 3].max() == height


@pytest.mark.parametrize("size", ODD_SIZES)
def test_region_max_equals_the_maximum_of_each_slice(size):
    maps = torch.randn(2, 5, *size, generator=torch.Generator().manual_seed(sum(size)))
    expected = torch.stack([maps[:, :, y0:y1, x0:x1].amax((2, 3)) for x0, y0, x1, y1 in region_grid(*size, 4)], 1)
    assert torch.equal(region_max(maps, 4), expected)


def slow_rmac(maps, levels):
    vectors = []
    for m in maps.double().clamp_min(0):
        regions = [m] + [m[:, y0:y1, x0:x1] for x0, y0, x1, y1 in slow_grid(m.shape[1], m.shape[2], levels)]
        maxima = [r.flatten(1).max(1).values for r in regions]
        total = sum(v / v.norm() for v in maxima if v.norm() > 0)
        vectors.append(total / total.norm())
    return torch.stack(vectors)


@pytest.mark.parametrize("size", ODD_SIZES)
def test_rmac_equals_a_slow_loop(size):
    maps = torch.randn(3, 6, *size, generator=torch.Generator().manual_seed(1)) + 0.5
    head = RMAC([6])
    torch.testing.assert_close(head([maps]), slow_rmac(maps, 3).float(), atol=2e-6, rtol=0)


def test_hidden_cells_take_no_part():
    maps = torch.rand(1, 4, 12, 16)
    valid = torch.ones(1, 12, 16, dtype=torch.bool)
    valid[:, :, 8:] = False
    spoiled = maps.clone()
    spoiled[..., 8:] = 100
    assert torch.equal(region_max(spoiled, 3, valid), region_max(maps, 3, valid))
    assert region_max(maps, 3, torch.zeros_like(valid)).abs().max() == 0


def test_gradients_of_rmac():
    maps = torch.rand(1, 3, 5, 7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda m: rmac(m, 3), (maps,))


def test_levels_that_vanish_are_left_out():
    grid = region_grid(1, 4, 3)
    assert len(grid) and (grid[:, 2:] - grid[:, :2] == 1).all()


def test_the_whole_map_comes_last():
    maps = torch.rand(2, 3, 4, 30) - 0.5
    regions = region_max(maps, 2, whole=True)
    assert torch.equal(regions[:, :-1], region_max(maps, 2))
    assert torch.equal(regions[:, -1], maps.amax((2, 3)))


def test_regions_are_whitened_by_what_fit_learns():
    stream = [([torch.rand(2, 6, 9, 12) ** 3], None) for _ in range(12)]
    head = RMAC([6], levels=2, local=4)
    assert not head.fitted and RMAC([6]).fitted
    assert head.fit(iter(stream)).fitted
    rows = torch.cat([head.regions(maps).flatten(0, 1) for maps, _ in stream]).numpy()
    whitening = PCA(dim=4, shrinkage=SHRINKAGE).fit(rows)
    (maps, _) = stream[0]
    regions = head.regions(maps)
    expected = whitening.transform(regions.flatten(0, 1).numpy()).reshape(2, -1, 4).sum(1)
    found = head(maps).detach().numpy()
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(np.abs(found), np.abs(expected), atol=1e-3)  # up to the signs of the axes
    again = RMAC([6], levels=2, local=4)
    again.load_state_dict(head.state_dict())
    assert again.fitted and torch.equal(again(maps), head(maps))
    with pytest.raises(NotFitted, match="no photo could be used"):
        RMAC([6], local=4).fit(iter([]))
