"""Backbones by name, with the weights that belong to them."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from reseen.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, Layer, StepsBackbone
from reseen.backbones.torchvision_guard import ensure_torchvision
from reseen.backbones.weights import bundled_lite0, fill, hub_file, read_tensors
from reseen.errors import RecipeError, WeightsMissing

LITE0 = "efficientnet-lite0"
SEQUENTIAL = {"alexnet": "AlexNet_Weights", "vgg16": "VGG16_Weights"}
RESNETS = {
    "resnet50": "resnet50",
    "resnet101": "resnet101",
    "resnet152": "resnet152",
    "resnext101": "resnext101_64x4d",
}


def list_backbones(pattern: str = "*") -> list[str]:
    """Names of the backbones with named layers of their own, and ``timm:NAME`` for each of timm's."""
    import fnmatch

    ensure_torchvision()
    import timm

    own = [LITE0, *SEQUENTIAL, *RESNETS]
    return [n for n in [*own, *(f"timm:{m}" for m in timm.list_models())] if fnmatch.fnmatch(n, pattern)]


def create_backbone(
    name: str,
    layers: Sequence[str],
    weights: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
    download: bool = False,
) -> Backbone:
    """A network that reads ``layers``, in eval mode.

    Args:
        name: one of :func:`list_backbones`.
        layers: names of feature layers, e.g. ``relu5_3`` (vgg16), ``layer4.2`` (resnet101), ``head`` or
            ``blocks.6`` (efficientnet-lite0), ``blocks.11`` (a ViT of timm); an unknown one lists them all.
        weights: ``"bundled"`` (in a package that is installed), ``"hub"`` (the hub's copy on this machine),
            ``"random"`` (seeded; said explicitly, for tests), a local ``.safetensors`` or ``weights_only``
            file, or None to leave the network empty for weights that are loaded next.
        seed: of the random weights.
        download: let ``"hub"`` fetch what is missing.

    Raises:
        RecipeError: unknown network or layer. WeightsMissing: the weights are not here; it says how to get them.
    """
    _, assemble = _filled(name, weights, seed, download)
    return assemble(layers).eval()


def imagenet_classifier(
    name: str, weights: str | os.PathLike[str] | None = None, *, seed: int = 0, download: bool = False
) -> tuple[str, nn.Sequential]:
    """The last feature layer of a network, and what follows it up to ImageNet's 1000 classes, in eval mode.

    The layers are pooling or flattening, then linear ones. Arguments and errors as of :func:`create_backbone`.

    Raises:
        RecipeError: the network's classifier is not known here.
    """
    full, _ = _filled(name, weights, seed, download)
    if name == LITE0:
        return "head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), full.classifier).eval()  # type: ignore[arg-type]
    if name in SEQUENTIAL:
        return "pool5", nn.Sequential(nn.Flatten(), *full.classifier.children()).eval()  # type: ignore[union-attr]
    if name in RESNETS:
        return "layer4.2", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), full.fc).eval()  # type: ignore[arg-type]
    raise RecipeError(f"the classifier of backbone {name!r} is not known; use {LITE0}, alexnet, vgg16 or a ResNet")


def _filled(
    name: str, weights: str | os.PathLike[str] | None, seed: int, download: bool
) -> tuple[nn.Module, Callable[[Sequence[str]], Backbone]]:
    """The full network with its weights, and what cuts it at the layers to read."""
    ensure_torchvision()
    torch_state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        full, assemble = _network(name)
    finally:
        torch.random.set_rng_state(torch_state)
    if weights == "bundled":
        if name != LITE0:
            raise WeightsMissing(f'no weights of {name!r} are bundled; use weights = "hub" or a local file')
        bundled_lite0(full)
    elif weights == "hub":
        fill(
            full,
            read_tensors(hub_file(name, *_hub_source(name, full), download=download)),
            f"hub weights of {name}",
        )
    elif weights not in (None, "random"):
        fill(full, read_tensors(weights), str(weights))
    return full, assemble


def _network(name: str) -> tuple[nn.Module, Callable[[Sequence[str]], Backbone]]:
    """The full network under its published tensor names, and what cuts it at the layers to read."""
    if name == LITE0:
        return _lite0()
    if name in SEQUENTIAL:
        return _sequential(name)
    if name in RESNETS:
        return _resnet(name)
    if name.startswith("timm:"):
        return _timm(name)
    own = ", ".join([LITE0, *SEQUENTIAL, *RESNETS])
    raise RecipeError(f"backbone {name!r} is not known; use {own}, or timm:NAME for any network of timm")


def _lite0() -> tuple[nn.Module, Callable[[Sequence[str]], Backbone]]:
    import timm

    net = timm.create_model("tf_efficientnet_lite0")
    steps: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(net.conv_stem, net.bn1))
    steps |= {f"blocks.{i}": block for i, block in enumerate(net.blocks)}
    steps["head"] = nn.Sequential(net.conv_head, net.bn2)
    signed = {step: step.startswith("blocks.") for step in steps}
    return net, lambda layers: StepsBackbone(LITE0, steps, layers, signed, (0.5,) * 3, (0.5,) * 3)


