"""Networks by name, whose feature layers are read by name."""

from reseen.backbones.base import Backbone, Layer
from reseen.backbones.registry import create_backbone, imagenet_classifier, list_backbones
from reseen.backbones.weights import fill, read_tensors

__all__ = ["Backbone", "Layer", "create_backbone", "fill", "imagenet_classifier", "list_backbones", "read_tensors"]
