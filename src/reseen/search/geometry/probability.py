"""What the geometry of a shortlist says, beside the similarities: how far a hit rises, and how likely it is right.

Three linear models on the same few values of a hit, learned on shortlists with known matches
(``tools/calibrate_geometry.py``): one orders, one gives the probability of the same thing from everything that is
known, one weighs the geometry alone.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reseen.search.geometry.verify import Verification
from reseen.types import Values, Vectors

FEW = 40
"""Tentative matches below which a pair counts as if it had so many: with hardly any keypoints a few agree by chance."""
ORDER = ("log_strength", "explained")
GEOMETRY = ("constant", "log_strength", "log_tentative", "explained")
SAME = (*GEOMETRY, "similarity", "background", "nearest")


def describe(found: Sequence[Verification], similarity: NDArray[Any], vectors: Vectors) -> dict[str, Values]:
    """What the models see of the hits of a query, by name, each ``(n,)``.

    ``log_strength``, ``log_tentative``, ``explained``: of the pair. ``background``: how many places of the query agree
    with a usual photo of its shortlist. ``nearest``: the hit's similarity to the most alike other hit; a photo that is
    alike many things says little when it is alike the query too.

    Args:
        found: of the n hits.
        similarity: ``(n,)`` cosines to the query.
        vectors: ``(n, d)`` unit vectors of the hits.
    """
    count = len(found)
    votes = np.sort([pair.votes for pair in found])
    usual = votes[count // 5 : max(count * 4 // 5, 1)]
    among = vectors @ vectors.T
    among[np.arange(count), np.arange(count)] = -np.inf
    return {
        "constant": np.ones(count),
        "log_strength": np.log1p([pair.strength for pair in found]),
        "log_tentative": np.log1p([max(pair.tentative, FEW) for pair in found]),
        "explained": np.array([pair.explained for pair in found]),
        "similarity": np.asarray(similarity, np.float64),
        "background": np.full(count, np.log1p(usual).mean() if count else 0.0),
        "nearest": among.max(1) if count > 1 else np.zeros(count),
    }


@dataclass(frozen=True)
class Calibration:
    """Weights of the values of :func:`describe`, by name.

    Attributes:
        order: what is added to the similarity.
        same: log odds that the first hit is the same thing, from everything; of later ones it is on the safe side.
        geometry: log odds from the geometry alone, were the share ``prior`` of all pairs true.
        prior: one photo of a shortlist of fifty.
        descriptor: the fingerprint of the descriptor whose similarities ``order`` and ``same`` know.
    """

    order: Mapping[str, float]
    same: Mapping[str, float]
    geometry: Mapping[str, float]
    prior: float = 0.02
    descriptor: str = ""

    def rises(self, seen: Mapping[str, Values]) -> Values:
        """What each hit gains over its similarity, ``(n,)``; nothing where no place agrees."""
        return _sum(self.order, seen)

    def probabilities(self, seen: Mapping[str, Values], *, similar: bool = True) -> Values:
        """Of the same thing, ``(n,)``, 0..1; by geometry alone where similarities are not ``similar`` to known ones."""
        odds = _sum(self.same if similar else self.geometry, seen)
        return np.asarray(1 / (1 + np.exp(-np.clip(odds, -500, 500))), np.float64)

    def log_evidence(self, seen: Mapping[str, Values]) -> Values:
        """Log of how many times more often true pairs look so than others do, by geometry alone, ``(n,)``."""
        return _sum(self.geometry, seen) - math.log(self.prior / (1 - self.prior))

    def log_evidence_of(self, found: Verification) -> float:
        """The same of one pair that is no hit of a search."""
        alone = describe([found], np.zeros(1), np.zeros((1, 1), np.float32))
        return float(self.log_evidence(alone)[0])

    def verified(self, seen: Mapping[str, Values]) -> NDArray[np.bool_]:
        """Where geometry alone would convince, were one photo of fifty right, ``(n,)`` bool."""
        return np.asarray(_sum(self.geometry, seen) > 0)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        weights = {name: dict(getattr(self, name)) for name in ("order", "same", "geometry")}
        return {"descriptor": self.descriptor, "prior": self.prior, **weights}


def _sum(weights: Mapping[str, float], seen: Mapping[str, Values]) -> Values:
    return np.asarray(sum(weight * seen[name] for name, weight in weights.items()), np.float64)


@cache
def default_calibration() -> Calibration:
    """The one that is shipped (``tools/calibrate_geometry.py`` learns it)."""
    values = json.loads(files("reseen.search.geometry").joinpath("calibration.json").read_text("utf-8"))
    return Calibration(values["order"], values["same"], values["geometry"], values["prior"], values["descriptor"])
