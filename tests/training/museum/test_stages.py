"""The museum paper's stages: classifier, fully convolutional network, triplets, and the whole of them."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import reseen
from reseen.backbones import create_backbone
from reseen.collections.gallery import Gallery
from reseen.descriptor.recipes import read_recipe
from reseen.errors import RecipeError, TrainingError
from reseen.heads.museum.classifier import Classifier, imagenet_network, instance_network, set_mode, train_from
from reseen.heads.museum.fcn import convolutional, fcn_loss
from reseen.heads.museum.regions import InstanceRegions, Siamese
from reseen.scenes.studio import Studio
from reseen.training.museum.augment import at_shortest, augment
from reseen.training.museum.stages import (
    Stage,
    Stages,
    Views,
    _rate,
    as_logits,
    choose_triplets,
    train_classifier,
    train_fcn,
    train_instances,
    train_triplets,
)

STAGE = Stage(epochs=1, rate=0.1, decay=0.0, momentum=0.0, batch=2, sides=(64,))
MUSEUMS = ("museum-alexnet", "museum-resnet152", "museum-lite0")


@pytest.fixture(scope="module")
def lite0():
    """A random network with ImageNet's number of classes; never trained on."""
    return imagenet_network("efficientnet-lite0", "random")


@pytest.fixture
def network(lite0):
    """A classifier of three instances."""
    torch.manual_seed(0)
    backbone = create_backbone("efficientnet-lite0", ["head"], "random")
    return instance_network(Classifier(backbone, lite0.linear), 3)


@pytest.fixture
def views(museum):
    """Views of three references of different instances."""
    gallery = Gallery.of(museum(3, 1))
    return Views(Studio(gallery.paths), gallery.instance)


