"""Heads against their formulas written out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from formulas import pooling

from reseen.heads import create_head
from reseen.heads.divergence import kl_weights
from reseen.heads.fisher import fisher_vector, posteriors
from reseen.heads.museum.regions import feature_windows, top_places
from reseen.heads.netvlad import netvlad
from reseen.heads.pooling import crow, gem, mac, spoc
from reseen.heads.regions import region_grid
from reseen.heads.remap import remap_regions
from reseen.heads.rmac import SHRINKAGE, rmac

SIZES = [(6, 8), (8, 6), (7, 7), (5, 11), (13, 9)]


def maps(height, width, channels=5, seed=0, signed=False):
    """One photo's maps ``(1, C, H, W)``, a third of them 0 unless signed."""
    drawn = np.random.default_rng(seed).normal(size=(1, channels, height, width)).astype(np.float32)
    return torch.from_numpy(drawn if signed else np.maximum(drawn - 0.4, 0) + 0.0)


def close(ours, golden):
    """Equal to 1e-5 of the largest."""
    ours, golden = np.asarray(ours, np.float64), np.asarray(golden, np.float64)
    assert ours.shape == golden.shape
    assert np.abs(ours - golden).max() <= 1e-5 * np.abs(golden).max()


@pytest.mark.parametrize("size", SIZES)
def test_global_pooling(size):
    positive, signed = maps(*size), maps(*size, signed=True, seed=1)
    close(mac(signed)[0], pooling.mac(signed[0].numpy()))
    close(spoc(signed)[0] * size[0] * size[1], pooling.spoc(signed[0].numpy()))
    close(gem(positive, 3.0, eps=1e-3)[0], pooling.gem(positive[0].numpy(), 3.0, 1e-3))
    close(gem(positive, 2.2, eps=1e-3)[0], pooling.gem(positive[0].numpy(), 2.2, 1e-3))
    for name, formula in (("mac", pooling.mac), ("spoc", pooling.spoc), ("crow", pooling.crow)):
        close(create_head(name, (5,))([positive])[0], pooling.unit(formula(positive[0].numpy())))
    close(crow(positive)[0], pooling.crow(positive[0].numpy()))


def test_settings_reach_the_formulas():
    drawn = maps(6, 8)
    for a, b in ((2.0, 3.0), (1.0, 2.0)):
        golden = pooling.unit(pooling.crow(drawn[0].numpy(), a, b))
        close(create_head("crow", (5,), a=a, b=b)([drawn])[0], golden)
    powers = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0])
    golden = [pooling.gem(drawn[0].numpy(), p, 1e-3)[c] for c, p in enumerate(powers.tolist())]
    close(gem(drawn, powers, eps=1e-3)[0], golden)
    close(create_head("gem", (5,), p=2.5)([drawn]).detach()[0], pooling.unit(pooling.gem(drawn[0].numpy(), 2.5, 1e-6)))
    both = maps(6, 8, signed=True, seed=16)
    both[:, 0] -= 5  # below 0 everywhere
    for kind in ("mac", "crow", "rmac", "remap"):
        kept, clamped = (create_head(kind, (5,), signed=signed)([both]).detach() for signed in ("keep", "clamp"))
        close(clamped, create_head(kind, (5,))([both.clamp_min(0)]).detach())
        assert not torch.allclose(kept, clamped) and create_head(kind, (5,), fc=3)([both]).shape == (1, 3)
    signed = maps(6, 8, signed=True) - 9
    assert mac(signed, signed="keep").max() < 0 and mac(signed).max() == 0
    assert rmac(signed, signed="keep").max() < 0 and rmac(signed).abs().max() == 0


