"""Types that every room shares: arrays, boxes, points, callbacks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""``(H, W, 3)`` RGB of an upright photo, 0..255."""
Vectors = NDArray[np.float32]
"""``(n, d)`` rows, of unit length where nothing else is said."""
Values = NDArray[np.float64]
"""Measures, coordinates, likelihoods: numbers that are computed in double precision."""
Ids = NDArray[np.int64]
"""``(n,)`` ids of photos: 63-bit hashes."""
Rows = NDArray[np.int64]
"""``(n,)`` row numbers."""
Pairs = NDArray[np.int64]
"""``(m, 2)`` rows that match each other."""
Box = tuple[float, float, float, float]
"""``(x0, y0, x1, y1)`` in pixels of the upright photo, ends exclusive."""
Point = tuple[float, float]
"""``(x, y)`` in pixels of the upright photo."""
Progress = Callable[[int, int], None]
"""Called with (done, all)."""
Cells = tuple[int, int, int, int]
"""``(x0, y0, x1, y1)`` in cells of a feature map, ends exclusive."""
FeatureMaps = tuple[NDArray[np.float32], ...]
"""``(C, h, w)`` of each layer, of one photo."""
