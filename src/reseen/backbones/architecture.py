"""Networks by name: made whole, filled with the weights that belong to them, cut at the layers that are read."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from reseen.backbones.base import Backbone
from reseen.backbones.torchvision_guard import ensure_torchvision
from reseen.backbones.weights import fill, hub_file, on_this_machine, read_tensors
from reseen.errors import PluginError, RecipeError, WeightsMissing
from reseen.registry import BACKBONES


class Architecture:
    """How a network is made, and where its weights are; a package adds one under ``reseen.backbones``.

    Args:
        name: as in a recipe. Its kind, in the registry, is what stands before a colon.
    """

    model: str
    """The name of its published weights; that of the network where nothing else is said."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.model = name

    def build(self) -> nn.Module:
        """The whole network under its published tensor names, its weights drawn from torch's generator."""
        raise NotImplementedError

    def cut(self, net: nn.Module, layers: Sequence[str]) -> Backbone:
        """What reads ``layers`` of a network that :meth:`build` made; RecipeError lists the layers it has."""
        raise NotImplementedError

    def channels(self, layers: Sequence[str]) -> tuple[int, ...] | None:
        """Channels of layers where they are known without making the network."""
        return None

    def fill_bundled(self, net: nn.Module) -> None:
        """Fill the network from an installed package; WeightsMissing where there is none."""
        raise WeightsMissing(f'no weights of {self.name!r} are bundled; use weights = "hub" or a local file')

    def published(self, net: nn.Module) -> tuple[str | None, str, str | None]:
        """(hub repository, file in it, address of a plain file) of the published weights."""
        cfg: dict[str, Any] = getattr(net, "pretrained_cfg", {})
        if cfg.get("hf_hub_id"):
            return str(cfg["hf_hub_id"]), "model.safetensors", None
        if cfg.get("url"):
            return None, "", str(cfg["url"])
        raise WeightsMissing(f"no published weights are known for {self.name!r}; give a local file")

    def downloaded(self) -> bool:
        """Whether the published weights seem to be on this machine; asks the disk only."""
        return on_this_machine(self.model)

    def classifier(self, net: nn.Module) -> tuple[str, nn.Sequential]:
        """See :func:`imagenet_classifier`."""
        raise RecipeError(
            f"the classifier of backbone {self.name!r} is not known; use efficientnet-lite0, alexnet, vgg16 or a ResNet"
        )


def architecture(name: str) -> Architecture:
    """How a network of that name is made; RecipeError lists the known ones."""
    found = BACKBONES.find(name)
    if not issubclass(found, Architecture):
        raise PluginError(f"backbone {name!r}: {found.__qualname__} is not an Architecture")
    return found(name)


def list_backbones(pattern: str = "*") -> list[str]:
    """Names of the backbones with named layers of their own, and ``timm:NAME`` for each of timm's."""
    ensure_torchvision()
    import timm

    names = [kind for kind in BACKBONES.kinds() if kind != "timm"] + [f"timm:{name}" for name in timm.list_models()]
    return [name for name in names if fnmatch.fnmatch(name, pattern)]


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
    made = architecture(name)
    return made.cut(_filled(made, weights, seed, download), layers).eval()


def imagenet_classifier(
    name: str, weights: str | os.PathLike[str] | None = None, *, seed: int = 0, download: bool = False
) -> tuple[str, nn.Sequential]:
    """The last feature layer of a network, and what follows it up to ImageNet's 1000 classes, in eval mode.

    The layers are pooling or flattening, then linear ones. Arguments and errors as of :func:`create_backbone`.

    Raises:
        RecipeError: the network's classifier is not known here.
    """
    made = architecture(name)
    layer, linear = made.classifier(_filled(made, weights, seed, download))
    return layer, linear.eval()


def _filled(made: Architecture, weights: str | os.PathLike[str] | None, seed: int, download: bool) -> nn.Module:
    """The whole network with its weights."""
    ensure_torchvision()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = made.build()
    if weights == "bundled":
        made.fill_bundled(net)
    elif weights == "hub":
        file = hub_file(made.name, *made.published(net), download=download)
        fill(net, read_tensors(file), f"hub weights of {made.name}")
    elif weights not in (None, "random"):
        fill(net, read_tensors(weights), str(weights))
    return net
