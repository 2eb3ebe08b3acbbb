"""Vectors -> vectors, learned with ``fit``."""

from reseen.projections.base import Projection, create_projection, register
from reseen.projections.linear import LDA, LW, PCA, l2_rows
from reseen.projections.pq import ProductQuantizer
from reseen.projections.shaping import RN, Chain, Power, Truncate

__all__ = [
    "LDA",
    "LW",
    "PCA",
    "RN",
    "Chain",
    "Power",
    "ProductQuantizer",
    "Projection",
    "Truncate",
    "create_projection",
    "l2_rows",
    "register",
]
