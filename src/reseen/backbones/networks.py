"""The networks that come with reseen: EfficientNet-Lite0, AlexNet, VGG16, ResNets, and any of timm."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from reseen.backbones.architecture import Architecture
from reseen.backbones.base import IMAGENET_MEAN, IMAGENET_STD, Backbone, Layer, StepsBackbone
from reseen.backbones.weights import bundled_lite0
from reseen.errors import RecipeError


class Lite0(Architecture):
    """EfficientNet-Lite0: ``stem``, ``blocks.0`` to ``blocks.6``, ``head``; its weights are in a package."""

    def build(self) -> nn.Module:
        """See :meth:`Architecture.build`."""
        import timm

        net: nn.Module = timm.create_model("tf_efficientnet_lite0")
        return net

    def cut(self, net: Any, layers: Sequence[str]) -> Backbone:
        """See :meth:`Architecture.cut`."""
        steps: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(net.conv_stem, net.bn1))
        steps |= {f"blocks.{i}": block for i, block in enumerate(net.blocks)}
        steps["head"] = nn.Sequential(net.conv_head, net.bn2)
        signed = {step: step.startswith("blocks.") for step in steps}
        return StepsBackbone(self.name, steps, layers, signed, (0.5,) * 3, (0.5,) * 3)

    def channels(self, layers: Sequence[str]) -> tuple[int, ...] | None:
        """See :meth:`Architecture.channels`."""
        known = {"blocks.6": 320, "head": 1280}
        return tuple(known[layer] for layer in layers) if known.keys() >= set(layers) else None

    def fill_bundled(self, net: nn.Module) -> None:
        """See :meth:`Architecture.fill_bundled`."""
        bundled_lite0(net)

    def classifier(self, net: Any) -> tuple[str, nn.Sequential]:
        """See :func:`reseen.backbones.imagenet_classifier`."""
        return "head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.classifier)


class _Torchvision(Architecture):
    """A chain of convolutions, ReLUs and pools of torchvision, with its weights there."""

    weights: str

    def labels(self, features: nn.Sequential) -> list[str]:
        """A name for each module of the chain."""
        raise NotImplementedError

    def cut(self, net: Any, layers: Sequence[str]) -> Backbone:
        """See :meth:`Architecture.cut`."""
        for module in net.features:
            if isinstance(module, nn.ReLU):
                module.inplace = False  # a convolution that is read must not be overwritten by its ReLU
        steps = OrderedDict(zip(self.labels(net.features), net.features, strict=True))
        signed = {step: step.startswith("conv") for step in steps}
        return StepsBackbone(self.name, steps, layers, signed, IMAGENET_MEAN, IMAGENET_STD)

    def published(self, net: nn.Module) -> tuple[str | None, str, str | None]:
        """See :meth:`Architecture.published`."""
        from torchvision import models

        return None, "", str(getattr(models, self.weights).IMAGENET1K_V1.url)

    def classifier(self, net: Any) -> tuple[str, nn.Sequential]:
        """See :func:`reseen.backbones.imagenet_classifier`."""
        return "pool5", nn.Sequential(nn.Flatten(), *net.classifier.children())


KINDS = ((nn.Conv2d, "conv"), (nn.ReLU, "relu"), (nn.MaxPool2d, "pool"))


def _kind(module: nn.Module) -> str:
    return next(name for cls, name in KINDS if isinstance(module, cls))


class AlexNet(_Torchvision):
    """``conv1 relu1 pool1 conv2 relu2 pool2 conv3 relu3 conv4 relu4 conv5 relu5 pool5``."""

    weights = "AlexNet_Weights"

    def build(self) -> nn.Module:
        """See :meth:`Architecture.build`."""
        from torchvision import models

        net: nn.Module = models.alexnet(weights=None)
        return net

    def labels(self, features: nn.Sequential) -> list[str]:
        """Numbered by their convolution."""
        found, conv = [], 0
        for kind in map(_kind, features):
            conv += kind == "conv"
            found.append(f"{kind}{conv}")
        return found


class VGG16(_Torchvision):
    """``conv1_1 relu1_1 conv1_2 relu1_2 pool1 ... conv5_3 relu5_3 pool5``."""

    weights = "VGG16_Weights"

    def build(self) -> nn.Module:
        """See :meth:`Architecture.build`."""
        from torchvision import models

        net: nn.Module = models.vgg16(weights=None, init_weights=False)
        return net

    def labels(self, features: nn.Sequential) -> list[str]:
        """Numbered by their block, and by their convolution in it."""
        found, block, conv = [], 1, 0
        for kind in map(_kind, features):
            conv += kind == "conv"
            if kind == "pool":
                found.append(f"pool{block}")
                block, conv = block + 1, 0
            else:
                found.append(f"{kind}{block}_{conv}")
        return found


class ResNet(Architecture):
    """ResNets: ``stem``, then every residual block ``layer1.0`` ... ``layer4.2`` (after its last ReLU)."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.model = {"resnext101": "resnext101_64x4d"}.get(name, name)

    def build(self) -> nn.Module:
        """See :meth:`Architecture.build`."""
        import timm

        net: nn.Module = timm.create_model(self.model)
        return net

    def cut(self, net: Any, layers: Sequence[str]) -> Backbone:
        """See :meth:`Architecture.cut`."""
        steps: OrderedDict[str, nn.Module] = OrderedDict(stem=nn.Sequential(net.conv1, net.bn1, net.act1, net.maxpool))
        for stage in range(1, 5):
            steps |= {f"layer{stage}.{i}": block for i, block in enumerate(getattr(net, f"layer{stage}"))}
        signed = dict.fromkeys(steps, False)
        return StepsBackbone(self.name, steps, layers, signed, IMAGENET_MEAN, IMAGENET_STD)

    def classifier(self, net: Any) -> tuple[str, nn.Sequential]:
        """See :func:`reseen.backbones.imagenet_classifier`."""
        return "layer4.2", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), net.fc)


class Timm(Architecture):
    """``timm:NAME``: any network of timm that gives its intermediate maps."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.model = name.removeprefix("timm:")

    def build(self) -> nn.Module:
        """See :meth:`Architecture.build`; RecipeError for a network that timm has not, or that gives no maps."""
        import timm

        if self.model.split(".")[0] not in timm.list_models():
            raise RecipeError(f"timm has no network {self.model!r}")
        vit = any(family in self.model for family in ("vit", "eva", "deit"))
        net: nn.Module = timm.create_model(self.model, num_classes=0, **({"dynamic_img_size": True} if vit else {}))
        if not hasattr(net, "forward_intermediates"):
            raise RecipeError(f"timm's {self.model!r} does not give its intermediate maps; choose another network")
        return net

    def cut(self, net: nn.Module, layers: Sequence[str]) -> Backbone:
        """See :meth:`Architecture.cut`."""
        return TimmBackbone(self.name, net, layers)


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
