"""Geometric verification: whether one rigid object, or one scene, explains the matches of two photos."""

from reseen.search.geometry.matching import Pairs, match_shortlist
from reseen.search.geometry.verify import Geometry, Verification, verify

__all__ = ["Geometry", "Pairs", "Verification", "match_shortlist", "verify"]
