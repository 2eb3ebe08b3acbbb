"""What every index is: from what is asked to the ids of the nearest photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from reseen.types import Ids, Vectors

Takes = Literal["vectors", "features"]
Allowed = Ids | NDArray[np.bool_]
"""The ids that may be found, or a mask ``(n,)`` over an index's rows."""

NOTHING = -1
"""Id where an index found fewer than k; its score is -inf."""


class Index(Protocol):
    """Photos by what was kept of them.

    :attr:`takes` says what that is, and what is asked with: ``vectors``, an array ``(q, d)`` float32; or ``features``,
    a sequence of :class:`reseen.local_features.LocalFeatures`, whose places an index may look at too.
    """

    takes: ClassVar[Takes]

    def __len__(self) -> int:
        """Photos."""

    def search(self, asked: Any, k: int, allowed: Allowed | None = None) -> tuple[Ids, Vectors]:
        """The best ``k`` photos of each of q queries: ids ``(q, k)`` and scores ``(q, k)`` float32, best first.

        There are fewer columns where fewer photos are allowed. A row that is short is filled with :data:`NOTHING`.

        Args:
            asked: as :attr:`takes` says.
            k: 1 or more.
            allowed: only these photos can be found; all of them when None.

        Raises:
            ValueError: k is below 1, or what is asked does not fit.
        """

    def add(self, ids: Ids, items: Any) -> None:
        """Add photos ``(n,)`` by ``items``, as :attr:`takes` says; those that are there already are replaced."""

    def remove(self, ids: Ids) -> None:
        """Take photos out; ids that are not there are left alone."""

    def save(self, folder: Path) -> None:
        """Write it into a folder, which is made."""

    @classmethod
    def open(cls, folder: Path) -> Self:
        """What :meth:`save` wrote."""

    @classmethod
    def of(cls, ids: Ids, items: Any) -> Self:
        """An index of these photos."""
