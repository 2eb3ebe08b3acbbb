"""Networks by name, whose feature layers are read by name."""

from reseen.backbones.architecture import (
    Architecture,
    architecture,
    create_backbone,
    imagenet_classifier,
    list_backbones,
)
from reseen.backbones.base import Backbone, Layer
from reseen.backbones.weights import fill, read_tensors

__all__ = [
    "Architecture",
    "Backbone",
    "Layer",
    "architecture",
    "create_backbone",
    "fill",
    "imagenet_classifier",
    "list_backbones",
    "read_tensors",
]
