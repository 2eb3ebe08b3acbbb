"""Checkpoints of cirtorch and deep image retrieval: files of the published layout with random weights.

What the vectors must be is worked out here as the authors' code does, on torchvision's networks.
"""

import os
from collections import OrderedDict

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import reseen
from reseen.backbones.torchvision_guard import ensure_torchvision
from reseen.descriptor.published import from_published
from reseen.errors import RecipeError, UntrustedFile, WeightsMissing

ensure_torchvision()
models = pytest.importorskip("torchvision.models")

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
DIM = {"alexnet": 256, "vgg16": 512, "resnet50": 2048}


@pytest.fixture(scope="module")
def features():
    """cirtorch's feature networks, by name: children of torchvision's without the last ones."""
    made = {}

    def build(name):
        if name not in made:
            torch.manual_seed(len(made))
            net = getattr(models, name)(weights=None)
            parts = list(net.children())[:-2] if name.startswith("resnet") else list(net.features.children())[:-1]
            for module in net.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.running_mean.normal_(0, 0.1)
                    module.running_var.uniform_(0.5, 1.5)
            made[name] = nn.Sequential(*parts).eval(), net.eval()
        return made[name]

    return build


def photo(seed=0, size=(96, 128)):
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def seen(pixels):
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
    return (tensor - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def gem(x, p):
    return F.avg_pool2d(x.clamp(min=1e-6).pow(p), x.shape[-2:]).pow(1 / p).flatten(1)


def whitening(d, seed=0, rows=None):
    random = np.random.default_rng(seed)
    return {"m": random.normal(0, 0.01, (d, 1)), "P": random.normal(size=(rows or d, d))}


def cirtorch(tmp_path, net, meta, extra=(), **options):
    state = OrderedDict({f"features.{key}": value for key, value in net.state_dict().items()} | dict(extra))
    meta = {"local_whitening": False, "regional": False, "whitening": False, "mean": MEAN, "std": STD, **meta}
    path = tmp_path / "network.pth"
    torch.save({"epoch": 30, "meta": meta, "state_dict": state, "min_loss": np.float64(0.2)}, path, **options)
    return path


def encoded(descriptor, pixels):
    return descriptor.replace(engine="torch", precision="float32").encode([pixels])[0]


def unit(x):
    return (x / x.norm(dim=-1, keepdim=True)).detach().numpy()


@pytest.mark.parametrize("old", [False, True])
def test_siamac_with_learned_whitening(tmp_path, features, old):
    net, _ = features("alexnet")
    held = {"retrieval-SfM-30k": {"ss": whitening(256, 1), "ms": whitening(256, 2)}, "mine": {"ss": whitening(256, 3)}}
    meta = {"architecture": "alexnet", "pooling": "mac", "outputdim": 256, "Lw": held}
    path = cirtorch(tmp_path, net, meta, _use_new_zipfile_serialization=not old)
    got = from_published(path)
    assert (got.dim, got.recipe.images.longest, got.recipe.scales.factors) == (256, 1024, (1.0,))
    x = net(seen(photo())).amax((-2, -1))
    vector = unit(x)[0]
    np.testing.assert_allclose(encoded(from_published(path, whitening="none"), photo()), vector, atol=2e-5)
    for name, lw in (("retrieval-SfM-30k", held["retrieval-SfM-30k"]["ss"]), ("mine", held["mine"]["ss"])):
        expected = lw["P"] @ (vector[:, None] - lw["m"])
        found = encoded(from_published(path, whitening=name), photo())
        np.testing.assert_allclose(found, expected[:, 0] / np.linalg.norm(expected), atol=2e-4)
    np.testing.assert_allclose(
        encoded(got, photo()), encoded(from_published(path, whitening="retrieval-SfM-30k"), photo())
    )
    with pytest.raises(RecipeError, match="there are retrieval-SfM-30k, mine"):
        from_published(path, whitening="retrieval-SfM-120k")
    with pytest.raises(RecipeError, match="not known for 'ms'"):
        from_published(path, whitening="mine", multiscale=True)


def test_gem_at_several_scales_and_a_whitening_file(tmp_path, features):
    net, _ = features("vgg16")
    held = {"retrieval-SfM-120k": {"ss": whitening(512, 1), "ms": whitening(512, 2)}}
    meta = {"architecture": "vgg16", "pooling": "gem", "outputdim": 512, "Lw": held}
    path = cirtorch(tmp_path, net, meta, {"pool.p": torch.tensor([2.7])})
    got = from_published(path)
    assert got.recipe.scales.factors == pytest.approx((1, 0.5**0.5, 0.5)) and got.recipe.scales.power == "gem"
    np.testing.assert_allclose(got.projection.mean_, held["retrieval-SfM-120k"]["ms"]["m"][:, 0], rtol=1e-5)
    single = from_published(path, whitening="none", multiscale=False)
    expected = unit(gem(net(seen(photo(1))), 2.7))[0]
    np.testing.assert_allclose(encoded(single, photo(1)), expected, atol=2e-5)
    torch.save(whitening(512, 5, rows=64), tmp_path / "network.pth_mine_whiten_ms.pth")
    other = from_published(path, whitening=str(tmp_path / "network.pth_mine_whiten_ms.pth"))
    assert other.dim == 64
    kept = reseen.load(got.save(tmp_path / "saved"))
    assert kept.fingerprint == got.fingerprint
    np.testing.assert_allclose(encoded(kept, photo(1)), encoded(got, photo(1)), atol=1e-6)


def test_gem_with_a_whitening_learned_along(tmp_path, features):
    net, _ = features("resnet50")
    linear = nn.Linear(2048, 2048)
    extra = {"pool.p": torch.tensor([3.1]), "whiten.weight": linear.weight.data, "whiten.bias": linear.bias.data}
    path = cirtorch(tmp_path, net, {"architecture": "resnet50", "pooling": "gem", "whitening": True}, extra)
    got = from_published(path)
    assert got.recipe.scales.factors == pytest.approx((1, 2**0.5, 0.5**0.5)) and got.recipe.scales.power == 1.0
    assert got.projection is None and got.backbone.layers[0].name == "layer4.2"
    expected = unit(linear(torch.from_numpy(unit(gem(net(seen(photo(2))), 3.1)))))[0]
    np.testing.assert_allclose(encoded(from_published(path, multiscale=False), photo(2)), expected, atol=2e-5)


def test_regional_mac(tmp_path, features):
    net, _ = features("alexnet")
    linear = nn.Linear(256, 256)
    extra = {"pool.whiten.weight": linear.weight.data, "pool.whiten.bias": linear.bias.data}
    path = cirtorch(tmp_path, net, {"architecture": "alexnet", "pooling": "mac", "regional": True}, extra)
    pixels = photo(3, (223, 223))
    maps = net(seen(pixels))
    assert maps.shape[-2:] == (13, 13)
    regions = [maps.amax((-2, -1))]
    for level in (1, 2, 3):  # a square map: levels of 1, 4 and 9 regions
        side = 2 * 13 // (level + 1)
        starts = [(13 - side) * i // max(1, level - 1) for i in range(level)]
        regions += [maps[..., y : y + side, x : x + side].amax((-2, -1)) for y in starts for x in starts]
    each = F.normalize(linear(F.normalize(torch.cat(regions), dim=1)), dim=1)
    np.testing.assert_allclose(encoded(from_published(path), pixels), unit(each.sum(0)), atol=2e-5)


@pytest.mark.parametrize("norm", [False, True])
def test_deep_image_retrieval(tmp_path, features, norm):
    from sklearn.decomposition import PCA

    net, full = features("resnet50")
    fc = nn.Linear(2048, 64)
    state = {f"module.{key}": value for key, value in full.state_dict().items() if not key.startswith("fc.")}
    state |= {
        "module.adpool.p": torch.tensor([2.9]),
        "module.fc.weight": fc.weight.data,
        "module.fc.bias": fc.bias.data,
    }
    learned = PCA(whiten=True, svd_solver="full").fit(np.random.default_rng(0).normal(size=(200, 64)))
    options = {"arch": "resnet50_rmac", "out_dim": 64, "pooling": "gem", "gemp": 3, "norm_features": norm}
    checkpoint = {
        "epoch": 90,
        "model_options": options,
        "state_dict": OrderedDict(state),
        "preprocess": {"mean": MEAN, "std": STD, "input_size": 1024},
        "pca": {"Landmarks_clean": learned},
    }
    path = tmp_path / "Resnet50-AP-GeM.pt"
    torch.save(checkpoint, path)
    got = from_published(path)
    assert (got.name, got.dim, got.recipe.scales.factors) == ("Resnet50-AP-GeM", 64, (1.0,))
    pooled = gem(net(seen(photo(4))), 2.9)
    vector = unit(fc(F.normalize(pooled, dim=1) if norm else pooled))
    np.testing.assert_allclose(encoded(from_published(path, whitening="none"), photo(4)), vector[0], atol=2e-5)
    rotated = (vector - learned.mean_) @ learned.components_.T / learned.explained_variance_**0.25
    np.testing.assert_allclose(encoded(got, photo(4)), rotated[0] / np.linalg.norm(rotated), atol=2e-4)
    torch.save({**checkpoint, "pca": learned}, path)
    np.testing.assert_allclose(encoded(from_published(path), photo(4)), encoded(got, photo(4)))


class Evil:
    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


@pytest.mark.parametrize("old", [False, True])
def test_files_with_more_than_data_are_refused(tmp_path, old):
    path = tmp_path / "evil.pth"
    for held in ({"meta": Evil(str(tmp_path / "made"))}, {"meta": {}, "state_dict": {}, "x": nn.Linear(2, 2)}):
        torch.save(held, path, _use_new_zipfile_serialization=not old)
        with pytest.raises(UntrustedFile, match="which is not plain data"):
            from_published(path)
    assert not (tmp_path / "made").exists()
    path.write_bytes(b"no file of torch")
    with pytest.raises(UntrustedFile, match="refused"):
        from_published(path)
    with pytest.raises(WeightsMissing, match="no such file"):
        from_published(tmp_path / "none.pth")


def test_what_is_not_known_is_said(tmp_path, features):
    net, _ = features("alexnet")
    meta = {"architecture": "alexnet", "pooling": "mac"}
    for wrong, message in (
        ({"architecture": "densenet121"}, "'densenet121' is not known"),
        ({"pooling": "gemmp"}, "'gemmp' is not known"),
        ({"pooling": "gem", "regional": True}, "only mac is known here"),
        ({"local_whitening": True}, "local_whitening"),
        ({"mean": [0.5, 0.5, 0.5]}, "not ImageNet's"),
        ({"Lw": {"x": {"ss": {"m": np.zeros(3), "P": np.eye(3)}}}}, "3 dimensions for vectors of 256"),
        ({"Lw": {"x": {"ss": {"m": np.zeros(3)}}}}, "lacks 'P'"),
    ):
        with pytest.raises(RecipeError, match=message):
            from_published(cirtorch(tmp_path, net, {**meta, **wrong}))
    with pytest.raises(RecipeError, match="do not fit"):
        from_published(cirtorch(tmp_path, net[:6], meta))
    torch.save({"model": net.state_dict()}, tmp_path / "plain.pth")
    with pytest.raises(RecipeError, match="it holds model"):
        from_published(tmp_path / "plain.pth")
