"""Stage 1: a classification network tuned to the instances of a collection (Section 3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from reseen.backbones import Backbone, create_backbone, imagenet_classifier
from reseen.errors import RecipeError


class Classifier(nn.Module):
    """A backbone and linear layers: normalised photos ``(B, 3, S, S)`` of the training size -> ``(B, classes)``."""

    def __init__(self, backbone: Backbone, linear: nn.Sequential) -> None:
        super().__init__()
        self.backbone, self.linear = backbone, linear

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        outputs: Tensor = self.linear(self.backbone(x)[0])
        return outputs


def imagenet_network(name: str, weights: str | None, *, seed: int = 0) -> Classifier:
    """A network with its ImageNet classes: the paper's "IM"."""
    layer, linear = imagenet_classifier(name, weights, seed=seed)
    return Classifier(create_backbone(name, [layer], weights, seed=seed), linear)


def instance_network(imagenet: Classifier, classes: int) -> Classifier:
    """The same network with a new last layer for ``classes`` instances; everything before it is kept."""
    *kept, last = imagenet.linear
    if not isinstance(last, nn.Linear):
        raise RecipeError("the classifier does not end in a linear layer")
    return Classifier(imagenet.backbone, nn.Sequential(*kept, nn.Linear(last.in_features, classes)))


def train_from(network: Classifier, steps: Sequence[str]) -> list[nn.Parameter]:
    """Freeze the backbone but for the named steps; the linear layers are always learned (Section 3.1.2).

    The paper's: AlexNet from its last convolution on, ResNet its last three blocks.

    Raises:
        RecipeError: the backbone has no step of such a name.
    """
    chain = getattr(network.backbone, "net", None)
    names = {name.replace("_", "."): module for name, module in chain.named_children()} if chain is not None else {}
    unknown = [step for step in steps if step.replace("_", ".") not in names]
    if unknown:
        raise RecipeError(f"backbone {network.backbone.name!r} has no step {', '.join(unknown)} to train")
    network.backbone.requires_grad_(False)
    for step in steps:
        names[step.replace("_", ".")].requires_grad_(True)
    return [p for p in network.parameters() if p.requires_grad]


def set_mode(network: nn.Module, *, statistics: bool) -> None:
    """Training mode for the parts that learn; BatchNorm measures its statistics only with ``statistics``.

    A layer whose parameters are frozen keeps its statistics too.
    """
    network.train()
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            learns = any(p.requires_grad for p in module.parameters())
            module.train(statistics and learns)
