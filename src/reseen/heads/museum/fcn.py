"""Stage 2: a classifier made fully convolutional, its weights carried over exactly (Section 3.4.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def convolutional(classifier: nn.Sequential, channels: int, grid: int) -> nn.Sequential:
    """Linear layers as convolutions: on the training size the outputs are the classifier's.

    A linear layer over a flattened ``grid`` x ``grid`` map becomes a convolution with that kernel, later ones
    1 x 1 convolutions; a global average pool becomes one of the training grid with stride 1.

    Args:
        classifier: pooling or flattening, then linear layers, activations and dropout.
        channels: of the maps that it reads.
        grid: cells of a map of the training size along each side.

    Raises:
        TypeError: the classifier holds a layer of another kind.
    """
    layers: list[nn.Module] = []
    kernel = grid
    for module in classifier:
        if isinstance(module, nn.AdaptiveAvgPool2d):
            layers.append(nn.AvgPool2d(grid, stride=1))
            kernel = 1
        elif isinstance(module, nn.Linear):
            layers.append(_convolution(module, channels, kernel))
            channels, kernel = module.out_features, 1
        elif isinstance(module, nn.ReLU | nn.Dropout):
            layers.append(nn.ReLU() if isinstance(module, nn.ReLU) else nn.Dropout(module.p))
        elif not isinstance(module, nn.Flatten | nn.Identity):
            raise TypeError(f"a {type(module).__name__} cannot be made convolutional")
    return nn.Sequential(*layers).train(classifier.training)


def _convolution(linear: nn.Linear, channels: int, kernel: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, linear.out_features, kernel)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view_as(conv.weight))
        conv.bias.copy_(linear.bias)  # type: ignore[union-attr]
    return conv


def fcn_loss(outputs: Sequence[Tensor], instance: Tensor) -> Tensor:
    """Eq. 3.5 for one photo: cross-entropy averaged over the places of each scale, then over the scales.

    Args:
        outputs: class activations ``(1, classes, h, w)`` of each scale.
        instance: ``(1,)`` int64, the class of every place.
    """
    scales = [F.cross_entropy(o, instance.view(1, 1, 1).expand(1, *o.shape[-2:])) for o in outputs]
    return torch.stack(scales).mean()
