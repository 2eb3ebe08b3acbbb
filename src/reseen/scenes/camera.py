"""What a camera does to a scene: a viewpoint, light, blur, noise, glare and compression.

Photos are ``uint8 (H, W, 3)`` RGB throughout; every function returns a new array and draws all its
chances from the generator it is given, so that a seed fixes the result.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reseen.types import Pixels

Range = tuple[float, float]


@dataclass(frozen=True)
class Scene:
    """A photo made by a scene maker, and where its object is.

    ``pixels`` is ``uint8 (H, W, 3)``; ``polygon`` ``float32 (4, 2)`` holds the object's corners x, y in the
    photo (top left, top right, bottom right, bottom left of the object), which may lie outside it.
    """

    pixels: Pixels
    polygon: NDArray[np.float32]

    @property
    def box(self) -> tuple[float, float, float, float]:
        """The object's bounding box ``(x0, y0, x1, y1)``, clipped to the photo."""
        height, width = self.pixels.shape[:2]
        (x0, y0), (x1, y1) = self.polygon.min(0), self.polygon.max(0)
        return max(0.0, float(x0)), max(0.0, float(y0)), min(width, float(x1)), min(height, float(y1))


def between(rng: np.random.Generator, limits: Range) -> float:
    """A number drawn evenly from ``limits``."""
    return float(rng.uniform(*limits))


def log_between(rng: np.random.Generator, limits: Range) -> float:
    """A positive number whose logarithm is drawn evenly: 1/2 and 2 are as likely."""
    return float(np.exp(rng.uniform(*np.log(limits))))


def viewpoint(rng: np.random.Generator, size: tuple[float, float], *, tilt: float, roll: float) -> NDArray[np.float32]:
    """Corners ``(4, 2)`` of a flat object of ``size`` (width, height), seen from a random side.

    ``tilt`` limits the angle between the line of sight and the object's normal and ``roll`` the camera's
    turn, both in degrees. The result is centred at 0 and its longest side is as long as the object's.
    """
    width, height = size
    corners = np.array([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)]) * (width / 2, height / 2, 0)
    yaw, pitch = np.radians(rng.uniform(-tilt, tilt, 2))
    turn = np.radians(rng.uniform(-roll, roll))
    distance = max(size) * rng.uniform(1.1, 3.0)
    rotation = _rotation(0, yaw) @ _rotation(1, pitch) @ _rotation(2, turn)
    seen = corners @ rotation.T
    flat = seen[:, :2] / (1 + seen[:, 2:] / distance)
    flat -= (flat.min(0) + flat.max(0)) / 2
    return np.asarray(flat * (max(size) / np.ptp(flat, axis=0).max()), np.float32)


