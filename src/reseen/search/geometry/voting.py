"""Matches that agree on one similarity transform, each keypoint's frame giving a whole hypothesis.

A single match of two keypoints with direction and size says how its photo is turned, scaled and moved (Philbin et
al., 2007, Section 4), so every match is tried and nothing is sampled; that directions and scales must agree too
leaves few matches to chance (weak geometric consistency: Jegou et al., 2008).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SLACK = 8.0
"""Pixels that a match may always be off."""
CONE = 0.25
"""Share of its distance to the hypothesis's keypoint that it may be off beside: perspective, and the frame's errors."""
TURN = 30.0
"""Degrees by which the rotation of a match may differ from the hypothesis's."""
GROWTH = 1.0
"""Octaves by which its change of size may differ."""
UPRIGHT = 45.0
"""Degrees of rotation that are still upright."""

Floats = NDArray[np.float32]


def agreeing(
    query: Floats,
    photo: Floats,
    query_frames: NDArray[np.uint8],
    photo_frames: NDArray[np.uint8],
    *,
    upright: bool = False,
) -> NDArray[np.bool_]:
    """The largest set of matches that agree with the hypothesis of one of them, as a mask ``(m,)``.

    Args:
        query, photo: ``(m, 2)`` places of the matches in pixels.
        query_frames, photo_frames: ``(m, 2)`` uint8 directions and sizes as in ``LocalFeatures.frames``.
        upright: only hypotheses that turn the photo by less than :data:`UPRIGHT` degrees.
    """
    turn = (photo_frames[:, 0].astype(np.float32) - query_frames[:, 0]) * np.float32(360 / 256)
    growth = (photo_frames[:, 1].astype(np.float32) - query_frames[:, 1]) / 16
    scale, angle = np.exp2(growth), np.deg2rad(turn)
    cos, sin = (scale * np.cos(angle))[:, None], (scale * np.sin(angle))[:, None]
    x, y = (query[None, :, i] - query[:, None, i] for i in (0, 1))
    u, v = (photo[None, :, i] - photo[:, None, i] for i in (0, 1))
    off = np.hypot(cos * x - sin * y - u, sin * x + cos * y - v)
    agree = off < SLACK + CONE * np.hypot(u, v)
    agree &= np.abs((turn[:, None] - turn[None] + 180) % 360 - 180) < TURN
    agree &= np.abs(growth[:, None] - growth[None]) < GROWTH
    if upright:
        agree[np.abs((turn + 180) % 360 - 180) > UPRIGHT] = False
    return np.asarray(agree[agree.sum(1).argmax()])
