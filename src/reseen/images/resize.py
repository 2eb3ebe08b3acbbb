"""Resize rules, boxes and the published crop rules: a photo -> what the network sees."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from reseen.errors import PhotoRejected
from reseen.images.photo import Photo
from reseen.types import Box, Pixels

"""``(x0, y0, x1, y1)`` in pixels of the full upright photo."""

LEAST_SIDE = 32
"""Pixels that the short side of an input has at least: the stride of the networks' last maps."""


@dataclass(frozen=True)
class Longest:
    """The longest side limited to ``side`` pixels; smaller photos are not enlarged."""

    side: int

    @property
    def longest_side(self) -> int:
        """The most pixels a side will have."""
        return self.side

    def target(self, width: float, height: float, factor: float = 1.0) -> tuple[int, int]:
        """(width, height) for a photo of that size, the result multiplied by ``factor``."""
        scale = min(1.0, self.side / max(width, height)) * factor
        return max(1, round(width * scale)), max(1, round(height * scale))


@dataclass(frozen=True)
class Exact:
    """Exactly ``width`` x ``height``, swapped for portraits when ``by_orientation``."""

    width: int
    height: int
    by_orientation: bool = True

    @property
    def longest_side(self) -> int:
        """The most pixels a side will have."""
        return max(self.width, self.height)

    def target(self, width: float, height: float, factor: float = 1.0) -> tuple[int, int]:
        """(width, height) for a photo of that size, the result multiplied by ``factor``."""
        portrait = self.by_orientation and (width < height) != (self.width < self.height)
        w, h = (self.height, self.width) if portrait else (self.width, self.height)
        return max(1, round(w * factor)), max(1, round(h * factor))


@dataclass(frozen=True)
class Shortest:
    """The shortest side brought to ``side`` pixels, smaller photos enlarged; the longest at most ``aspect`` times it.

    Beyond that aspect the longest side decides, and the shortest is less than ``side``; with ``noise`` it is then
    filled up to ``side`` with uniform noise, the same for every photo of a size (the museum paper, Section 3.4.1).
    """

    side: int
    aspect: float = 2.0
    noise: bool = False

    @property
    def longest_side(self) -> int:
        """The most pixels a side will have."""
        return math.ceil(self.side * self.aspect)

    def target(self, width: float, height: float, factor: float = 1.0) -> tuple[int, int]:
        """(width, height) for a photo of that size, the result multiplied by ``factor``."""
        scale = min(self.side / min(width, height), self.side * self.aspect / max(width, height)) * factor
        return max(1, round(width * scale)), max(1, round(height * scale))


ResizeRule = Longest | Exact | Shortest


def check_box(box: Box, size: tuple[int, int], name: str = "<photo>") -> Box:
    """A box clipped to a photo of ``size`` (W, H); PhotoRejected when nothing of it is left."""
    try:
        x0, y0, x1, y1 = (float(v) for v in box)
    except (TypeError, ValueError):
        raise PhotoRejected(name, f"box {box!r} is not four numbers x0, y0, x1, y1") from None
    if not all(math.isfinite(v) for v in (x0, y0, x1, y1)):
        raise PhotoRejected(name, f"box {box!r} holds a value that is not finite")
    clipped = (max(x0, 0.0), max(y0, 0.0), min(x1, float(size[0])), min(y1, float(size[1])))
    if clipped[0] >= clipped[2] or clipped[1] >= clipped[3]:
        raise PhotoRejected(name, f"box {box!r} is empty inside the photo of {size[0]} x {size[1]} pixels")
    return clipped


def resize_to(pixels: Pixels, width: int, height: int) -> Pixels:
    """Pixels at exactly that size: by area when both sides shrink, else by cubic interpolation."""
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = width <= pixels.shape[1] and height <= pixels.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=how), dtype=np.uint8)


