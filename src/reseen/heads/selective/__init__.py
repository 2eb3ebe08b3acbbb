"""Selective deep convolutional features: masks, embeddings, democratic aggregation."""

from reseen.heads.selective.aggregation import aggregate, democratic_weights
from reseen.heads.selective.embeddings import EMBEDDINGS
from reseen.heads.selective.head import Selective
from reseen.heads.selective.masks import max_mask, select, sift_mask, sift_points, sum_mask

__all__ = [
    "EMBEDDINGS",
    "Selective",
    "aggregate",
    "democratic_weights",
    "max_mask",
    "select",
    "sift_mask",
    "sift_points",
    "sum_mask",
]