def _rotation(axis: int, angle: float) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    i, j = {0: (0, 2), 1: (1, 2), 2: (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def paste(background: Pixels, pixels: Pixels, polygon: NDArray[np.float32]) -> Pixels:
    """``pixels`` warped so that its corners meet ``polygon``, over ``background``; edges are smooth."""
    height, width = pixels.shape[:2]
    longest = float(max(np.linalg.norm(polygon - np.roll(polygon, 1, 0), axis=1)))
    shrink = longest / max(height, width)
    if shrink < 0.7:
        pixels = cv2.resize(
            pixels,
            (max(1, round(width * shrink)), max(1, round(height * shrink))),
            interpolation=cv2.INTER_AREA,
        )
        height, width = pixels.shape[:2]
    source = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32) - 0.5
    matrix = cv2.getPerspectiveTransform(source, polygon.astype(np.float32) - 0.5)
    size = background.shape[1::-1]
    seen = cv2.warpPerspective(pixels, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = np.zeros(background.shape[:2], np.uint8)
    cv2.fillConvexPoly(alpha, np.round((polygon - 0.5) * 16).astype(np.int32), 255, cv2.LINE_AA, 4)
    return blend(background, seen, alpha)


def blend(below: Pixels, above: Pixels, alpha: NDArray[np.uint8]) -> Pixels:
    """``above`` where ``alpha (H, W)`` is 255, ``below`` where it is 0, a mixture between."""
    weight = alpha[:, :, None].astype(np.uint16)
    mixed = (above * weight + below * (255 - weight) + 127) // 255
    return np.asarray(mixed, np.uint8)


def relight(
    pixels: Pixels, rng: np.random.Generator, *, gradient: float, cast: float, exposure: Range, gamma: Range
) -> Pixels:
    """Uneven light, a colour cast, exposure and contrast.

    ``gradient`` is the largest relative change of light across the photo, ``cast`` of one channel against
    another.
    """
    height, width = pixels.shape[:2]
    coarse = 1 + gradient * rng.uniform(-1, 1, (2, 2))
    coarse = coarse + 0.4 * gradient * rng.uniform(-1, 1, (3, 3))[:2, :2]
    field = cv2.resize(coarse.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
    table = (np.arange(256) / 255) ** log_between(rng, gamma) * 255 * log_between(rng, exposure)
    channels = np.exp(rng.uniform(-cast, cast, 3))
    graded = np.stack([table * c for c in channels], -1).astype(np.float32)
    lit = cv2.LUT(pixels, graded.reshape(1, 256, 3)) * field[:, :, None]
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def resaturate(pixels: Pixels, factor: float) -> Pixels:
    """Colours moved from (``factor`` above 1) or to (below 1) grey."""
    grey = cv2.cvtColor(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(pixels, factor, grey, 1 - factor, 0), np.uint8)


def defocus(pixels: Pixels, sigma: float) -> Pixels:
    """Gaussian blur of ``sigma`` pixels."""
    return np.asarray(cv2.GaussianBlur(pixels, (0, 0), sigma), np.uint8) if sigma > 0.2 else pixels


def shake(pixels: Pixels, length: float, angle: float) -> Pixels:
    """Motion blur: a straight path of ``length`` pixels at ``angle`` radians."""
    side = 2 * int(np.ceil(length / 2)) + 1
    if side < 3:
        return pixels
    kernel = np.zeros((side, side), np.float32)
    centre, step = side // 2, np.array([np.cos(angle), np.sin(angle)]) * length / 2
    start, end = (np.round((centre + s * step) * 16).astype(int) for s in (-1, 1))
    cv2.line(kernel, tuple(map(int, start)), tuple(map(int, end)), 1.0, 1, cv2.LINE_AA, 4)
    return np.asarray(cv2.filter2D(pixels, -1, kernel / kernel.sum()), np.uint8)


def grain(pixels: Pixels, rng: np.random.Generator, sigma: float) -> Pixels:
    """Gaussian noise of standard deviation ``sigma`` grey levels, partly shared by the channels."""
    if sigma < 0.5:
        return pixels
    noise = np.empty(pixels.shape, np.int16)
    cv2.setRNGSeed(int(rng.integers(1 << 31)))
    cv2.randn(noise, (0, 0, 0), (sigma, sigma, sigma))
    return np.asarray(cv2.add(pixels, noise, dtype=cv2.CV_8U), np.uint8)


def glare(pixels: Pixels, rng: np.random.Generator, strength: float) -> Pixels:
    """A soft bright reflection: an ellipse or a band, added at up to ``strength`` (0..1) of white."""
    height, width = pixels.shape[:2]
    small = np.zeros((64, 64), np.float32)
    centre = tuple(int(v) for v in rng.integers(0, 64, 2))
    axes = (int(rng.integers(3, 16)), int(rng.integers(3, 60)))
    cv2.ellipse(small, centre, axes, float(rng.uniform(0, 180)), 0, 360, 255 * strength, -1)
    small = cv2.GaussianBlur(small, (0, 0), float(rng.uniform(1.0, 6.0)))
    spot = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    return np.asarray(cv2.add(pixels, cv2.cvtColor(spot, cv2.COLOR_GRAY2RGB)), np.uint8)


def compress(pixels: Pixels, quality: int) -> Pixels:
    """JPEG artefacts of ``quality`` (1..100)."""
    _, data = cv2.imencode(".jpg", pixels, (cv2.IMWRITE_JPEG_QUALITY, quality))
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def crop_to(pixels: Pixels, rng: np.random.Generator, size: tuple[int, int], share: float = 1.0) -> Pixels:
    """A random window of ``pixels`` with the aspect of ``size`` (width, height), resized to it.

    ``share`` is the window's size relative to the largest one that fits.
    """
    height, width = pixels.shape[:2]
    scale = min(width / size[0], height / size[1]) * share
    w, h = max(1, round(size[0] * scale)), max(1, round(size[1] * scale))
    x, y = int(rng.integers(0, width - w + 1)), int(rng.integers(0, height - h + 1))
    return resized(pixels[y : y + h, x : x + w], size)


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """``pixels`` at exactly ``size`` (width, height), without aliasing."""
    smaller = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR), np.uint8)


def pick(rng: np.random.Generator, choices: Sequence[Pixels]) -> Pixels:
    """One of ``choices``, evenly."""
    return choices[int(rng.integers(len(choices)))]


def trimmed(pixels: Pixels, tolerance: int = 8) -> Pixels:
    """``pixels`` without a margin of one colour; as they are when less than a fifth of a side would stay."""
    corner = pixels[0, 0].astype(np.int16)
    margin = cv2.inRange(pixels, np.maximum(corner - tolerance, 0), np.minimum(corner + tolerance, 255)) > 0
    rows, columns = (np.flatnonzero(~margin.all(axis)) for axis in (1, 0))
    height, width = pixels.shape[:2]
    if len(rows) < height / 5 or len(columns) < width / 5:
        return pixels
    return pixels[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
