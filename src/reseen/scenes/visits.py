"""Visitors' photos: a painting on a gallery's wall among others, as a phone takes it in passing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reseen.scenes.camera import (
    Range,
    Scene,
    between,
    blend,
    compress,
    defocus,
    glare,
    grain,
    log_between,
    pick,
    relight,
    resaturate,
    resized,
    shake,
    viewpoint,
)
from reseen.scenes.walls import frame, wall
from reseen.types import Pixels


@dataclass(frozen=True)
class VisitSettings:
    """How visitors take photos; angles in degrees, chances from 0 to 1."""

    sizes: tuple[tuple[int, int], ...] = ((1024, 768), (768, 1024))
    """Widths and heights of their photos."""
    scale: Range = (0.35, 1.25)
    """Longest side of the painting over the photo's; above 1 the painting is cut."""
    tilt: float = 38.0
    """Largest angle of the line of sight to the wall's normal, in each direction."""
    roll: float = 8.0
    """Largest turn of the camera."""
    off_centre: float = 0.25
    """Largest distance of the painting's centre from the photo's, as a share of the photo's sides."""
    neighbours: float = 0.75
    """How often each place beside the painting holds another one."""
    framed: float = 0.8
    """How often a painting has a frame."""
    gradient: float = 0.45
    """Largest relative change of light across the photo."""
    cast: float = 0.2
    """Largest change of a channel (natural logarithm)."""
    exposure: Range = (0.5, 1.4)
    blur_width: float = 0.004
    """Largest blur (standard deviation; three times it for a shake's path) over the photo's longest side."""
    noise: float = 10.0
    """Largest standard deviation of the noise, in grey levels."""
    glare: float = 0.3
    """How often a lamp is reflected."""
    visitor: float = 0.2
    """How often another visitor's head is in the way."""
    quality: tuple[int, int] = (45, 92)
    """JPEG quality."""


VISIT = VisitSettings()


def visit(
    painting: Pixels, rng: np.random.Generator, settings: VisitSettings = VISIT, others: Sequence[Pixels] = ()
) -> Scene:
    """A visitor's photo of ``painting`` ``uint8 (H, W, 3)``, with ``others`` hanging beside it.

    Returns:
        The photo and the painting's corners in it, its frame left out.
    """
    size = settings.sizes[int(rng.integers(len(settings.sizes)))]
    room, corners = _hang(painting, rng, settings, others)
    seen = _seen_from(rng, corners, size, settings)
    matrix = cv2.getPerspectiveTransform(corners, seen)
    shrink = float(np.ptp(seen, axis=0).max() / np.ptp(corners, axis=0).max())
    photo = cv2.warpPerspective(
        defocus(room, 0.45 * (1 / shrink - 1)) if shrink < 0.8 else room,
        matrix,
        size,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if rng.random() < settings.visitor:
        photo = _someone(photo, rng)
    if rng.random() < settings.glare:
        photo = glare(photo, rng, between(rng, (0.3, 1.0)))
    return Scene(_taken(photo, rng, settings), seen)


def _hang(
    painting: Pixels, rng: np.random.Generator, settings: VisitSettings, others: Sequence[Pixels]
) -> tuple[Pixels, NDArray[np.float32]]:
    """The wall with the painting in its middle, the longest side 640 pixels, and the painting's corners."""
    side = 640
    room = wall(rng, (3 * side, 2 * side + 128))
    height, width = room.shape[:2]
    floor = int(height * between(rng, (0.78, 0.98)))
    room[floor:] = (room[floor:] * between(rng, (0.3, 0.75))).astype(np.uint8)
    centre = (width / 2, height / 2)
    corners, reach = _put(room, painting, rng, settings, centre, side)
    for direction in (-1, 1):
        edge = centre[0] + direction * reach
        while others and rng.random() < settings.neighbours:
            longest = side * between(rng, (0.5, 1.1))
            place = edge + direction * (side * between(rng, (0.12, 0.45)) + longest / 2)
            if not 0 < place < width:
                break
            _, half = _put(room, pick(rng, others), rng, settings, (place, centre[1] + rng.normal(0, 30)), longest)
            edge = place + direction * half
    return room, corners


def _put(
    room: Pixels,
    painting: Pixels,
    rng: np.random.Generator,
    settings: VisitSettings,
    centre: tuple[float, float],
    longest: float,
) -> tuple[NDArray[np.float32], float]:
    """Hang one painting with its shadow; its corners, and half of the width that it takes up."""
    factor = longest / max(painting.shape[:2])
    shown = resized(painting, (round(painting.shape[1] * factor), round(painting.shape[0] * factor)))
    border = 0
    if rng.random() < settings.framed:
        shown, border = frame(shown, rng)
    height, width = shown.shape[:2]
    left, top = round(centre[0] - width / 2), round(centre[1] - height / 2)
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(room.shape[1], left + width), min(room.shape[0], top + height)
    drop = int(between(rng, (2, 18)))
    around = room[max(0, y0 - 2 * drop) : y1 + 3 * drop, max(0, x0 - 2 * drop) : x1 + 3 * drop]
    shade = np.ones(around.shape[:2], np.float32)
    shade[3 * drop : -2 * drop or None, 2 * drop : -2 * drop or None] = between(rng, (0.45, 0.9))
    around[:] = (around * cv2.GaussianBlur(shade, (0, 0), drop / 2)[:, :, None]).astype(np.uint8)
    room[y0:y1, x0:x1] = shown[y0 - top : y1 - top, x0 - left : x1 - left]
    x0, y0, x1, y1 = left + border, top + border, left + width - border, top + height - border
    return np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float32), width / 2


