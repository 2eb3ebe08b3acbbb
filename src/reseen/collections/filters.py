"""Which photos of a collection a search may find."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set

import numpy as np

from reseen.collections.table import Row
from reseen.types import Ids

Where = Callable[[Row], bool] | Set[int]
"""What says which photos may be found: a function of a photo's row, or ids."""


def allowed_ids(where: Where, rows: Mapping[int, Row]) -> Ids:
    """Ids of the photos that ``where`` lets through; every form that a filter may take is turned into ids here."""
    chosen: Iterable[int] = (photo for photo, row in rows.items() if where(row)) if callable(where) else where
    return np.fromiter(chosen, np.int64)
