"""The paper's augmentation and sizes: rotation, scaling, flips (Section 3.1.1), short sides and noise (3.4.1)."""

from __future__ import annotations

import cv2
import numpy as np

from reseen.images import Shortest, resize_to, with_noise
from reseen.types import Pixels


def augment(
    pixels: Pixels,
    rng: np.random.Generator,
    *,
    rotation: float = 180.0,
    scale: tuple[float, float] = (0.75, 1.25),
    flip: float = 0.5,
) -> Pixels:
    """A photo ``uint8 (H, W, 3)`` turned, scaled and mirrored at random, of the same size.

    Any angle up to ``rotation`` degrees each way is as likely; x and y are scaled independently; ``flip`` is how
    often it is mirrored. What comes into view from outside mirrors the inside.
    """
    height, width = pixels.shape[:2]
    angle = np.radians(rng.uniform(-rotation, rotation))
    sx, sy = rng.uniform(*scale, 2)
    mirror = -1.0 if rng.random() < flip else 1.0
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.diag([sx * mirror, sy])
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    moved = np.concatenate([matrix, (centre - matrix @ centre)[:, None]], 1)
    return np.asarray(
        cv2.warpAffine(pixels, moved, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101),
        np.uint8,
    )


def at_shortest(pixels: Pixels, side: int, rng: np.random.Generator, aspect: float = 2.0) -> Pixels:
    """A photo with its shortest side at ``side``; beyond ``aspect`` uniform noise fills the shortest side up to it."""
    return with_noise(resize_to(pixels, *Shortest(side, aspect).target(pixels.shape[1], pixels.shape[0])), side, rng)
