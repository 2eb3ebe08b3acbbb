"""Walls, and the frames of what hangs on them."""

from __future__ import annotations

import cv2
import numpy as np

from reseen.types import Pixels


def wall(rng: np.random.Generator, size: tuple[int, int]) -> Pixels:
    """A wall of ``size`` (width, height): plain, plastered, striped, panelled, tiled or dark."""
    width, height = size
    tone = rng.uniform(40, 245) if rng.random() < 0.8 else rng.uniform(10, 60)
    colour = np.clip(tone + rng.normal(0, rng.choice([4, 25]), 3), 0, 255)
    field = np.full((height, width, 3), colour, np.float32)
    kind = rng.choice(["plain", "plaster", "stripes", "panels", "bricks"], p=[0.35, 0.25, 0.15, 0.1, 0.15])
    if kind == "plaster":
        coarse = rng.normal(0, 1, (max(2, height // 24), max(2, width // 24))).astype(np.float32)
        fine = rng.normal(0, 1, (max(2, height // 3), max(2, width // 3))).astype(np.float32)
        field += (6 * cv2.resize(coarse, size) + 3 * cv2.resize(fine, size))[:, :, None]
    elif kind == "stripes":
        period = max(4.0, width * rng.uniform(0.03, 0.15))
        wave = np.sign(np.sin(np.arange(width) * 2 * np.pi / period)) * rng.uniform(3, 14)
        field += wave[None, :, None].astype(np.float32)
    elif kind == "panels":
        line = rng.uniform(-40, 40, 3)
        for x in np.arange(rng.uniform(0, 0.3), 1, rng.uniform(0.2, 0.5)) * width:
            cv2.line(field, (int(x), 0), (int(x), height), (colour + line).tolist(), max(1, width // 150))
        y = int(height * rng.uniform(0.6, 1.0))
        cv2.rectangle(field, (0, y), (width, height), np.clip(colour * 0.7, 0, 255).tolist(), -1)
    elif kind == "bricks":
        line = (colour + rng.uniform(-35, 35)).tolist()
        rise = max(4, int(height * rng.uniform(0.04, 0.12)))
        for row, y in enumerate(range(0, height, rise)):
            cv2.line(field, (0, y), (width, y), line, max(1, rise // 12))
            for x in range(-rise * (row % 2), width, 2 * rise):
                cv2.line(field, (x, y), (x, y + rise), line, max(1, rise // 12))
    return np.asarray(np.clip(field, 0, 255), np.uint8)


def frame(pixels: Pixels, rng: np.random.Generator) -> tuple[Pixels, int]:
    """``pixels`` in a moulded frame, perhaps with a mount; also the border's width in pixels."""
    height, width = pixels.shape[:2]
    mount = int(max(height, width) * rng.uniform(0.03, 0.12)) if rng.random() < 0.35 else 0
    bar = max(2, int(max(height, width) * rng.uniform(0.015, 0.09)))
    paper = (rng.uniform(190, 250) + rng.normal(0, 4, 3)).clip(0, 255)
    wood = np.array([(150, 110, 50), (25, 22, 20), (90, 60, 38), (225, 220, 210), (190, 160, 90)])[rng.integers(5)]
    wood = (wood + rng.normal(0, 12, 3)).clip(0, 255)
    border = mount + bar
    framed = cv2.copyMakeBorder(pixels, *(mount,) * 4, cv2.BORDER_CONSTANT, value=paper.tolist())
    framed = cv2.copyMakeBorder(framed, *(bar,) * 4, cv2.BORDER_CONSTANT, value=wood.tolist())
    lines = int(rng.integers(1, 4))
    for i in range(lines):
        inset = round(bar * i / lines)
        tone = np.clip(wood * rng.uniform(0.55, 1.5), 0, 255).tolist()
        corner = (width + 2 * border - 1 - inset, height + 2 * border - 1 - inset)
        cv2.rectangle(framed, (inset, inset), corner, tone, max(1, bar // (2 * lines)))
    return np.asarray(framed, np.uint8), border
