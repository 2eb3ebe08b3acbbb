"""Vectors -> vectors, learned with ``fit``."""

from reseen.projections.base import PROJECTIONS, Pairs, Projection, Vectors, create_projection, register

__all__ = ["PROJECTIONS", "Pairs", "Projection", "Vectors", "create_projection", "register"]
