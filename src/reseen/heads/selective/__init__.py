"""Selective deep convolutional features: masks, embeddings, democratic aggregation."""

from reseen.heads.selective.aggregation import aggregate, democratic_weights
from reseen.heads.selective.embeddings import EMBEDDINGS
from reseen.heads.selective.head import Selective, published_unit
from reseen.heads.selective.local import as_map
from reseen.heads.selective.masks import max_mask, select, sift_mask, sift_points, sum_mask
from reseen.heads.selective.picture import mask_picture

__all__ = [
    "EMBEDDINGS",
    "Selective",
    "aggregate",
    "as_map",
    "democratic_weights",
    "mask_picture",
    "max_mask",
    "published_unit",
    "select",
    "sift_mask",
    "sift_points",
    "sum_mask",
]
