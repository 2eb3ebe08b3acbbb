"""Procedural paintings: a museum without end, every picture drawn from its number.

Fifteen manners, each a function from chance and size to a canvas; :func:`paint` chooses one, a palette and a format.
"""

from __future__ import annotations

import colorsys
import string
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from reseen.scenes.camera import between
from reseen.types import Pixels

Colour = tuple[float, float, float]
Field = NDArray[np.float32]
Generator = np.random.Generator


class Painting(NamedTuple):
    """A picture ``uint8 (H, W, 3)``, the manner it is painted in, and its number."""

    number: int
    manner: str
    pixels: Pixels


def paint(number: int, manner: str | None = None, longest: int = 640) -> Painting:
    """Painting ``number`` (any integer from 0 up): the same picture every time.

    Args:
        number: which one; paintings of different numbers differ in composition, palette and format.
        manner: one of :data:`MANNERS`; by default they take turns.
        longest: longest side in pixels.
    """
    names = list(MANNERS)
    manner = manner or names[number % len(names)]
    rng = np.random.default_rng((number, names.index(manner), 1889))
    aspect = float(rng.choice([0.62, 0.72, 0.8, 0.9, 1.0, 1.2, 1.33, 1.6]))
    size = (longest, round(longest / aspect)) if aspect > 1 else (round(longest * aspect), longest)
    canvas = MANNERS[manner](rng, size)
    return Painting(number, manner, _on_canvas(canvas, rng))


def _palette(rng: Generator, count: int = 6) -> list[Colour]:
    """Colours that belong together: neighbours on the wheel, complements, triads, or a few greys and one hue."""
    base, scheme = rng.random(), rng.choice(["near", "opposite", "triad", "sober"])
    spread = {"near": (0, 0.06, -0.06), "opposite": (0, 0.5, 0.04), "triad": (0, 1 / 3, 2 / 3), "sober": (0, 0.03, 0.5)}
    colours = []
    for i in range(count):
        hue = (base + spread[str(scheme)][i % 3] + rng.normal(0, 0.02)) % 1
        saturation = rng.uniform(0.05, 0.35) if scheme == "sober" and i else rng.uniform(0.35, 0.95)
        value = np.clip(0.2 + 0.75 * (i + rng.random()) / count, 0, 1)
        colours.append(_hsv(hue, saturation, float(value)))
    order = rng.permutation(count)
    return [colours[i] for i in order]


def _hsv(hue: float, saturation: float, value: float) -> Colour:
    r, g, b = colorsys.hsv_to_rgb(hue % 1, min(1.0, max(0.0, saturation)), min(1.0, max(0.0, value)))
    return 255 * r, 255 * g, 255 * b


def _tone(colour: Colour, factor: float) -> Colour:
    """``colour`` darker (below 1) or lighter (above 1)."""
    r, g, b = (min(255.0, max(0.0, c * factor)) for c in colour)
    return r, g, b


def _pick(rng: Generator, colours: Sequence[Colour]) -> Colour:
    return colours[int(rng.integers(len(colours)))]


def _fill(size: tuple[int, int], colour: Colour) -> Pixels:
    return np.full((size[1], size[0], 3), colour, np.uint8)


def _gradient(size: tuple[int, int], top: Colour, bottom: Colour) -> Pixels:
    ramp = np.linspace(0, 1, size[1], dtype=np.float32)[:, None, None]
    column = np.array(top, np.float32) * (1 - ramp) + np.array(bottom, np.float32) * ramp
    return np.asarray(np.repeat(column, size[0], 1), np.uint8)


def _noise(rng: Generator, size: tuple[int, int], cells: float, octaves: int = 3) -> Field:
    """Smooth noise of about unit range, ``cells`` waves along the longest side."""
    total = np.zeros((size[1], size[0]), np.float32)
    for octave in range(octaves):
        step = max(size) / (cells * 2**octave)
        grid = rng.normal(0, 1, (int(size[1] / step) + 2, int(size[0] / step) + 2)).astype(np.float32)
        total += cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC) / 2**octave
    return total


def _on_canvas(picture: Pixels, rng: Generator) -> Pixels:
    """The relief of brush and weave, and varnish that is not even."""
    size = picture.shape[1::-1]
    relief = between(rng, (1, 5)) * _noise(rng, size, 90, 2) + between(rng, (0, 10)) * _noise(rng, size, 2, 1)
    return np.asarray(np.clip(picture + relief[:, :, None], 0, 255), np.uint8)


def _points(values: object) -> NDArray[np.int32]:
    """Points x, y with four fractional bits, as OpenCV's ``shift=4`` wants them."""
    return np.round(np.asarray(values, np.float64).reshape(-1, 1, 2) * 16).astype(np.int32)


def _polygon(canvas: Pixels, points: object, colour: Colour) -> None:
    cv2.fillPoly(canvas, [_points(points)], colour, cv2.LINE_AA, 4)


def _stroke(canvas: Pixels, points: object, colour: Colour, width: float) -> None:
    cv2.polylines(canvas, [_points(points)], False, colour, max(1, round(width)), cv2.LINE_AA, 4)