def _seen_from(
    rng: np.random.Generator,
    corners: NDArray[np.float32],
    size: tuple[int, int],
    settings: VisitSettings,
) -> NDArray[np.float32]:
    """The painting's corners in the photo."""
    extent = np.ptp(corners, axis=0)
    longest = log_between(rng, settings.scale) * max(size)
    shape = viewpoint(rng, (float(extent[0]), float(extent[1])), tilt=settings.tilt, roll=settings.roll)
    shape = shape * (longest / np.ptp(shape, axis=0).max())
    away = rng.uniform(-settings.off_centre, settings.off_centre, 2) * size
    return np.asarray(shape + np.array(size) / 2 + away, np.float32)


def _someone(photo: Pixels, rng: np.random.Generator) -> Pixels:
    """Head and shoulders from behind, at the lower edge."""
    height, width = photo.shape[:2]
    alpha = np.zeros((height, width), np.uint8)
    radius = height * between(rng, (0.06, 0.14))
    x, y = width * between(rng, (0, 1)), height * between(rng, (0.75, 1.0))
    cv2.ellipse(alpha, (int(x), int(y)), (int(0.8 * radius), int(radius)), 0, 0, 360, 255, -1, cv2.LINE_AA)
    cv2.ellipse(
        alpha, (int(x), int(y + 2.6 * radius)), (int(2 * radius), int(1.7 * radius)), 0, 0, 360, 255, -1, cv2.LINE_AA
    )
    return blend(photo, np.full_like(photo, rng.uniform(15, 110, 3)), cv2.GaussianBlur(alpha, (0, 0), 3))


def _taken(photo: Pixels, rng: np.random.Generator, settings: VisitSettings) -> Pixels:
    """The gallery's light, an unsteady hand, the sensor, the file."""
    photo = relight(
        photo, rng, gradient=settings.gradient, cast=settings.cast, exposure=settings.exposure, gamma=(0.75, 1.4)
    )
    photo = resaturate(photo, between(rng, (0.6, 1.25)))
    width = between(rng, (0, settings.blur_width)) * max(photo.shape)
    still = rng.random() < 0.5
    photo = defocus(photo, width) if still else shake(photo, 3 * width, between(rng, (0, np.pi)))
    photo = grain(photo, rng, between(rng, (0, settings.noise)))
    return compress(photo, int(rng.integers(settings.quality[0], settings.quality[1] + 1)))
