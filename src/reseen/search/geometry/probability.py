"""How likely a verified pair of photos shows the same thing."""

from __future__ import annotations

import json
import math
from functools import cache
from importlib.resources import files

from reseen.search.geometry.verify import Verification

FEATURES = ("constant", "log_inliers", "inlier_share", "coverage", "fundamental")
"""What the logistic regression sees of a pair; see :func:`describe`."""


def describe(found: Verification) -> tuple[float, ...]:
    """The values of :data:`FEATURES` for a pair that a model explains."""
    return (
        1.0,
        math.log(max(found.inliers, 1)),
        found.inliers / max(found.tentative, found.inliers, 1),
        found.coverage,
        float(found.kind == "fundamental"),
    )


@cache
def _calibration() -> tuple[tuple[float, ...], float]:
    values = json.loads(files("reseen.search.geometry").joinpath("calibration.json").read_text("utf-8"))
    return tuple(float(values["weights"][name]) for name in FEATURES), float(values["none"])


def log_odds(found: Verification) -> float:
    """Log odds of a true match, for a photo of a shortlist of which one in fifty is right.

    A logistic regression on the pair's geometry, learned on pairs that show the same thing and pairs that do
    not (``benchmarks/calibrate_geometry.py``); pairs that no model explains share one value.
    """
    weights, none = _calibration()
    if found.kind == "none":
        return none
    return sum(w * x for w, x in zip(weights, describe(found), strict=True))


def probability(found: Verification) -> float:
    """The same as a probability, 0..1."""
    return 1 / (1 + math.exp(-max(-500.0, min(500.0, log_odds(found)))))
