"""Networks by name: layers, strides, weights, and what is refused."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reseen.backbones import create_backbone, list_backbones
from reseen.errors import RecipeError, UntrustedFile, WeightsMissing


def run(backbone, height=96, width=128):
    pixels = torch.randint(0, 256, (2, height, width, 3), dtype=torch.uint8)
    with torch.inference_mode():
        return backbone(backbone.normalise(pixels))


@pytest.mark.parametrize(
    ("name", "layers", "channels", "strides"),
    [
        ("efficientnet-lite0", ["head", "blocks.6", "blocks.4"], (1280, 320, 112), (32, 32, 16)),
        ("vgg16", ["conv5_3", "relu5_3", "pool5", "relu4_2"], (512, 512, 512, 512), (16, 16, 32, 8)),
        ("alexnet", ["conv5", "relu5", "pool5"], (256, 256, 256), (16, 16, 32)),
        ("resnet50", ["layer4.2", "layer4.1", "layer3.5"], (2048, 2048, 1024), (32, 32, 16)),
        ("timm:vit_tiny_patch16_224", ["blocks.11"], (192,), (16,)),
        ("timm:convnext_atto", ["stages.3", "stages.2"], (320, 160), (32, 16)),
    ],
)
def test_layers_are_read_by_name_in_the_order_asked(name, layers, channels, strides):
    backbone = create_backbone(name, layers, "random")
    maps = run(backbone)
    assert backbone.channels == channels == tuple(m.shape[1] for m in maps)
    assert tuple(layer.stride for layer in backbone.layers) == strides
    assert [layer.name for layer in backbone.layers] == layers


@pytest.mark.parametrize(
    ("name", "layers", "fields"),
    [
        ("vgg16", ["conv1_2", "conv5_3", "pool5"], (5, 196, 212)),
        ("alexnet", ["conv5", "pool5"], (163, 195)),
        ("resnet50", ["layer1.0", "layer4.2"], (19, 427)),
        ("timm:vit_tiny_patch16_224", ["blocks.11"], (None,)),
    ],
)
def test_receptive_fields_are_the_published_ones(name, layers, fields):
    assert tuple(layer.receptive_field for layer in create_backbone(name, layers, "random").layers) == fields


def test_a_cell_sees_all_of_its_receptive_field_and_nothing_else():
    backbone = create_backbone("vgg16", ["conv3_3"], "random")
    (layer,) = backbone.layers
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.abs_()
    cell, side = 15, layer.receptive_field
    start = round(layer.stride * (cell + 0.5) - side / 2)

    def seen(*places):
        x = torch.ones(1, 3, 120, 120)
        for y, x0 in places:
            x[0, :, y, x0] = 1000
        with torch.inference_mode():
            return float(backbone(x)[0][0, :, cell, cell].max())

    inside, last = range(start, start + side), start + side - 1
    assert seen((start, start)) > seen() < seen((last, last))
    assert seen(*[(y, x) for y in range(120) for x in range(120) if y not in inside or x not in inside]) == seen()


@pytest.mark.parametrize(
    ("name", "layer"),
    [("vgg16", "pool3"), ("alexnet", "pool5"), ("resnet50", "layer2.3"), ("efficientnet-lite0", "blocks.2")],
)
def test_the_centre_of_what_a_cell_sees(name, layer):
    backbone = create_backbone(name, [layer], "random")
    for key, parameter in backbone.named_parameters():  # means, so that nothing is cut off or saturates
        parameter.data.fill_(1 / parameter[0].numel() if parameter.dim() == 4 else float(key.endswith("weight")))
    for module in list(backbone.modules()):
        for key, part in module.named_children():
            if isinstance(part, torch.nn.MaxPool2d):  # a maximum has a gradient at one place only
                setattr(module, key, torch.nn.AvgPool2d(part.kernel_size, part.stride, part.padding))
    x = torch.ones(1, 3, 512, 512, requires_grad=True)
    maps = backbone(x)[0]
    cell = maps.shape[2] // 2
    maps[0, :, cell, cell].sum().backward()
    rows = x.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    (found,) = backbone.layers
    assert len(rows) == found.receptive_field
    assert float(rows[0] + rows[-1] + 1) / 2 == found.centre + cell * found.stride
    assert create_backbone("timm:vit_tiny_patch16_224", ["blocks.11"], "random").layers[0].centre is None


@pytest.mark.parametrize("name", ["resnet101", "resnext101"])
def test_residual_networks_have_their_last_two_blocks(name):
    backbone = create_backbone(name, ["layer4.2", "layer4.1"])
    assert backbone.channels == (2048, 2048)


def test_a_convolution_that_is_read_keeps_its_negative_values():
    conv, relu = run(create_backbone("vgg16", ["conv5_3", "relu5_3"], "random"))
    assert conv.min() < 0
    assert torch.equal(conv.clamp_min(0), relu)


def test_signs_are_as_the_layers_say():
    backbone = create_backbone("efficientnet-lite0", ["blocks.6", "head"], "bundled")
    for layer, maps in zip(backbone.layers, run(backbone), strict=True):
        assert (maps.min() < 0) == layer.signed


@pytest.mark.photos
def test_bundled_weights_classify_as_published(photos):
    """The order-mapped tensors are right only if the whole network, classifier included, knows a photo."""
    from PIL import Image

    from reseen.backbones.torchvision_guard import ensure_torchvision
    from reseen.backbones.weights import bundled_lite0

    ensure_torchvision()
    import timm

    net = timm.create_model("tf_efficientnet_lite0").eval()
    bundled_lite0(net)
    photo = Image.open(min((photos / "landmarks-web/q/Taj_Mahal").iterdir())).convert("RGB").resize((224, 224))
    x = ((torch.from_numpy(np.array(photo)) / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
    with torch.inference_mode():
        top = net(x)[0].topk(5).indices.tolist()
    assert set(top) & {668, 698, 663, 497, 832}  # mosque, palace, monastery, church, stupa


def test_random_weights_are_seeded_and_leave_torch_alone():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = create_backbone("alexnet", ["relu5"], "random", seed=1).state_dict()
    assert torch.equal(torch.rand(3), expected)
    second = create_backbone("alexnet", ["relu5"], "random", seed=1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_local_weights_of_a_published_network(tmp_path, suffix):
    from torchvision.models import alexnet

    published = alexnet(weights=None).state_dict()
    path = tmp_path / f"alexnet{suffix}"
    if suffix == ".pth":
        torch.save({"state_dict": {f"module.{k}": v for k, v in published.items()}}, path)
    else:
        save_file(published, path)
    backbone = create_backbone("alexnet", ["relu5"], path)
    assert torch.equal(backbone.net["conv1"].weight, published["features.0.weight"])


def test_missing_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsMissing, match=r"vgg16.*reseen recipes get"):
        create_backbone("vgg16", ["pool5"], "hub")
    with pytest.raises(WeightsMissing, match="no weights of 'resnet50' are bundled"):
        create_backbone("resnet50", ["layer4.2"], "bundled")
    with pytest.raises(WeightsMissing, match="no such weights file"):
        create_backbone("vgg16", ["pool5"], tmp_path / "none.safetensors")
    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "few.safetensors")
    with pytest.raises(WeightsMissing, match="lacks"):
        create_backbone("vgg16", ["pool5"], tmp_path / "few.safetensors")


class Prints:
    def __reduce__(self):
        return print, ("code ran",)


def test_weights_that_would_run_code_are_refused(tmp_path, capsys):
    path = tmp_path / "evil.pth"
    torch.save({"weight": Prints()}, path)
    with pytest.raises(UntrustedFile, match="evil.pth"):
        create_backbone("vgg16", ["pool5"], path)
    assert "code ran" not in capsys.readouterr().out


def test_unknown_names_list_the_known_ones():
    with pytest.raises(RecipeError, match="efficientnet-lite0, alexnet, vgg16"):
        create_backbone("vgg61", ["pool5"])
    with pytest.raises(RecipeError, match=r"no layer 'conv6_1'; it has conv1_1"):
        create_backbone("vgg16", ["conv6_1"])
    with pytest.raises(RecipeError, match="timm has no network"):
        create_backbone("timm:resnet1000", ["layer4"])
    assert "timm:resnet18" in list_backbones("*resnet18")