@pytest.mark.parametrize("signed", [True, False])
def test_cells_that_are_left_out_take_no_part(signed):
    """As if only the others were there, side by side."""
    two = torch.cat([maps(6, 8, seed=20, signed=signed), maps(6, 8, seed=21, signed=signed)])
    valid = torch.from_numpy(np.random.default_rng(22).random((2, 6, 8)) < 0.4)
    settings = [("mac", {}), ("mac", {"signed": "keep"}), ("spoc", {}), ("gem", {}), ("crow", {}), ("fisher", {"k": 2})]
    for kind, options in [*settings, ("netvlad", {"k": 2})]:
        head = create_head(kind, (5,), **options)
        if not head.fitted:
            head.fit([([maps(6, 8, seed=seed, signed=True)], None) for seed in range(3)])
        with torch.no_grad():
            found = head([two], valid)
            for i in range(2):
                kept = two[i][:, valid[i]][None, :, None, :]
                close(found[i], head([kept])[0])


def test_regions_of_cells_that_are_left_out():
    drawn = maps(6, 8, seed=23)
    valid = torch.zeros(1, 6, 8, dtype=torch.bool)
    valid[:, 1:4, 2:7] = True
    shown = drawn * valid[:, None]  # no value is below 0, so that hidden cells are as good as 0
    for head in (create_head("rmac", (5,)), create_head("remap", (5,))):
        with torch.no_grad():
            close(head([drawn], valid)[0], head([shown])[0])
    keep = create_head("rmac", (5,), signed="keep", whole=False)
    moved = maps(6, 8, seed=24, signed=True) - 2
    golden = sum(_maxima(moved[0], valid[0], *corners) for corners in pooling.grid(6, 8, 3))
    close(keep([moved], valid)[0], pooling.unit(golden))


def _maxima(drawn, valid, x0, y0, x1, y1):
    """Unit maxima of the valid cells of a region; 0 where it has none."""
    mask = valid[y0:y1, x0:x1]
    return pooling.unit(drawn[:, y0:y1, x0:x1][:, mask].amax(1).numpy()) if mask.any() else np.zeros(len(drawn))


