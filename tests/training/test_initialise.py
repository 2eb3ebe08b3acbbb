from __future__ import annotations

import numpy as np
import pytest
import torch

from reseen.errors import TrainingError
from reseen.heads.divergence import kl_weights
from reseen.photosets import class_folders, references
from reseen.projections import create_projection
from reseen.training import initialise as initialisation
from reseen.training.initialise import SHRINKAGE, initialise, pooled, start_as_whitening
from reseen.training.losses import create_loss
from reseen.training.network import Network
from reseen.training.settings import TrainingSettings
from reseen.training.tuples import choose_pairs
from reseen.training.views import View, ViewReader

LANDSCAPE = {"views": {"exact": [64, 48], "virtual": [64, 48]}}


def prepared(tiny_for, classes, head, *, data=None, **training):
    descriptor = tiny_for(head=head, **{**LANDSCAPE, **training})
    settings = TrainingSettings.from_table(descriptor.recipe.training)
    data = data or class_folders(classes)
    reader = ViewReader(data, settings.views, settings.views.rule(descriptor.recipe.images.rule))
    network = Network(descriptor.backbone, descriptor.head, create_loss("triplet"))
    data = choose_pairs(data, settings, reader, lambda views: np.zeros((len(views), 1), np.float32))
    initialise(network, data, settings, reader, new=True)
    return network, data, reader


def batch(network, reader, numbers):
    pixels = [reader.read(View(i)) for i in numbers]
    out = []
    for p in pixels:
        with torch.no_grad():
            out.append(network.backbone(network.backbone.normalise(torch.from_numpy(p)[None])))
    return out


def test_untrained_remap_is_pooling_and_pca_whitening_exactly(tiny_for, classes):
    network, data, reader = prepared(tiny_for, classes, {"kind": "remap", "fc": 6})
    maps = batch(network, reader, range(len(data.photos)))
    rows = np.concatenate([pooled(network.head, m) for m in maps])
    whitening = create_projection("pca", dim=6, shrinkage=SHRINKAGE).fit(rows)
    with torch.no_grad():
        got = torch.cat([network.head(m) for m in maps]).numpy()
    np.testing.assert_allclose(got, whitening.transform(rows), atol=2e-5)
    assert got.shape == (32, 6)


def test_kl_weights_are_measured_and_differ(tiny_for, classes):
    network, _, _ = prepared(tiny_for, classes, {"kind": "remap", "fc": 6})
    alpha = network.head.alpha.detach()
    assert alpha.shape == (1, 40)
    assert alpha.min() >= 0
    assert len(alpha.unique()) > 10
    ones, _, _ = prepared(tiny_for, classes, {"kind": "remap", "weighting": "ones"})
    assert (ones.head.alpha == 1).all()


def test_kl_weights_from_virtual_photos(tiny_for, classes):
    network, _, _ = prepared(tiny_for, classes, {"kind": "remap"}, data=references(classes))
    assert len(network.head.alpha.unique()) > 10


def test_kl_weights_need_the_landscape_grid(tiny_for, classes):
    with pytest.raises(TrainingError, match='weighting = "ones"'):
        prepared(tiny_for, classes, {"kind": "remap"}, views={"exact": [48, 48], "virtual": [48, 48]})


def test_the_matrix_per_region_starts_as_the_whitening_of_regions(tiny_for, classes):
    network, _, reader = prepared(tiny_for, classes, {"kind": "rmac", "local": 5})
    maps = batch(network, reader, range(32))
    with torch.no_grad():
        regions = torch.cat([network.head.regions(m).flatten(0, 1) for m in maps])
    out = (regions @ network.head.local.weight.T + network.head.local.bias).detach()
    torch.testing.assert_close(out.mean(0), torch.zeros(5), atol=1e-3, rtol=0)
    assert out.var(0).numpy() == pytest.approx(np.ones(5), rel=0.1)


def test_a_layer_started_as_whitening_equals_it():
    rows = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    layer = torch.nn.Linear(8, 3)
    start_as_whitening(layer, rows)
    expected = create_projection("pca", dim=3, shrinkage=SHRINKAGE).fit(rows).transform(rows)
    got = torch.nn.functional.normalize(layer(torch.from_numpy(rows)), dim=1)
    np.testing.assert_allclose(got.detach().numpy(), expected, atol=1e-5)


def test_remap_without_normalisation_whitens_what_its_layer_takes(tiny_for, classes):
    network, data, reader = prepared(tiny_for, classes, {"kind": "remap", "fc": 6, "normalise": False})
    maps = batch(network, reader, range(len(data.photos)))
    with torch.no_grad():
        rows = torch.cat([network.head.pool(m) for m in maps]).numpy()
        got = torch.cat([network.head(m) for m in maps]).numpy()
    assert np.linalg.norm(rows, axis=1).std() > 0.01
    whitening = create_projection("pca", dim=6, shrinkage=SHRINKAGE).fit(rows)
    np.testing.assert_allclose(got, whitening.transform(rows), atol=2e-5)


@pytest.mark.parametrize(("most", "learned"), [(0, 32), (10, 10)])
def test_a_layer_starts_from_as_many_photos_as_the_recipe_says(tiny_for, classes, monkeypatch, most, learned):
    seen = []

    def counted(layer, rows):
        assert not isinstance(rows, np.ndarray), "all rows at once would grow with the photos"
        kept = list(rows)
        seen.append(sum(map(len, kept)))
        start_as_whitening(layer, iter(kept))

    monkeypatch.setattr("reseen.training.initialise.start_as_whitening", counted)
    prepared(tiny_for, classes, {"kind": "gem", "fc": 4}, fit_photos=most)
    assert seen == [learned]


@pytest.mark.parametrize(("most", "measured"), [(0, None), (7, 7)])
def test_kl_weights_are_measured_on_as_many_pairs_as_the_recipe_says(tiny_for, classes, monkeypatch, most, measured):
    counts = []

    def counted(matching, other):
        counts.append(len(matching))
        return kl_weights(matching, other)

    monkeypatch.setattr("reseen.heads.remap.kl_weights", counted)
    _, data, _ = prepared(tiny_for, classes, {"kind": "remap"}, fit_pairs=most)
    assert counts == [measured or len(data.pairs)]


def test_kl_weights_are_measured_a_few_pairs_at_a_time(tiny_for, classes, monkeypatch):
    held = []
    monkeypatch.setattr("reseen.training.initialise.PAIRS_AT_ONCE", 5)
    original = initialisation._maps
    monkeypatch.setattr(initialisation, "_maps", lambda *a: held.append(len(a[2])) or original(*a))
    network, data, _ = prepared(tiny_for, classes, {"kind": "remap"})
    assert len(held) == -(-len(data.pairs) // 5) and max(held) <= 10
    assert len(network.head.alpha.unique()) > 10


@pytest.mark.parametrize("kind", ["fisher", "netvlad"])
def test_codebooks_are_learned_first_and_then_trained(tiny_for, classes, tmp_path, kind):
    from reseen.training import Trainer

    start = tiny_for(head={"kind": kind, "k": 3}, epochs=1, validation=0, **LANDSCAPE)
    assert not start.fitted
    got = Trainer(start, class_folders(classes), tmp_path / "run").run()
    assert got.fitted
    assert got.dim == 36
    assert np.isfinite(got.encode([next(classes.glob("*/*.png"))])).all()