def prepare(
    photo: Photo,
    rule: ResizeRule,
    box: Box | None = None,
    crop: str = "relative",
    factor: float = 1.0,
    receptive_field: int = 0,
) -> Pixels:
    """The network's input ``uint8 (h, w, 3)``.

    Args:
        photo: decoded.
        rule: of the whole photo, or of the crop.
        box: in pixels of the full upright photo.
        crop: with a box, one of the published rules: ``relative`` (crop, then the longest side limited to
            the rule's side times max(crop) / max(photo): the object keeps the scale it has in the photo, and, under an
            exact rule, its stretch too; a rule for the shortest side brings every crop to that side, as ``tight``),
            ``tight`` (crop, then the rule as for a photo), ``padded`` (the box first enlarged on every side
            by half of ``receptive_field``, in pixels of the resized photo, then as ``relative``).
        factor: multiplies the sides of the result (multi-scale).
        receptive_field: of a cell of the last layer, for ``padded``.

    Sides of less than 32 pixels are filled up with the border's pixels: the networks' maps need one cell.
    """
    width, height = photo.size
    if box is None:
        return _filled(resize_to(photo.pixels, *rule.target(width, height, factor)), rule, factor)
    x0, y0, x1, y1 = check_box(box, photo.size, photo.name)
    if crop == "padded":
        across, down = rule.target(width, height)
        x = y = receptive_field / 2 * max(width, height) / max(across, down)
        if isinstance(rule, Exact):
            x, y = receptive_field / 2 * width / across, receptive_field / 2 * height / down
        x0, y0, x1, y1 = check_box((x0 - x, y0 - y, x1 + x, y1 + y), photo.size)
    cut_width, cut_height = x1 - x0, y1 - y0
    if crop not in ("relative", "tight", "padded"):
        raise ValueError(f"crop rule {crop!r} is not relative, tight or padded")
    if crop == "tight" or isinstance(rule, Shortest):
        target = rule.target(cut_width, cut_height, factor)
    elif isinstance(rule, Exact):
        whole = rule.target(width, height, factor)
        target = max(1, round(whole[0] * cut_width / width)), max(1, round(whole[1] * cut_height / height))
    else:
        share = max(cut_width, cut_height) / max(width, height)
        target = Longest(max(1, round(rule.side * share))).target(cut_width, cut_height, factor)
    sx, sy = photo.scale
    left, top = math.floor(x0 * sx), math.floor(y0 * sy)
    right, bottom = max(left + 1, math.ceil(x1 * sx)), max(top + 1, math.ceil(y1 * sy))
    return _filled(resize_to(photo.pixels[top:bottom, left:right], *target), rule, factor)


def placed(rule: ResizeRule, size: tuple[float, float]) -> tuple[Box, tuple[int, int]]:
    """Where a whole photo of ``size`` (W, H) lies in the input that :func:`prepare` makes of it, and the input's size.

    The box is in pixels of the input; what is outside of it was filled up.
    """
    width, height = rule.target(*size)
    least = _least(rule)
    full = (max(width, least), max(height, least))
    left, top = (full[0] - width) // 2, (full[1] - height) // 2
    return (float(left), float(top), float(left + width), float(top + height)), full


def with_noise(pixels: Pixels, side: int, rng: np.random.Generator) -> Pixels:
    """Pixels in the middle of uniform noise that fills their sides up to ``side``; unchanged where none is shorter."""
    height, width = pixels.shape[:2]
    full = (max(height, side), max(width, side))
    if full == (height, width):
        return pixels
    canvas = rng.integers(0, 256, (*full, 3), dtype=np.uint8)
    top, left = (full[0] - height) // 2, (full[1] - width) // 2
    canvas[top : top + height, left : left + width] = pixels
    return canvas


def _least(rule: ResizeRule, factor: float = 1.0) -> int:
    """Pixels that both sides of an input have at least."""
    if isinstance(rule, Shortest) and rule.noise:
        return max(LEAST_SIDE, round(rule.side * factor))
    return LEAST_SIDE


def _filled(pixels: Pixels, rule: ResizeRule, factor: float) -> Pixels:
    least = _least(rule, factor)
    if isinstance(rule, Shortest) and rule.noise:
        return with_noise(np.ascontiguousarray(pixels), least, np.random.default_rng(pixels.shape[:2]))
    missing_y, missing_x = (max(0, least - n) for n in pixels.shape[:2])
    if not (missing_x or missing_y):
        return np.ascontiguousarray(pixels)
    top, left = missing_y // 2, missing_x // 2
    return np.asarray(
        cv2.copyMakeBorder(pixels, top, missing_y - top, left, missing_x - left, cv2.BORDER_REPLICATE), dtype=np.uint8
    )
