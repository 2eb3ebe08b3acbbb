"""Virtual photos: what a phone would have seen of a reference photo, for training without labels.

A reference becomes an object on a wall or in front of another photo, seen from a side, near or far, cut by
the photo's edge, badly lit, blurred, noisy, with a reflection or something in the way. A *mild view* is the
same reference as a collection holds it. The two are a matching pair.
"""

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
    crop_to,
    defocus,
    glare,
    grain,
    log_between,
    paste,
    pick,
    relight,
    resaturate,
    resized,
    shake,
    trimmed,
    viewpoint,
)
from reseen.scenes.walls import frame, wall
from reseen.types import Pixels


@dataclass(frozen=True)
class VirtualSettings:
    """How far a virtual photo may go from its reference; angles in degrees."""

    size: tuple[int, int] = (224, 224)
    """Width and height of the photo."""
    scale: Range = (0.45, 1.5)
    """Longest side of the object over the photo's longest side; above 1 the view is partial."""
    aspect: Range = (0.8, 1.25)
    """Change of the object's width over its height."""
    tilt: float = 40.0
    """Largest angle of the line of sight to the object's normal, in each direction."""
    roll: float = 15.0
    """Largest turn of the camera."""
    outside: float = 0.15
    """Share of the object's width and height that may lie outside, for objects smaller than the photo."""
    photo_behind: float = 0.5
    """How often another photo is behind the object (when some are given), else a wall."""
    frame: float = 0.3
    """How often the object is framed."""
    gradient: float = 0.4
    """Largest relative change of light across the photo."""
    cast: float = 0.2
    """Largest change of a channel (natural logarithm)."""
    exposure: Range = (0.55, 1.5)
    gamma: Range = (0.7, 1.5)
    saturation: Range = (0.5, 1.3)
    blur: float = 0.5
    """How often the photo is out of focus or shaken."""
    blur_width: float = 0.010
    """Largest blur (standard deviation; three times it for a shake's path) over the photo's longest side."""
    noise: float = 12.0
    """Largest standard deviation of the noise, in grey levels."""
    trim: float = 0.8
    """How often the blank margin of a reference (a cover on white) is left out of the object."""
    glare: float = 0.25
    """How often there is a reflection."""
    occlusion: float = 0.25
    """How often something is in the way."""
    quality: tuple[int, int] = (35, 95)
    """JPEG quality."""


VIRTUAL = VirtualSettings()


def virtual_photo(
    pixels: Pixels,
    rng: np.random.Generator,
    settings: VirtualSettings = VIRTUAL,
    others: Sequence[Pixels] = (),
) -> Scene:
    """A virtual photo of the reference ``pixels`` ``uint8 (H, W, 3)``.

    Args:
        pixels: the reference.
        rng: all chances come from it: ``np.random.default_rng((seed, item))`` makes an item repeatable
            in whatever thread or order it is made.
        settings: how far it may go.
        others: photos of other things, to stand behind the object or in the way (walls are painted anyway).

    Returns:
        The photo, ``settings.size`` large, with the corners of the object in it.
    """
    if others and rng.random() < settings.photo_behind:
        scene = crop_to(pick(rng, others), rng, settings.size, between(rng, (0.5, 1.0)))
    else:
        scene = wall(rng, settings.size)
    if rng.random() < settings.trim:
        pixels = trimmed(pixels)
    longest = log_between(rng, settings.scale) * max(settings.size)
    stretch = log_between(rng, settings.aspect) ** 0.5
    h, w = pixels.shape[:2]
    unit = longest / max(w * stretch, h / stretch)
    object_size = (w * stretch * unit, h / stretch * unit)
    corners = viewpoint(rng, object_size, tilt=settings.tilt, roll=settings.roll)
    corners = corners + _place(rng, corners, settings)
    if rng.random() < settings.frame:
        shown, border = frame(_shrunk(pixels, longest), rng)
        outer = _grown(corners, border / (shown.shape[1] - 2 * border), border / (shown.shape[0] - 2 * border))
        scene = paste(scene, shown, outer)
    else:
        scene = paste(scene, pixels, corners)
    if rng.random() < settings.occlusion:
        scene = _occlude(scene, rng, others)
    if rng.random() < settings.glare:
        scene = glare(scene, rng, between(rng, (0.3, 1.0)))
    return Scene(_photographed(scene, rng, settings), corners.astype(np.float32))