def _sequential(name: str) -> tuple[nn.Module, Callable[[Sequence[str]], Backbone]]:
    """AlexNet: ``conv1 relu1 pool1 ... pool5``; VGG16: ``conv1_1 relu1_1 ... conv5_3 relu5_3 pool5``."""
    from torchvision import models

    net = getattr(models, name)(weights=None, **({"init_weights": False} if name == "vgg16" else {}))
    steps: OrderedDict[str, nn.Module] = OrderedDict()
    block, conv = 1, 0
    for module in net.features:
        if isinstance(module, nn.ReLU):
            module.inplace = False  # a convolution that is read must not be overwritten by its ReLU
        if name == "vgg16":
            conv += isinstance(module, nn.Conv2d)
            label = f"{block}_{conv}"
        else:
            block += isinstance(module, nn.Conv2d)
            label = str(block - 1)
        if isinstance(module, nn.Conv2d):
            steps[f"conv{label}"] = module
        elif isinstance(module, nn.ReLU):
            steps[f"relu{label}"] = module
        elif name == "vgg16":
            steps[f"pool{block}"] = module
            block, conv = block + 1, 0
        else:
            steps[f"pool{label}"] = module
    signed = {step: step.startswith("conv") for step in steps}
    return net, lambda layers: StepsBackbone(name, steps, layers, signed, IMAGENET_MEAN, IMAGENET_STD)


def _resnet(name: str) -> tuple[nn.Module, Callable[[Sequence[str]], Backbone]]:
    """ResNets: ``stem``, then every residual block ``layer1.0`` ... ``layer4.2`` (after its last ReLU)."""
    import timm

    net = timm.create_model(RESNETS[name])
    steps: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(net.conv1, net.bn1, net.act1, net.maxpool))
    for stage in range(1, 5):
        steps |= {f"layer{stage}.{i}": block for i, block in enumerate(getattr(net, f"layer{stage}"))}
    signed = dict.fromkeys(steps, False)
    return net, lambda layers: StepsBackbone(name, steps, layers, signed, IMAGENET_MEAN, IMAGENET_STD)


class TimmBackbone(Backbone):
    """Any network of timm, through its ``forward_intermediates``; a ViT's tokens come as a map."""

    def __init__(self, name: str, net: nn.Module, layers: Sequence[str]) -> None:
        info: list[dict[str, Any]] = list(net.feature_info)  # type: ignore[arg-type]
        names = [str(entry["module"]) for entry in info]
        unknown = [layer for layer in layers if layer not in names]
        if unknown or not layers:
            raise RecipeError(
                f"backbone {name!r} has no layer {', '.join(map(repr, unknown)) or '(none was named)'}; "
                f"it has {', '.join(names)}"
            )
        cfg: dict[str, Any] = net.pretrained_cfg  # type: ignore[assignment]
        found = [info[names.index(layer)] for layer in layers]
        super().__init__(
            name,
            [
                Layer(layer, int(e["num_chs"]), int(e["reduction"]), True)
                for layer, e in zip(layers, found, strict=True)
            ],
            cfg["mean"],
            cfg["std"],
        )
        indices = [names.index(layer) for layer in layers]
        self.sorted_indices = sorted(indices)
        self.order = [self.sorted_indices.index(i) for i in indices]
        self.multiple = max(int(e["reduction"]) for e in found) if hasattr(net, "patch_embed") else 1
        self.net = net

    def forward(self, x: Tensor) -> list[Tensor]:
        """See :meth:`Backbone.forward`; a ViT's input is resized to a multiple of its patch."""
        if self.multiple > 1:
            h, w = (max(self.multiple, round(n / self.multiple) * self.multiple) for n in x.shape[-2:])
            if (h, w) != tuple(x.shape[-2:]):
                x = nn.functional.interpolate(x, (h, w), mode="bilinear", align_corners=False, antialias=True)
        maps = self.net.forward_intermediates(  # type: ignore[operator]
            x, indices=self.sorted_indices, intermediates_only=True, output_fmt="NCHW", stop_early=True
        )
        return [maps[i] for i in self.order]


def _timm(name: str) -> tuple[nn.Module, Callable[[Sequence[str]], Backbone]]:
    import timm

    model = name.removeprefix("timm:")
    if model.split(".")[0] not in timm.list_models():
        raise RecipeError(f"timm has no network {model!r}")
    vit = "vit" in model or "eva" in model or "deit" in model
    net = timm.create_model(model, num_classes=0, **({"dynamic_img_size": True} if vit else {}))
    if not hasattr(net, "forward_intermediates"):
        raise RecipeError(f"timm's {model!r} does not give its intermediate maps; choose another network")
    return net, lambda layers: TimmBackbone(name, net, layers)


def _hub_source(name: str, net: nn.Module) -> tuple[str | None, str, str | None]:
    """(hub repository, file in it, address of a plain file) of a network's published weights."""
    if name in SEQUENTIAL:
        from torchvision import models

        return None, "", str(getattr(models, SEQUENTIAL[name]).IMAGENET1K_V1.url)
    cfg: dict[str, Any] = net.pretrained_cfg  # type: ignore[assignment]
    if cfg.get("hf_hub_id"):
        return str(cfg["hf_hub_id"]), "model.safetensors", None
    if cfg.get("url"):
        return None, "", str(cfg["url"])
    raise WeightsMissing(f"no published weights are known for {name!r}; give a local file")