def kept(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(network, before):
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize(
    ("name", "side", "grid"), [("alexnet", 224, 6), ("resnet50", 64, 2), ("efficientnet-lite0", 64, 2)]
)
def test_the_fully_convolutional_network_gives_the_classifiers_outputs_on_the_training_size(name, side, grid):
    network = instance_network(imagenet_network(name, "random"), 5).eval()
    photos = torch.randn(2, 3, side, side)
    with torch.no_grad():
        maps = network.backbone(photos)
        assert maps[0].shape[-2:] == (grid, grid)
        expected = network(photos)
        fcn = convolutional(network.linear, network.backbone.channels[0], grid).eval()
        torch.testing.assert_close(fcn(maps[0])[..., 0, 0], expected, atol=1e-5, rtol=1e-5)
        head = as_logits(network, grid, [f"work {i}" for i in range(5)]).eval()
        torch.testing.assert_close(head.pool(maps), expected, atol=1e-5, rtol=1e-5)
        larger = network.backbone(torch.randn(1, 3, side + 64, side + 96))
        assert head.activations(larger).shape == (1, 5, 3, 4)


def test_only_known_layers_become_convolutions():
    with pytest.raises(TypeError, match="LayerNorm cannot be made convolutional"):
        convolutional(nn.Sequential(nn.Flatten(), nn.LayerNorm(4)), 4, 1)


def test_training_starts_at_the_named_steps_and_frozen_ones_keep_their_statistics(network):
    learned = {id(p) for p in train_from(network, ["blocks.6", "head"])}
    names = {name for name, p in network.named_parameters() if id(p) in learned}
    assert {name.split(".")[2] for name in names if name.startswith("backbone.")} == {"blocks_6", "head"}
    assert {"linear.2.weight", "linear.2.bias"} <= names
    before = kept(network)
    set_mode(network, statistics=True)
    network(torch.randn(2, 3, 64, 64))
    assert {name.split(".")[2] for name in changed(network, before)} == {"blocks_6", "head"}
    before = kept(network)
    set_mode(network, statistics=False)
    network(torch.randn(2, 3, 64, 64))
    assert changed(network, before) == set()
    with pytest.raises(RecipeError, match=r"no step layer9 to train"):
        train_from(network, ["layer9"])


def test_the_papers_networks_train_from_the_papers_layers_on():
    for name, backbone, layers in (
        ("museum-alexnet", "alexnet", {"features.10"}),
        ("museum-lite0", "efficientnet-lite0", None),
    ):
        recipe = read_recipe(name)
        made = Classifier(create_backbone(backbone, recipe.backbone.layers, "random"), nn.Sequential())
        train_from(made, Stages.of(recipe).train)
        convolutions = [n for n, m in made.backbone.named_modules() if isinstance(m, nn.Conv2d)]
        moving = [n for n in convolutions if made.backbone.get_submodule(n).weight.requires_grad]
        assert moving == convolutions[-len(moving) :]
        assert layers is None or len(moving) == len(layers)


def test_the_loss_is_averaged_over_places_then_over_scales():
    outputs = [torch.randn(1, 4, 2, 3), torch.randn(1, 4, 1, 1)]
    each = [F.cross_entropy(o.flatten(2)[0].T, torch.full((o[0, 0].numel(),), 2)) for o in outputs]
    torch.testing.assert_close(fcn_loss(outputs, torch.tensor([2])), (each[0] + each[1]) / 2)


def test_micro_batches_take_the_step_of_their_mean_loss(network, views):
    stage = replace(STAGE, batch=3, sides=(96, 64))
    heads = [as_logits(network, 2, ["a", "b", "c"]) for _ in range(2)]
    train_from(Classifier(network.backbone, nn.Sequential(heads[0])), [])
    network.eval()
    losses = []
    for row in range(3):
        photos = [torch.from_numpy(views.whole(row, 0, stage, side)[None]) for side in stage.sides]
        outputs = [heads[0].activations(network.backbone(network.backbone.normalise(p))) for p in photos]
        losses.append(fcn_loss(outputs, torch.tensor([row])))
    torch.stack(losses).mean().backward()
    train_fcn(network.backbone, heads[1], views, stage, [], lambda progress: None)
    for first, second in zip(heads[0].parameters(), heads[1].parameters(), strict=True):
        torch.testing.assert_close(second, first - stage.rate * first.grad, atol=1e-6, rtol=1e-5)


def test_a_step_of_the_classifier_moves_what_learns_and_nothing_else(network, views):
    before = kept(network)
    seen = []
    train_classifier(network, views, STAGE, ["head"], seen.append)
    moved = changed(network, before)
    assert {"linear.2.weight", "linear.2.bias"} <= moved
    assert {name.split(".")[2] for name in moved if name.startswith("backbone.")} == {"head"}
    assert not any("running" in name for name in moved)
    assert [(p.stage, p.epoch, p.epochs) for p in seen] == [("classifier", 1, 1)] and seen[0].loss > 0
    before = kept(network)
    train_classifier(network, views, replace(STAGE, statistics=True), ["head"], seen.append)
    assert any("running" in name for name in changed(network, before))


def test_the_classifier_learns_its_references(network, views):
    losses = []
    stage = replace(STAGE, epochs=15, batch=3, rate=0.1, momentum=0.9, rotation=5.0, at=())
    train_classifier(network, views, stage, ["head"], lambda progress: losses.append(progress.loss))
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("kind", ["siamese", "regions"])
def test_a_step_on_triplets_moves_what_learns_and_nothing_else(network, views, kind):
    channels = network.backbone.channels
    head = Siamese(channels, grid=2, dim=8)
    if kind == "regions":
        head = InstanceRegions(channels, grid=2, places=2, dim=8, classes=3)
    backbone_before, head_before, seen = kept(network.backbone), kept(head), []
    train_triplets(network.backbone, head, views, replace(STAGE, margin=2.0), ["head"], seen.append)
    moved = changed(network.backbone, backbone_before)
    assert moved and {name.split(".")[1] for name in moved} == {"head"} and not any("running" in n for n in moved)
    assert "project.weight" in changed(head, head_before)
    assert ("classifier.1.weight" in changed(head, head_before)) == (kind == "regions")
    assert [p.stage for p in seen] == [kind]


@pytest.mark.parametrize("kind", ["siamese", "regions"])
def test_triplet_losses_are_summed_and_cross_entropies_averaged_over_a_batch(network, views, kind, monkeypatch):
    """Eqs. 3.4 and 3.6, worked out here from the head's vectors."""
    monkeypatch.setattr(Views, "square", lambda self, row, draw, stage: self.plain(row, stage, square=True))
    monkeypatch.setattr(Views, "whole", lambda self, row, draw, stage, side: self.plain(row, stage, square=False))
    stage = replace(STAGE, batch=3, margin=2.0, alpha=0.7, rate=1e-3)
    channels = network.backbone.channels
    head = Siamese(channels, grid=2, dim=8)
    if kind == "regions":
        head = InstanceRegions(channels, grid=2, places=2, dim=8, classes=3)
    heads = [head, copy.deepcopy(head)]
    train_from(Classifier(network.backbone, nn.Sequential(heads[0])), [])
    network.eval()
    rows = [views.plain(row, stage, square=kind == "siamese") for row in range(3)]
    with torch.no_grad():
        maps = [network.backbone(network.backbone.normalise(torch.from_numpy(r[None]))) for r in rows]
        vectors = np.concatenate([head(m).numpy() for m in maps])
    total = torch.zeros(())
    for a, p, n in choose_triplets(vectors, np.arange(3), semi_hard=False).tolist():
        q, pos, neg = (F.normalize(heads[0].pool(maps[i]), dim=1)[0] for i in (a, p, n))
        total = total + (q @ neg - q @ pos + 2.0)
        if kind == "regions":
            activations = heads[0].activations(maps[a])[0].flatten(1).T
            best = activations.amax(1).sort(descending=True, stable=True).indices[:2]
            total = total + 0.7 / 3 * F.cross_entropy(activations[best], torch.full((len(best),), a))
    total.backward()
    train_triplets(network.backbone, heads[1], views, replace(stage, warm=0), [], lambda progress: None)
    for first, second in zip(heads[0].parameters(), heads[1].parameters(), strict=True):
        torch.testing.assert_close(second - first, -stage.rate * first.grad, atol=1e-8, rtol=1e-3)


@pytest.mark.parametrize("kind", ["siamese", "regions"])
def test_every_triplet_is_seen_in_views_of_its_own(network, views, kind, monkeypatch):
    channels, seen = network.backbone.channels, []
    head = Siamese(channels, grid=2, dim=8)
    if kind == "regions":
        head = InstanceRegions(channels, grid=2, places=2, dim=8, classes=3)
    changed_view = Views._changed

    def watched(self, row, draw, stage, rng):
        pixels = changed_view(self, row, draw, stage, rng)
        seen.append(pixels.tobytes())
        return pixels

    monkeypatch.setattr(Views, "_changed", watched)
    train_triplets(network.backbone, head, views, replace(STAGE, epochs=3, warm=1), [], lambda progress: None)
    assert len(seen) == len(set(seen)) >= 18


def test_panoramas_are_encoded_as_they_are_trained_on(museum_recipe):
    from reseen.images import load_photo, prepare

    recipe = museum_recipe()
    rng = np.random.default_rng(0)
    panorama = rng.integers(0, 256, (40, 400, 3), np.uint8)
    seen = prepare(load_photo(panorama), recipe.images.rule)
    trained = at_shortest(panorama, 64, rng, 2.0)
    assert seen.shape == trained.shape == (64, 128, 3)
    np.testing.assert_array_equal(seen[25:38], trained[25:38])
    assert 60 < seen[:20].std() < 85  # uniform noise: 73.9
    np.testing.assert_array_equal(seen, prepare(load_photo(panorama), recipe.images.rule))


def test_triplets_are_all_couples_with_their_hardest_negatives():
    angles = np.radians([0.0, 30.0, 40.0, 10.0])
    vectors = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    instance = np.array([0, 0, 1, 2])
    hardest = choose_triplets(vectors, instance, semi_hard=False).tolist()
    assert sorted(hardest) == [[0, 0, 3], [0, 1, 3], [1, 0, 2], [1, 1, 2], [2, 2, 1], [3, 3, 0]]
    # farther from 0 than 1 is: 2 only; from 1 than 0: none
    semi = choose_triplets(vectors, instance, semi_hard=True).tolist()
    assert sorted(semi) == [[0, 0, 3], [0, 1, 2], [1, 1, 2], [2, 2, 1], [3, 3, 0]]


def test_views_turn_scale_and_mirror_within_their_limits():
    pixels = np.zeros((61, 61, 3), np.uint8)
    pixels[30, 45] = 255
    reach = []
    for seed in range(40):
        turned = augment(pixels, np.random.default_rng(seed), rotation=20.0, flip=0.0).max(-1)
        y, x = np.argwhere(turned == turned.max())[0] - 30
        assert abs(np.degrees(np.arctan2(y, x))) <= 22
        reach.append(np.hypot(y, x))
    assert 15 * 0.7 <= min(reach) < 13 and 17 < max(reach) <= 15 * 1.3
    mirrored = augment(pixels, np.random.default_rng(0), rotation=0.0, flip=1.0).max(-1)
    assert np.argwhere(mirrored == mirrored.max())[0][1] < 30


def test_beyond_the_aspect_limit_noise_fills_the_short_side():
    rng = np.random.default_rng(0)
    panorama = np.full((40, 400, 3), 200, np.uint8)
    shown = at_shortest(panorama, 64, rng)
    assert shown.shape == (64, 128, 3)
    middle = shown[26:38]
    assert (middle == 200).all() and shown[:20].std() > 50
    assert at_shortest(panorama[:, :60], 64, rng).shape == (64, 96, 3)
    assert at_shortest(np.full((3, 2, 3), 9, np.uint8), 64, rng).shape == (96, 64, 3)


def test_all_stages_give_descriptors_that_can_be_saved(museum, museum_recipe, tmp_path):
    gallery = Gallery.of(museum(3, 2))
    seen = []
    made = train_instances(museum_recipe(), gallery, watch=lambda progress: seen.append(progress.stage))
    assert seen == ["classifier", "siamese", "fcn", "regions"]
    assert [d.dim for d in made] == [1000, 3, 8, 8]
    assert made.ft.head.labels == made.regions.head.labels == gallery.names
    panorama, dot = np.full((30, 300, 3), 90, np.uint8), np.full((3, 2, 3), 90, np.uint8)
    for descriptor in made:
        vectors = descriptor.encode([gallery.rows[0].name, panorama, dot])
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
        again = reseen.load(descriptor.save(tmp_path / descriptor.name))
        np.testing.assert_allclose(again.encode([panorama]), vectors[1:2], atol=1e-5)


def test_what_cannot_be_trained_is_said(museum, museum_recipe, tiny):
    with pytest.raises(TrainingError, match=r"one instance only \(work 0\)"):
        train_instances(museum_recipe(), Gallery.of(museum(1, 2)))
    with pytest.raises(RecipeError, match=r"'tiny' has no \[training.stages\]"):
        Stages.of(tiny.recipe)
    with pytest.raises(RecipeError, match="speed"):
        Stages.of(museum_recipe(fcn={"speed": 3}))


def test_a_loss_that_is_no_number_stops(network, views):
    network.linear[-1].weight.data.fill_(torch.inf)
    with pytest.raises(TrainingError, match="'classifier': the loss is not a number"):
        train_classifier(network, views, STAGE, ["head"], lambda progress: None)


@pytest.mark.parametrize("name", MUSEUMS)
def test_recipes_hold_the_papers_numbers(name):
    recipe = read_recipe(name)
    stages = Stages.of(recipe)
    assert stages.regions.margin == stages.siamese.margin == 0.1 and stages.regions.alpha == 1.0
    assert stages.regions.warm == 2 and recipe.head["places"] == 4 and stages.fcn.aspect == 2.0
    assert stages.classifier.rotation == 180.0 and stages.fcn.rotation == stages.regions.rotation == 45.0
    assert stages.fcn.sides[1] == stages.classifier.sides[0] == 224
    assert stages.fcn.sides[0] == stages.regions.sides[0] == recipe.images.shortest
    assert (recipe.images.aspect, recipe.images.fill) == (2.0, "noise")


@pytest.mark.parametrize("name", MUSEUMS[:2])
def test_recipes_hold_the_published_schedules(name):
    """The authors' code: 50 epochs and a tenth of the rate from the 30th on, then 20 epochs at one rate."""
    stages = Stages.of(read_recipe(name))
    for part, rate in (("classifier", 1e-2), ("fcn", 1e-3)):
        assert rates(getattr(stages, part)) == pytest.approx([rate] * 30 + [rate / 10] * 20)
    for part, rate in (("siamese", 1e-3), ("regions", 1e-4)):
        assert rates(getattr(stages, part)) == pytest.approx([rate] * 20)
    assert [getattr(stages, part).batch for part in ("classifier", "fcn", "siamese", "regions")] == [32, 32, 64, 64]


def rates(stage):
    """The learning rate of each epoch."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 1.0)
    found = []
    for epoch in range(stage.epochs):
        _rate(optimizer, stage, epoch)
        found.append(optimizer.param_groups[0]["lr"])
    return found
