"""How likely a verified pair of photos shows the same thing."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from reseen.search.geometry.verify import Verification

FEW = 40
"""Tentative matches below which a pair counts as if it had so many: with hardly any keypoints a few agree by chance."""


def describe(found: Verification) -> dict[str, float]:
    """What the logistic regression sees of a pair, by name."""
    return {
        "constant": 1.0,
        "log_votes": math.log1p(found.votes),
        "log_tentative": math.log1p(max(found.tentative, FEW)),
        "explained": found.inliers / max(found.votes, 1),
    }


@dataclass(frozen=True)
class Calibration:
    """A logistic regression on a pair's geometry, learned on pairs that show the same thing and pairs that do not.

    Attributes:
        weights: of the values of :func:`describe`, by name.
        prior: share of true matches for which its probabilities hold: one photo of a shortlist of fifty is right.
    """

    weights: Mapping[str, float]
    prior: float = 0.02

    def log_odds(self, found: Verification) -> float:
        """Log odds of a true match."""
        return sum(self.weights[name] * value for name, value in describe(found).items())

    def probability(self, found: Verification) -> float:
        """The same as a probability, 0..1."""
        return 1 / (1 + math.exp(-max(-500.0, min(500.0, self.log_odds(found)))))

    def log_evidence(self, found: Verification) -> float:
        """Log of how many times more likely true pairs look so than others: log odds less those of the prior."""
        return self.log_odds(found) - math.log(self.prior / (1 - self.prior))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"prior": self.prior, "weights": dict(self.weights)}


@cache
def default_calibration() -> Calibration:
    """The one that is shipped (``tools/calibrate_geometry.py`` learns it)."""
    values = json.loads(files("reseen.search.geometry").joinpath("calibration.json").read_text("utf-8"))
    return Calibration(values["weights"], values["prior"])