@pytest.mark.parametrize("size", [*SIZES, (24, 32), (18, 10), (36, 20), (61, 25), (1, 4), (3, 3)])
@pytest.mark.parametrize("levels", [1, 3, 4])
def test_the_grid_of_regions(size, levels):
    assert region_grid(*size, levels).tolist() == [list(box) for box in pooling.grid(*size, levels)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("whole", [True, False])
def test_rmac(size, whole):
    drawn = maps(*size, signed=True)
    close(rmac(drawn, 3, whole=whole)[0], pooling.rmac(drawn[0].numpy(), 3, whole))


def test_rmac_with_regions_whitened_one_by_one():
    head = create_head("rmac", (5,), levels=3, whole=False, local=4)
    head.fit([([maps(6, 8, seed=seed)], None) for seed in range(20)])
    rows = np.concatenate([pooling.regions(maps(6, 8, seed=seed)[0].numpy(), 3) for seed in range(20)])
    mean = sum(rows) / len(rows)
    values, vectors = np.linalg.eigh(sum(np.outer(row - mean, row - mean) for row in rows) / len(rows))
    values = (1 - SHRINKAGE) * values + SHRINKAGE * values.mean()  # not in the text: flat directions stay finite
    matrix = np.diag(values[::-1][:4] ** -0.5) @ vectors[:, ::-1][:, :4].T
    asked = [maps(6, 8, seed=seed) for seed in range(30, 36)]
    golden = np.array([pooling.unit(pooling.whitened_rmac(a[0].numpy(), 3, matrix, -matrix @ mean)) for a in asked])
    with torch.no_grad():
        ours = np.concatenate([head([a]).numpy() for a in asked])
    close(ours @ ours.T, golden @ golden.T)  # axes may point either way


def test_remap():
    landscape = [maps(6, 8, 5, seed=2), maps(6, 8, 3, seed=3)]
    alphas = np.random.default_rng(4).uniform(0, 2, (2, 40))
    head = create_head("remap", (5, 3), levels=4, normalise=False)
    head.set_alpha(alphas)
    close(head(landscape).detach()[0], pooling.remap([m[0].numpy() for m in landscape], 4, alphas))
    portrait = [m.transpose(2, 3).contiguous() for m in landscape]
    close(head(portrait).detach()[0], pooling.remap([m[0].numpy() for m in landscape], 4, alphas))
    close(remap_regions(landscape[0], 4)[0], pooling.regions(landscape[0][0].numpy(), 4))
    square = maps(7, 7, 5, seed=14)
    close(remap_regions(square, 3)[0], pooling.regions(square[0].numpy(), 3))
    wide = maps(4, 9, 5, seed=15)
    ones = create_head("remap", (5,), levels=2)
    close(ones([wide]).detach()[0], pooling.unit(sum(pooling.regions(wide[0].numpy(), 2))))


@pytest.mark.parametrize("between", [True, False])
def test_remap_with_its_fully_connected_layer(between):
    drawn = [maps(6, 8, 5, seed=2), maps(6, 8, 3, seed=3)]
    alphas = np.random.default_rng(4).uniform(0, 2, (2, 40))
    head = create_head("remap", (5, 3), levels=4, normalise=between, fc=4)
    head.set_alpha(alphas)
    rng = np.random.default_rng(5)
    matrix, bias = rng.normal(size=(4, 8)), rng.normal(size=4)
    with torch.no_grad():
        head.fc.weight.copy_(torch.from_numpy(matrix))
        head.fc.bias.copy_(torch.from_numpy(bias))
    close(head(drawn).detach()[0], pooling.remap([m[0].numpy() for m in drawn], 4, alphas, matrix, bias, between))


def test_the_divergence_of_regions():
    rng = np.random.default_rng(6)
    matching, others = rng.uniform(0, 1.3, (70, 3)), rng.uniform(0.5, 2.0, (90, 3))
    for bins, smoothing in ((50, 1.0), (20, 0.5)):
        golden = [pooling.divergence(matching[:, r], others[:, r], bins, smoothing) for r in range(3)]
        close(kl_weights(matching, others, bins, smoothing), golden)


@pytest.mark.parametrize("kind", ["full", "printed"])
def test_fisher_vectors(kind):
    rng = np.random.default_rng(7)
    weights, means, sigmas = np.array([0.5, 0.3, 0.2]), rng.normal(size=(3, 5)), rng.uniform(0.6, 1.5, (3, 5))
    drawn = maps(4, 6, signed=True, seed=8)
    cells = pooling.cells(drawn[0].numpy())
    given = [torch.from_numpy(value).float() for value in (weights, means, sigmas)]
    x = torch.tensor(np.array(cells), dtype=torch.float32)[None]
    golden = pooling.fisher(drawn[0].numpy(), weights, means, sigmas, kind == "printed")
    close(fisher_vector(x, *given, posterior=kind)[0], golden)
    close(
        posteriors(x, *given, posterior=kind)[0],
        [pooling.posteriors(cell, weights, means, sigmas, kind == "printed") for cell in cells],
    )


def test_a_fitted_fisher_head_gives_the_unit_fisher_vector():
    head = create_head("fisher", (5,), k=3)
    head.fit([([maps(6, 8, signed=True, seed=seed)], None) for seed in range(8)])
    drawn = maps(4, 6, signed=True, seed=9)
    values = [value.detach().double().numpy() for value in (head.weights, head.means, head.sigmas)]
    close(head([drawn]).detach()[0], pooling.unit(pooling.fisher(drawn[0].numpy(), *values)))


def test_netvlad():
    rng = np.random.default_rng(10)
    matrix, bias, centres = rng.normal(size=(3, 5)), rng.normal(size=3), rng.normal(size=(3, 5))
    drawn = maps(4, 6, signed=True, seed=11)
    x = torch.tensor(np.array([pooling.unit(cell) for cell in pooling.cells(drawn[0].numpy())]), dtype=torch.float32)
    given = [torch.from_numpy(value).float() for value in (matrix, bias, centres)]
    close(netvlad(x[None], *given)[0], pooling.netvlad(drawn[0].numpy(), matrix, bias, centres))


def test_museum_regions():
    head = create_head("instance", (4,), grid=3, places=4, dim=6, classes=5)
    drawn = maps(7, 9, 4, seed=12)
    with torch.no_grad():
        activations = head.classifier(drawn)
        places, _ = top_places(activations, 4)
        assert [tuple(place) for place in places[0].tolist()] == pooling.places(activations[0].numpy(), 4)
        close(
            feature_windows(drawn, places, 3)[0],
            [drawn[0, :, y : y + 3, x : x + 3].flatten().numpy() for y, x in places[0].tolist()],
        )
        matrix, bias = (value.detach().double().numpy() for value in (head.project.weight, head.project.bias))
        golden = pooling.museum(drawn[0].numpy(), activations[0].numpy(), 4, 3, matrix, bias)
        close(head([drawn])[0], golden)


@pytest.mark.parametrize(
    ("head", "factors", "weights", "power", "p"),
    [("rmac", [1.0, 1.25], [2.0, 1.4], 1.0, 1.0), ("gem", [1.0, 0.70710678, 0.5], [], "gem", 3.0)],
)
def test_several_scales(make, paint, tmp_path, head, factors, weights, power, p):
    photos = paint(tmp_path, 2)
    whole = make(head={"kind": head}, scales={"factors": factors, "weights": weights, "power": power}).encode(photos)
    single = [make(head={"kind": head}, scales={"factors": [factor]}).encode(photos) for factor in factors]
    for i in range(2):
        close(whole[i], pooling.multi_scale([rows[i] for rows in single], weights or [1.0] * len(factors), p))


def test_the_siamese_network_sees_the_whole_map():
    head = create_head("siamese", (4,), grid=3, dim=6)
    drawn = maps(3, 3, 4, seed=13)
    matrix, bias = (value.detach().double().numpy() for value in (head.project.weight, head.project.bias))
    close(head([drawn]).detach()[0], pooling.museum(drawn[0].numpy(), np.zeros((1, 1, 1)), 1, 3, matrix, bias))


def test_the_formulas_know_nothing_of_the_library():
    for file in (Path(__file__).parent / "formulas").glob("*.py"):
        assert "reseen" not in file.read_text("utf-8"), file


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("mac", {"signed": "keep"}),
        ("gem", {"p": 2.0}),
        ("crow", {"a": 3.0, "b": 1.5, "signed": "keep"}),
        ("rmac", {"levels": 2, "whole": False, "signed": "keep", "local": 3}),
        ("remap", {"levels": 2, "weighting": "ones", "train_alpha": False, "signed": "keep", "normalise": False}),
        ("fisher", {"k": 3, "posterior": "printed", "sample": 70}),
        ("netvlad", {"k": 3, "sample": 70}),
        ("instance", {"grid": 3, "places": 2, "dim": 6, "labels": ("a", "b"), "classes": 2, "hidden": (4,)}),
        ("logits", {"grid": 3, "labels": ("a", "b"), "classes": 2, "hidden": (4,)}),
        ("siamese", {"grid": 3, "dim": 6}),
    ],
)
def test_a_head_keeps_its_settings_and_another_is_made_of_them(kind, settings):
    head = create_head(kind, (5,), **settings)
    assert {name: head.options[name] for name in settings} == settings
    shapes = {name: value.shape for name, value in head.state_dict().items()}
    again = create_head(kind, (5,), **{name: value for name, value in head.options.items() if name != "fc"})
    assert shapes == {name: value.shape for name, value in again.state_dict().items()}
    assert not settings.get("hidden") or any(4 in shape for shape in shapes.values())
