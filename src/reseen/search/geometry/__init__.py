"""Geometric verification: whether one rigid object, or one scene, explains the matches of two photos."""

from reseen.search.geometry.matching import Pairs, match
from reseen.search.geometry.models import Geometry
from reseen.search.geometry.verify import Verification, verify

__all__ = ["Geometry", "Pairs", "Verification", "match", "verify"]
