"""Queries that match nothing: how well the best score tells them from those that do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reseen import schema
from reseen.types import Values

FALSE_ALARMS = (0.01, 0.05, 0.1)


@dataclass(frozen=True)
class OpenSet:
    """Detection by thresholding the best score.

    Attributes:
        auroc: chance that a matched query's best score is above an unmatched one's (ties count half).
        identified_at: share of matched queries whose first hit is right and above the lowest threshold that
            lets through no more than that share of unmatched queries.
        threshold_at: that threshold.
        curve: ``(points, 3)``: threshold, share of unmatched queries let through, share identified.
    """

    auroc: float
    identified_at: dict[float, float]
    threshold_at: dict[float, float]
    curve: Values

    def to_json(self) -> schema.OpenSet:
        """Plain values; the curve thinned to 200 points."""
        step = max(1, len(self.curve) // 200)
        return {
            "auroc": self.auroc,
            "identified_at": {str(key): value for key, value in self.identified_at.items()},
            "threshold_at": {str(key): value for key, value in self.threshold_at.items()},
            "curve": self.curve[::step].tolist(),
        }


def open_set(matched: NDArray[Any], right: NDArray[np.bool_], unmatched: NDArray[Any]) -> OpenSet:
    """Detection and identification rates over all thresholds.

    Args:
        matched: best score of each query that has a match, ``(q,)``.
        right: whether its first hit is relevant, ``(q,)``.
        unmatched: best score of each query that has none, ``(u,)``, not empty.
    """
    matched, unmatched = np.asarray(matched, np.float64), np.sort(np.asarray(unmatched, np.float64))
    thresholds = np.unique(np.concatenate([matched, unmatched, [np.inf]]))[::-1]
    alarms = 1 - np.searchsorted(unmatched, thresholds, "left") / len(unmatched)
    good = np.sort(matched[right])
    identified = (len(good) - np.searchsorted(good, thresholds, "left")) / len(matched)
    identified_at, threshold_at = {}, {}
    for rate in FALSE_ALARMS:
        last = int(np.flatnonzero(alarms <= rate + 1e-12)[-1])
        identified_at[rate] = float(identified[last])
        threshold_at[rate] = float(thresholds[last]) if np.isfinite(thresholds[last]) else float(unmatched[-1])
    above = np.searchsorted(unmatched, matched, "left") + np.searchsorted(unmatched, matched, "right")
    auroc = float(above.mean() / 2 / len(unmatched))
    curve = np.stack([thresholds, alarms, identified], 1)[1:]
    return OpenSet(auroc, identified_at, threshold_at, curve)