def mild_view(
    pixels: Pixels,
    rng: np.random.Generator,
    size: tuple[int, int] = (224, 224),
    *,
    crop: Range = (0.85, 1.0),
    gain: float = 0.08,
) -> Pixels:
    """The reference much as it is: a large crop at exactly ``size`` (width, height), light hardly changed.

    Where the reference's aspect differs from that of ``size``, half of the difference (as a ratio) is cut
    off and the other half squeezed.
    """
    height, width = pixels.shape[:2]
    ratio = (size[0] / size[1]) / (width / height)
    share = between(rng, crop)
    w = max(1, round(width * share * min(1.0, ratio**0.5)))
    h = max(1, round(height * share * min(1.0, ratio**-0.5)))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    view = resized(pixels[y : y + h, x : x + w], size)
    limits = (1 - gain, 1 + gain)
    return relight(view, rng, gradient=gain, cast=gain / 2, exposure=limits, gamma=limits)


def _place(rng: np.random.Generator, corners: NDArray[np.float32], settings: VirtualSettings) -> NDArray[np.float32]:
    """Where the object's centre goes: inside but for ``outside``, or covering the photo when larger."""
    photo = np.array(settings.size, np.float32)
    extent = np.ptp(corners, axis=0)
    slack = np.abs(photo - extent) / 2 + settings.outside * np.minimum(extent, photo)
    return np.asarray(photo / 2 + rng.uniform(-1, 1, 2) * slack, np.float32)


def _grown(corners: NDArray[np.float32], right: float, down: float) -> NDArray[np.float32]:
    """The outline of a border ``right`` and ``down`` of the object wide, in the object's own plane."""
    unit = np.array([(0, 0), (1, 0), (1, 1), (0, 1)], np.float32)
    matrix = cv2.getPerspectiveTransform(unit, corners.astype(np.float32))
    outer = np.array([(-right, -down), (1 + right, -down), (1 + right, 1 + down), (-right, 1 + down)], np.float32)
    return np.asarray(cv2.perspectiveTransform(outer[None], matrix)[0], np.float32)


def _shrunk(pixels: Pixels, longest: float) -> Pixels:
    """``pixels`` no larger than they will be seen."""
    height, width = pixels.shape[:2]
    factor = longest / max(height, width)
    if factor >= 1:
        return pixels
    return resized(pixels, (max(1, round(width * factor)), max(1, round(height * factor))))


def _occlude(scene: Pixels, rng: np.random.Generator, others: Sequence[Pixels]) -> Pixels:
    """Something in the way: a patch of another photo, or a plain shape such as a head or a hand."""
    height, width = scene.shape[:2]
    alpha = np.zeros((height, width), np.uint8)
    centre = (int(rng.integers(0, width)), int(rng.integers(0, height)))
    axes = (int(width * rng.uniform(0.06, 0.22)), int(height * rng.uniform(0.06, 0.22)))
    if rng.random() < 0.5:
        cv2.ellipse(alpha, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255, -1, cv2.LINE_AA)
    else:
        points = cv2.boxPoints((centre, (2.0 * axes[0], 2.0 * axes[1]), float(rng.uniform(0, 90))))
        cv2.fillConvexPoly(alpha, points.astype(np.int32), 255, cv2.LINE_AA)
    if others and rng.random() < 0.5:
        above = crop_to(pick(rng, others), rng, (width, height))
    else:
        above = wall(rng, (width, height))
    return blend(scene, above, alpha)


def _photographed(scene: Pixels, rng: np.random.Generator, settings: VirtualSettings) -> Pixels:
    """Light, lens, sensor and file."""
    scene = relight(
        scene,
        rng,
        gradient=settings.gradient,
        cast=settings.cast,
        exposure=settings.exposure,
        gamma=settings.gamma,
    )
    scene = resaturate(scene, between(rng, settings.saturation))
    if rng.random() < settings.blur:
        width = between(rng, (0, settings.blur_width)) * max(settings.size)
        scene = defocus(scene, width) if rng.random() < 0.6 else shake(scene, 3 * width, between(rng, (0, np.pi)))
    scene = grain(scene, rng, between(rng, (0, settings.noise)))
    return compress(scene, int(rng.integers(settings.quality[0], settings.quality[1] + 1)))