def _ellipse(canvas: Pixels, centre: object, axes: object, colour: Colour, angle: float = 0, width: int = -1) -> None:
    (x, y), (a, b) = np.asarray(centre, float), np.asarray(axes, float)
    if width < 0:
        turn = np.linspace(0, 2 * np.pi, 60)
        c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        u, v = a * np.cos(turn), b * np.sin(turn)
        _polygon(canvas, np.stack([x + c * u - s * v, y + s * u + c * v], 1), colour)
    else:
        cv2.ellipse(canvas, (round(x), round(y)), (round(a), round(b)), angle, 0, 360, colour, width, cv2.LINE_AA)


def _ridge(rng: Generator, width: int, level: float, height: float, rough: float) -> NDArray[np.float64]:
    """Points of a skyline across the picture."""
    x = np.linspace(0, width, 120)
    y = sum(
        np.sin(x / width * 2 * np.pi * rng.uniform(0.5, 1.5) * 2**k + rng.uniform(0, 6.3)) / 2 ** (k * (1.6 - rough))
        for k in range(6)
    )
    return np.stack([x, level - height * np.asarray(y) / 2], 1)


def _geometry(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Discs, bars, triangles, arcs and chequers afloat on one ground."""
    colours = _palette(rng, 7)
    canvas = _fill(size, _tone(_pick(rng, colours), 1.3))
    unit = min(size)
    for _ in range(int(rng.integers(9, 26))):
        centre, r = rng.uniform(0, 1, 2) * size, unit * rng.uniform(0.03, 0.2)
        colour, kind, turn = _pick(rng, colours), rng.integers(6), rng.uniform(0, 2 * np.pi)
        along, across = np.array([np.cos(turn), np.sin(turn)]), np.array([-np.sin(turn), np.cos(turn)])
        if kind == 0:
            _ellipse(canvas, centre, (r, r), colour)
            _ellipse(canvas, centre, (0.6 * r, 0.6 * r), _pick(rng, colours))
        elif kind == 1:
            _polygon(canvas, [centre + r * along, centre - r * along + r * across, centre - r * across], colour)
        elif kind == 2:
            _stroke(
                canvas, [centre - 2.5 * r * along, centre + 2.5 * r * along], colour, unit * rng.uniform(0.005, 0.03)
            )
        elif kind == 3:
            turn_to = turn + np.linspace(0, rng.uniform(1, 4.5), 30)
            arc = centre + 1.5 * r * np.stack([np.cos(turn_to), np.sin(turn_to)], 1)
            _stroke(canvas, arc, colour, unit * rng.uniform(0.006, 0.03))
        elif kind == 4:
            other = _pick(rng, colours)
            for i in range(4):
                for j in range(4):
                    corner = centre + (i - 2) * r / 2 * along + (j - 2) * r / 2 * across
                    cell = [corner, corner + r / 2 * along, corner + r / 2 * (along + across), corner + r / 2 * across]
                    _polygon(canvas, cell, colour if (i + j) % 2 else other)
        else:
            bar = 0.25 * r * across
            _polygon(
                canvas,
                [
                    centre - 2 * r * along + bar,
                    centre + 2 * r * along + bar,
                    centre + 2 * r * along - bar,
                    centre - 2 * r * along - bar,
                ],
                colour,
            )
    return canvas


def _grid(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Black bars, white fields and a few primary ones."""
    w, h = size
    canvas = _fill(size, (238, 234, 224))
    xs = np.sort(np.r_[0, rng.uniform(0, w, rng.integers(2, 7)), w])
    ys = np.sort(np.r_[0, rng.uniform(0, h, rng.integers(2, 7)), h])
    primaries = [(190, 30, 35), (30, 60, 150), (235, 200, 40), (20, 20, 20), (200, 205, 205)]
    for i in range(len(xs) - 1):
        for j in range(len(ys) - 1):
            if rng.random() < 0.4:
                colour = _tone(_pick(rng, primaries), rng.uniform(0.85, 1.1))
                cv2.rectangle(canvas, (int(xs[i]), int(ys[j])), (int(xs[i + 1]), int(ys[j + 1])), colour, -1)
    bar = max(2, int(min(size) * rng.uniform(0.008, 0.035)))
    for x in xs[1:-1]:
        a, b = np.sort(rng.choice(ys, 2, replace=False)) if rng.random() < 0.35 else (0, h)
        cv2.line(canvas, (int(x), int(a)), (int(x), int(b)), (18, 18, 18), bar)
    for y in ys[1:-1]:
        a, b = np.sort(rng.choice(xs, 2, replace=False)) if rng.random() < 0.35 else (0, w)
        cv2.line(canvas, (int(a), int(y)), (int(b), int(y)), (18, 18, 18), bar)
    return canvas


def _colour_field(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Two to four soft fields over a ground."""
    w, h = size
    colours = _palette(rng, 5)
    canvas = _fill(size, colours[0]).astype(np.float32)
    edges = np.sort(rng.uniform(0.15, 0.85, rng.integers(1, 4)))
    margin = between(rng, (0.04, 0.12)) * w
    for top, bottom in zip(np.r_[0.04, edges], np.r_[edges, 0.97], strict=True):
        mask = np.zeros((h, w), np.float32)
        ragged = rng.uniform(-0.01, 0.01, 4) * w
        cv2.rectangle(
            mask,
            (int(margin + ragged[0]), int(top * h + 0.012 * h)),
            (int(w - margin + ragged[1]), int(bottom * h - 0.012 * h)),
            1.0,
            -1,
        )
        mask = cv2.GaussianBlur(mask, (0, 0), between(rng, (0.004, 0.02)) * w)
        mask *= np.clip(0.9 + 0.12 * _noise(rng, size, 5), 0, 1)
        colour = np.array(_pick(rng, colours[1:])) + 14 * _noise(rng, size, 3)[:, :, None]
        canvas += mask[:, :, None] * (colour - canvas)
    return np.asarray(np.clip(canvas, 0, 255), np.uint8)


def _landscape(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Sky, a sun or moon, ridges behind ridges, a field or a lake, trees."""
    w, h = size
    hue = rng.random()
    horizon = between(rng, (0.35, 0.7)) * h
    light = rng.uniform(0.35, 1.0)
    sky_hue = rng.choice([0.58, 0.62, 0.05, 0.1, 0.9, 0.5])
    canvas = _gradient(
        size, _hsv(sky_hue, rng.uniform(0.2, 0.8), light * 0.8), _hsv(sky_hue + rng.normal(0, 0.1), 0.3, light)
    )
    clouds = np.clip(_noise(rng, (w, max(2, h // 2)), rng.uniform(2, 6)), 0, 1)
    clouds = cv2.resize(clouds, (w, h))[:, :, None] * rng.uniform(0, 0.7)
    canvas = np.asarray(canvas * (1 - clouds) + 255 * light * clouds, np.uint8)
    if rng.random() < 0.6:
        r = min(size) * rng.uniform(0.03, 0.1)
        _ellipse(
            canvas,
            (rng.uniform(0.1, 0.9) * w, rng.uniform(0.08, 0.9) * horizon),
            (r, r),
            _hsv(rng.uniform(0.02, 0.16), 0.4, 1),
        )
    layers = int(rng.integers(2, 6))
    for i in range(layers):
        near = (i + 1) / layers
        level = horizon * (0.75 + 0.25 * near)
        line = _ridge(rng, w, level, h * rng.uniform(0.05, 0.3) * (1.2 - near), rng.uniform(0.2, 0.9))
        colour = _hsv(hue + rng.normal(0, 0.05), 0.15 + 0.5 * near, light * (0.85 - 0.5 * near))
        _polygon(canvas, np.r_[line, [(w, h), (0, h)]], colour)
    if rng.random() < 0.45:
        top = int(min(h - 2, horizon * rng.uniform(1.02, 1.15)))
        mirror = canvas[max(0, 2 * top - h) : top][::-1]
        part = canvas[top : top + len(mirror)]
        waves = (1 + 0.12 * np.sin(np.arange(len(part)) ** 0.8)[:, None, None]) * 0.8
        part[:] = np.clip(mirror[: len(part)] * waves, 0, 255)
    else:
        _polygon(
            canvas,
            [(0, horizon * 1.05), (w, horizon * rng.uniform(0.95, 1.1)), (w, h), (0, h)],
            _hsv(rng.uniform(0.08, 0.4), rng.uniform(0.3, 0.7), light * 0.6),
        )
        for _ in range(int(rng.integers(0, 14))):
            _tree(canvas, rng, (rng.uniform(0, w), rng.uniform(horizon * 1.05, h)), h * rng.uniform(0.08, 0.35), light)
    return _brushed(canvas, rng, rng.uniform(0.004, 0.02))


def _tree(canvas: Pixels, rng: Generator, foot: tuple[float, float], height: float, light: float) -> None:
    x, y = foot
    _stroke(
        canvas,
        [(x, y), (x + rng.normal(0, 0.05) * height, y - 0.6 * height)],
        _hsv(0.07, 0.5, 0.3 * light),
        height * 0.05,
    )
    green = _hsv(rng.uniform(0.08, 0.42), 0.6, light * rng.uniform(0.25, 0.6))
    if rng.random() < 0.5:
        width = height * rng.uniform(0.15, 0.3)
        _polygon(canvas, [(x - width, y - 0.15 * height), (x, y - height), (x + width, y - 0.15 * height)], green)
    else:
        for _ in range(9):
            place = (x + rng.normal(0, 0.16) * height, y - height * rng.uniform(0.45, 0.9))
            _ellipse(canvas, place, np.array([0.16, 0.13]) * height, _tone(green, rng.uniform(0.7, 1.35)))


def _brushed(canvas: Pixels, rng: Generator, width: float) -> Pixels:
    """The picture redrawn with short strokes that follow a slow field of directions."""
    h, w = canvas.shape[:2]
    result: Pixels = np.asarray(cv2.GaussianBlur(canvas, (0, 0), 1.5), np.uint8)
    field = _noise(rng, (w, h), 2, 2) * rng.uniform(0.2, 2.0)
    brush = max(2.0, width * max(w, h))
    count = min(4000, int(1.1 * w * h / (5 * brush * brush)))
    xs, ys = rng.integers(0, w, count), rng.integers(0, h, count)
    tones, lengths = rng.uniform(0.88, 1.12, count), rng.uniform(1, 3, count) * brush
    for x, y, tone, length in zip(xs, ys, tones, lengths, strict=True):
        r, g, b = (float(c) for c in canvas[y, x])
        angle = float(field[y, x])
        end = (x + length * np.cos(angle), y + length * np.sin(angle))
        _stroke(result, [(x, y), end], _tone((r, g, b), tone), brush * 0.7)
    return result


def _seascape(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Waves in bands, sails, a stormy or a calm sky."""
    w, h = size
    horizon = between(rng, (0.25, 0.6)) * h
    mood = rng.uniform(0.3, 1.0)
    sky, sea = rng.choice([0.55, 0.6, 0.08, 0.75, 0.12]), rng.choice([0.5, 0.55, 0.6, 0.45])
    canvas = _gradient(size, _hsv(sky, rng.uniform(0.1, 0.6), mood), _hsv(sky + 0.03, 0.25, min(1, mood * 1.2)))
    bands = int(rng.integers(5, 18))
    for i in range(bands):
        level = horizon + (h - horizon) * (i / bands) ** 1.4
        crest = _ridge(rng, w, level, (0.01 + 0.05 * (i / bands)) * h, 0.6)
        colour = _hsv(sea + rng.normal(0, 0.02), rng.uniform(0.3, 0.8), mood * (0.35 + 0.5 * rng.random()))
        _polygon(canvas, np.r_[crest, [(w, h), (0, h)]], colour)
        if rng.random() < 0.6:
            _stroke(canvas, crest, _hsv(sea, 0.1, min(1, mood * 1.25)), rng.uniform(1, 4))
    for _ in range(int(rng.integers(0, 6))):
        x, y = rng.uniform(0.05, 0.95) * w, rng.uniform(horizon, h * 0.92)
        s = h * (0.04 + 0.25 * (y - horizon) / h) * rng.uniform(0.8, 1.6)
        _polygon(
            canvas,
            [(x - s, y - 0.25 * s), (x + s, y - 0.25 * s), (x + 0.6 * s, y), (x - 0.6 * s, y)],
            _hsv(rng.random(), 0.6, 0.3),
        )
        sail = _hsv(rng.random(), rng.uniform(0, 0.8), rng.uniform(0.7, 1))
        _polygon(canvas, [(x, y - 0.3 * s), (x, y - 2.2 * s), (x + 0.9 * s, y - 0.3 * s)], sail)
        _polygon(
            canvas,
            [(x - 0.08 * s, y - 0.3 * s), (x - 0.08 * s, y - 1.8 * s), (x - 0.7 * s, y - 0.3 * s)],
            _tone(sail, 0.85),
        )
    return _brushed(canvas, rng, rng.uniform(0.004, 0.015))


def _still_life(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Bottles, bowls and fruit on a table before a drape."""
    w, h = size
    colours = _palette(rng, 7)
    edge = between(rng, (0.5, 0.72)) * h
    canvas = _gradient(size, _tone(colours[0], 0.5), _tone(colours[0], 0.8))
    for x in np.arange(0, w, w * rng.uniform(0.05, 0.2)):
        _polygon(
            canvas,
            [(x, 0), (x + 0.03 * w, 0), (x + rng.normal(0, 0.05) * w, edge)],
            _tone(colours[0], rng.uniform(0.4, 1.0)),
        )
    cv2.rectangle(canvas, (0, int(edge)), (w, h), colours[1], -1)
    if rng.random() < 0.5:
        step = w * rng.uniform(0.06, 0.14)
        for i, x in enumerate(np.arange(-w, 2 * w, step)):
            if i % 2:
                foot = w / 2 + (x - w / 2) * 1.8
                _polygon(
                    canvas, [(x, edge), (x + step, edge), (foot + 1.8 * step, h), (foot, h)], _tone(colours[1], 0.75)
                )
    things = sorted(rng.uniform(0.05, 0.22, int(rng.integers(4, 10))))
    for depth in things:
        x, y = rng.uniform(0.1, 0.9) * w, edge + depth * h
        colour, s = _pick(rng, colours[2:]), h * rng.uniform(0.7, 1.25)
        kind = rng.integers(3)
        _ellipse(canvas, (x + 0.03 * s, y), (0.11 * s, 0.02 * s), _tone(colours[1], 0.45))
        if kind == 0:
            tall, wide = s * rng.uniform(0.28, 0.45), s * rng.uniform(0.045, 0.08)
            neck = wide * rng.uniform(0.25, 0.45)
            profile = [(wide, 0), (wide, 0.6 * tall), (neck, 0.75 * tall), (neck, tall)]
            outline = [(x + a, y - b) for a, b in profile] + [(x - a, y - b) for a, b in profile[::-1]]
            _polygon(canvas, outline, _tone(colour, 0.7))
            _stroke(
                canvas,
                [(x - 0.5 * wide, y - 0.05 * tall), (x - 0.5 * wide, y - 0.58 * tall)],
                _tone(colour, 1.7),
                0.2 * wide,
            )
        elif kind == 1:
            r = s * rng.uniform(0.035, 0.075)
            for k in range(12):
                shade = 0.6 + 0.9 * k / 12
                _ellipse(
                    canvas,
                    (x - 0.3 * r * k / 12, y - r - 0.3 * r * k / 12),
                    np.full(2, r * (1 - k / 13)),
                    _tone(colour, shade),
                )
            _stroke(canvas, [(x, y - 1.9 * r), (x + 0.3 * r, y - 2.5 * r)], (60, 45, 25), 0.12 * r)
        else:
            wide, tall = s * rng.uniform(0.08, 0.16), s * rng.uniform(0.07, 0.14)
            _polygon(
                canvas, [(x - wide, y - tall), (x + wide, y - tall), (x + 0.5 * wide, y), (x - 0.5 * wide, y)], colour
            )
            _ellipse(canvas, (x, y - tall), (wide, 0.2 * wide), _tone(colour, 0.6))
            for k in range(int(rng.integers(0, 5))):
                _ellipse(
                    canvas, (x + (k - 2) * 0.4 * wide, y - tall - 0.15 * wide), (0.3 * wide,) * 2, _pick(rng, colours)
                )
    return _brushed(canvas, rng, rng.uniform(0.003, 0.01))


def _portrait(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Someone before a ground: head, hair, eyes, dress, perhaps a hat."""
    w, h = size
    colours = _palette(rng, 6)
    canvas = _gradient(size, _tone(colours[0], 0.9), _tone(colours[0], 0.5))
    unit = min(size) * rng.uniform(0.85, 1.2)
    x, y = w * rng.uniform(0.38, 0.62), h * rng.uniform(0.34, 0.44)
    rx, ry = unit * rng.uniform(0.13, 0.18), unit * rng.uniform(0.19, 0.24)
    skin = _hsv(rng.uniform(0.03, 0.09), rng.uniform(0.2, 0.6), rng.uniform(0.35, 0.95))
    hair = _hsv(rng.uniform(0.0, 0.13), rng.uniform(0.1, 0.8), rng.uniform(0.08, 0.7))
    lean = rng.uniform(-15, 15)
    if rng.random() < 0.6:
        _ellipse(
            canvas, (x, y + 0.25 * ry), (rx * rng.uniform(1.25, 1.7), ry * rng.uniform(1.2, 1.8)), _tone(hair, 0.8)
        )
    dress, spread = colours[1], unit * rng.uniform(0.3, 0.5)
    _polygon(
        canvas,
        [
            (x - spread, h),
            (x - 0.85 * spread, y + 1.7 * ry),
            (x - 0.3 * spread, y + 1.2 * ry),
            (x + 0.3 * spread, y + 1.2 * ry),
            (x + 0.85 * spread, y + 1.7 * ry),
            (x + spread, h),
        ],
        dress,
    )
    for _ in range(int(rng.integers(0, 30))):
        place = (x + rng.uniform(-0.8, 0.8) * spread, rng.uniform(y + 1.7 * ry, h))
        _ellipse(canvas, place, np.full(2, unit * rng.uniform(0.005, 0.02)), _pick(rng, colours[2:]))
    _polygon(
        canvas,
        [(x - 0.4 * rx, y), (x + 0.4 * rx, y), (x + 0.6 * rx, y + 1.45 * ry), (x - 0.6 * rx, y + 1.45 * ry)],
        _tone(skin, 0.8),
    )
    for k in range(10):
        _ellipse(
            canvas,
            (x - 0.15 * rx * k / 10, y - 0.05 * ry * k / 10),
            (rx * (1 - k / 14), ry * (1 - k / 16)),
            _tone(skin, 0.82 + 0.3 * k / 10),
            lean,
        )
    _ellipse(canvas, (x, y - 0.75 * ry), (rx * 1.08, ry * rng.uniform(0.35, 0.5)), hair, lean)
    gaze = rng.uniform(-0.12, 0.12) * rx
    for side in (-1, 1):
        eye = (x + side * 0.4 * rx, y - 0.05 * ry + side * 0.4 * rx * np.sin(np.radians(lean)))
        _ellipse(canvas, eye, (0.22 * rx, 0.08 * ry), (235, 230, 220))
        _ellipse(canvas, (eye[0] + gaze, eye[1]), (0.09 * rx, 0.08 * ry), _hsv(rng.random(), 0.5, 0.3))
        _stroke(
            canvas,
            [(eye[0] - 0.28 * rx, eye[1] - 0.17 * ry), (eye[0] + 0.28 * rx, eye[1] - 0.2 * ry)],
            _tone(hair, 0.7),
            0.06 * rx,
        )
    _stroke(
        canvas, [(x, y), (x + 0.14 * rx, y + 0.28 * ry), (x - 0.02 * rx, y + 0.32 * ry)], _tone(skin, 0.6), 0.05 * rx
    )
    smile = rng.uniform(-0.05, 0.1) * ry
    _stroke(
        canvas,
        [(x - 0.3 * rx, y + 0.52 * ry - smile), (x, y + 0.55 * ry), (x + 0.3 * rx, y + 0.52 * ry - smile)],
        (150, 50, 50),
        0.1 * rx,
    )
    if rng.random() < 0.35:
        hat = _pick(rng, colours[2:])
        _ellipse(canvas, (x, y - 0.75 * ry), (rx * rng.uniform(1.4, 2.1), 0.2 * ry), hat, lean)
        _ellipse(canvas, (x, y - 1.0 * ry), (rx * 0.95, 0.4 * ry), _tone(hat, 0.8), lean)
    return _brushed(canvas, rng, rng.uniform(0.004, 0.012))


def _facets(rng: Generator, size: tuple[int, int]) -> Pixels:
    """A still life or a portrait seen from several sides at once: shaded triangles."""
    subject = (_still_life if rng.random() < 0.5 else _portrait)(rng, size)
    w, h = size
    places = np.r_[
        rng.uniform(0, 1, (int(rng.integers(35, 160)), 2)) * (w - 1, h - 1),
        [(0, 0), (w - 1, 0), (0, h - 1), (w - 1, h - 1)],
    ]
    mesh = cv2.Subdiv2D((0, 0, w, h))
    mesh.insert(places.astype(np.float32).tolist())
    canvas = subject.copy()
    dull = rng.uniform(0.3, 1.0)
    for triangle in np.asarray(mesh.getTriangleList()).reshape(-1, 3, 2):
        centre = np.clip(triangle.mean(0) + rng.normal(0, 0.03, 2) * size, 0, (w - 1, h - 1)).astype(int)
        colour = subject[centre[1], centre[0]].astype(float)
        colour = (dull * colour + (1 - dull) * np.array([1.05, 0.95, 0.7]) * colour.mean()) * rng.uniform(0.7, 1.3)
        _polygon(canvas, triangle, tuple(np.clip(colour, 0, 255).tolist()))
        if rng.random() < 0.5:
            _stroke(canvas, triangle[:2], (35, 28, 22), max(1, w / 300))
    return canvas


def _points_of_colour(rng: Generator, size: tuple[int, int]) -> Pixels:
    """A scene made of dots of pure colour."""
    manner = [_landscape, _seascape, _portrait, _still_life][int(rng.integers(4))]
    subject = manner(rng, size)
    w, h = size
    dot = max(2.0, max(size) * rng.uniform(0.005, 0.014))
    canvas = _fill(size, _tone((244, 236, 215), rng.uniform(0.4, 1)))
    ys, xs = np.mgrid[0:h:dot, 0:w:dot]
    places = np.stack([xs.ravel(), ys.ravel()], 1) + rng.normal(0, 0.35 * dot, (xs.size, 2))
    shades = rng.normal(0, 28, (len(places), 3))
    for (x, y), shade in zip(places[rng.permutation(len(places))], shades, strict=True):
        colour = subject[int(np.clip(y, 0, h - 1)), int(np.clip(x, 0, w - 1))] * 1.1 + shade
        centre = (round(x * 16), round(y * 16))
        cv2.circle(canvas, centre, round(0.55 * dot * 16), tuple(np.clip(colour, 0, 255).tolist()), -1, cv2.LINE_AA, 4)
    return canvas


def _poster(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Large words, a few flat shapes, small print."""
    w, h = size
    colours = _palette(rng, 5)
    canvas = _gradient(size, colours[0], colours[0] if rng.random() < 0.5 else colours[1])
    for _ in range(int(rng.integers(1, 6))):
        centre, r = rng.uniform(0.1, 0.9, 2) * size, min(size) * rng.uniform(0.1, 0.4)
        sides = int(rng.integers(3, 9))
        turn = np.linspace(0, 2 * np.pi, sides, endpoint=False) + rng.uniform(0, 6)
        radius = r * np.where(np.arange(sides) % 2, rng.uniform(0.4, 1), 1)
        _polygon(canvas, centre + np.stack([radius * np.cos(turn), radius * np.sin(turn)], 1), _pick(rng, colours[1:]))
    fonts = [cv2.FONT_HERSHEY_DUPLEX, cv2.FONT_HERSHEY_TRIPLEX, cv2.FONT_HERSHEY_COMPLEX, cv2.FONT_HERSHEY_SIMPLEX]
    font = fonts[int(rng.integers(len(fonts)))]
    ink = _tone(_pick(rng, colours), rng.choice([0.25, 2.5]))
    y = h * rng.uniform(0.08, 0.3)
    for _ in range(int(rng.integers(1, 4))):
        y = _line_of_text(canvas, _word(rng, 3, 10), font, (0.06 * w, y), w * rng.uniform(0.5, 0.88), ink)
    y = max(y + 0.08 * h, h * rng.uniform(0.65, 0.9))
    for _ in range(int(rng.integers(1, 6))):
        text = " ".join(_word(rng, 2, 9).lower() for _ in range(int(rng.integers(3, 7))))
        y = _line_of_text(canvas, text, font, (0.06 * w, y), w * rng.uniform(0.4, 0.85), ink)
    return canvas


def _word(rng: Generator, least: int, most: int) -> str:
    vowels, others = "AEIOU", "".join(c for c in string.ascii_uppercase if c not in "AEIOU")
    length = int(rng.integers(least, most + 1))
    return "".join(str(rng.choice(list(vowels if i % 2 else others))) for i in range(length))


def _line_of_text(canvas: Pixels, text: str, font: int, place: tuple[float, float], width: float, ink: Colour) -> float:
    """``text`` as wide as ``width``; returns where the next line starts."""
    (wide, tall), _ = cv2.getTextSize(text, font, 1.0, 2)
    scale = width / wide
    thickness = max(1, round(2.2 * scale))
    foot = place[1] + tall * scale
    cv2.putText(canvas, text, (int(place[0]), int(foot)), font, scale, ink, thickness, cv2.LINE_AA)
    return float(foot + 0.35 * tall * scale)


def _waves(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Lines that bend the eye: rings, rays and ripples in two or three colours."""
    w, h = size
    y, x = np.mgrid[0:h, 0:w].astype(np.float32) / max(size)
    cx, cy = rng.uniform(0, w / max(size)), rng.uniform(0, h / max(size))
    r, angle = np.hypot(x - cx, y - cy), np.arctan2(y - cy, x - cx)
    phase = rng.uniform(8, 30) * (r if rng.random() < 0.5 else rng.uniform(0.4, 1) * x + rng.uniform(0, 1) * y)
    phase = (
        phase + rng.integers(0, 12) * angle / np.pi + rng.uniform(0.3, 2.5) * _noise(rng, size, rng.uniform(1, 4), 1)
    )
    colours = np.array(_palette(rng, int(rng.integers(2, 5))))
    wave = (np.sin(2 * np.pi * phase / 2) * 0.5 + 0.5) * (len(colours) - 1)
    if rng.random() < 0.6:
        wave = np.clip(np.round(wave) + np.clip((wave - np.round(wave)) * 6, -0.5, 0.5) * 0.2, 0, len(colours) - 1)
    low = np.floor(wave).astype(int).clip(0, len(colours) - 2)
    mix = (wave - low)[:, :, None]
    return np.asarray(colours[low] * (1 - mix) + colours[low + 1] * mix, np.uint8)


def _gestures(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Long strokes, drips and splashes."""
    unit = min(size)
    colours = _palette(rng, 6)
    canvas = _fill(size, _tone(colours[0], rng.choice([0.4, 1.6])))
    for _ in range(int(rng.integers(15, 70))):
        place, heading = rng.uniform(0, 1, 2) * size, rng.uniform(0, 2 * np.pi)
        turn, path = rng.normal(0, 0.15), [place]
        for _ in range(int(rng.integers(5, 40))):
            heading += turn + rng.normal(0, 0.12)
            place = place + unit * 0.03 * np.array([np.cos(heading), np.sin(heading)])
            path.append(place)
        width, colour = unit * rng.choice([0.005, 0.01, 0.03, 0.06]) * rng.uniform(0.6, 1.4), _pick(rng, colours[1:])
        _stroke(canvas, path, colour, width)
        for _ in range(int(rng.integers(0, 12))):
            _ellipse(
                canvas, path[-1] + rng.normal(0, 0.08, 2) * unit, np.full(2, unit * rng.uniform(0.002, 0.012)), colour
            )
        if width > 0.02 * unit and rng.random() < 0.4:
            _stroke(canvas, [path[-1], path[-1] + (0, unit * rng.uniform(0.05, 0.3))], colour, 0.15 * width)
    return canvas


def _city(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Houses with lit and dark windows under a sky, roofs, a street."""
    w, h = size
    night, hue = rng.random() < 0.5, rng.random()
    canvas = _gradient(size, _hsv(hue, 0.6, 0.15 if night else 0.7), _hsv(hue + 0.08, 0.4, 0.35 if night else 0.95))
    for row in range(int(rng.integers(2, 4))):
        foot, x = h * (0.72 + 0.12 * row), -rng.uniform(0, 0.1) * w
        while x < w:
            wide, tall = w * rng.uniform(0.07, 0.2), h * rng.uniform(0.2, 0.6) * (1 - 0.18 * row)
            front = _hsv(
                rng.random() if rng.random() < 0.4 else hue,
                rng.uniform(0.1, 0.6),
                rng.uniform(0.2, 0.5) if night else rng.uniform(0.4, 0.95),
            )
            cv2.rectangle(canvas, (int(x), int(foot - tall)), (int(x + wide), h), front, -1)
            if rng.random() < 0.5:
                roof = [
                    (x - 0.05 * wide, foot - tall),
                    (x + wide / 2, foot - tall - wide * rng.uniform(0.2, 0.8)),
                    (x + 1.05 * wide, foot - tall),
                ]
                _polygon(canvas, roof, _hsv(rng.uniform(0, 0.08), 0.6, rng.uniform(0.2, 0.6)))
            columns, pane = int(rng.integers(2, 5)), rng.uniform(0.3, 0.65)
            step = wide / columns
            for i in range(columns):
                for y in np.arange(foot - tall + 0.5 * step, h, step * rng.uniform(1.0, 1.5)):
                    glass = _hsv(0.13, 0.6, 1.0) if rng.random() < (0.5 if night else 0.1) else _tone(front, 0.45)
                    left, top = x + (i + 0.5 - pane / 2) * step, y
                    cv2.rectangle(
                        canvas, (int(left), int(top)), (int(left + pane * step), int(top + pane * step)), glass, -1
                    )
            x += wide * rng.uniform(1.0, 1.15)
    return _brushed(canvas, rng, rng.uniform(0.002, 0.007)) if rng.random() < 0.7 else canvas


def _botany(rng: Generator, size: tuple[int, int]) -> Pixels:
    """Stems, leaves and blossoms, as in a herbal or on a screen."""
    w, h = size
    colours = _palette(rng, 6)
    canvas = _fill(size, (236, 226, 200) if rng.random() < 0.5 else _tone(colours[0], rng.choice([0.35, 1.5])))
    unit = min(size)
    for _ in range(int(rng.integers(2, 7))):
        place, heading = (
            np.array([rng.uniform(0.1, 0.9) * w, h * rng.uniform(0.85, 1.05)]),
            -np.pi / 2 + rng.normal(0, 0.25),
        )
        green, bend = _hsv(rng.uniform(0.2, 0.45), rng.uniform(0.3, 0.8), rng.uniform(0.25, 0.65)), rng.normal(0, 0.04)
        leaf, slim = unit * rng.uniform(0.06, 0.16), rng.uniform(0.18, 0.5)
        for k in range(int(rng.integers(10, 24))):
            start = place
            heading += bend + rng.normal(0, 0.05)
            place = place + 0.045 * h * np.array([np.cos(heading), np.sin(heading)])
            _stroke(canvas, [start, place], _tone(green, 0.7), unit * 0.008)
            if k > 2:
                side = heading + (-1) ** k * rng.uniform(0.6, 1.2)
                tip = place + leaf * np.array([np.cos(side), np.sin(side)])
                _ellipse(
                    canvas,
                    (place + tip) / 2,
                    (leaf / 2, leaf * slim / 2),
                    _tone(green, rng.uniform(0.75, 1.3)),
                    np.degrees(side),
                )
                _stroke(canvas, [place, tip], _tone(green, 0.55), 1)
        petals, r, bloom = int(rng.integers(5, 14)), unit * rng.uniform(0.04, 0.12), _pick(rng, colours[1:])
        for angle in np.linspace(0, 2 * np.pi, petals, endpoint=False):
            centre = place + r * np.array([np.cos(angle), np.sin(angle)])
            _ellipse(
                canvas,
                centre,
                (r * 0.8, r * rng.uniform(0.25, 0.5)),
                _tone(bloom, rng.uniform(0.85, 1.2)),
                np.degrees(angle),
            )
        _ellipse(canvas, place, (0.5 * r, 0.5 * r), _hsv(rng.uniform(0.05, 0.16), 0.8, 0.8))
    return canvas


def _quilt(rng: Generator, size: tuple[int, int]) -> Pixels:
    """A carpet of tiles: each a small ornament, repeated with changes."""
    w, h = size
    colours = _palette(rng, int(rng.integers(3, 7)))
    canvas = _fill(size, colours[0])
    step = min(size) / rng.integers(3, 9)
    kinds = rng.integers(0, 5, int(rng.integers(1, 4)))
    for j in range(int(h / step) + 1):
        for i in range(int(w / step) + 1):
            x, y, ink = i * step, j * step, _pick(rng, colours)
            centre = np.array([x + step / 2, y + step / 2])
            if rng.random() < 0.7:
                cv2.rectangle(canvas, (int(x), int(y)), (int(x + step), int(y + step)), _pick(rng, colours), -1)
            kind, quarter = kinds[(i + j) % len(kinds)], int(rng.integers(4)) * np.pi / 2
            if kind == 0:
                _ellipse(canvas, centre, (0.42 * step, 0.42 * step), ink)
            elif kind == 1:
                spokes = quarter + np.array([0.25, 0.75, 1.25]) * np.pi
                _polygon(canvas, centre + 0.7 * step * np.stack([np.cos(spokes), np.sin(spokes)], 1), ink)
            elif kind == 2:
                _polygon(canvas, centre + 0.45 * step * np.array([(1, 0), (0, 1), (-1, 0), (0, -1)]), ink)
            elif kind == 3:
                for r in (0.45, 0.3, 0.15):
                    _ellipse(canvas, centre, (r * step, r * step), _pick(rng, colours))
            else:
                turn = np.linspace(0, np.pi / 2, 12) + quarter
                corner = centre + step / 2 * np.sqrt(2) * np.array(
                    [np.cos(quarter - 0.75 * np.pi), np.sin(quarter - 0.75 * np.pi)]
                )
                _stroke(canvas, corner + step / 2 * np.stack([np.cos(turn), np.sin(turn)], 1), ink, 0.2 * step)
    return canvas


MANNERS: dict[str, Callable[[Generator, tuple[int, int]], Pixels]] = {
    "geometry": _geometry,
    "landscape": _landscape,
    "portrait": _portrait,
    "grid": _grid,
    "still life": _still_life,
    "colour field": _colour_field,
    "poster": _poster,
    "seascape": _seascape,
    "facets": _facets,
    "points": _points_of_colour,
    "waves": _waves,
    "city": _city,
    "botany": _botany,
    "gestures": _gestures,
    "quilt": _quilt,
}
