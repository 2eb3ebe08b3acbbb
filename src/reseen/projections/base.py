"""What every projection is: vectors in, vectors out, learned with ``fit``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from numpy.typing import NDArray

from reseen.errors import RecipeError
from reseen.types import Pairs, Vectors


class Projection:
    """``fit`` learns, ``transform`` maps ``(n, d)`` float32 to ``(n, D)`` float32 with unit rows.

    No work is done in ``__init__``: it keeps the settings as attributes of the same names. Learned
    arrays end in ``_`` and are what ``state`` returns.
    """

    kind: ClassVar[str] = ""

    def fit(self, X: Vectors | Iterable[Vectors], pairs: Pairs | None = None) -> Projection:
        """Learn from rows ``(n, d)`` (or a stream of such blocks); ``pairs (m, 2)`` index matching rows."""
        raise NotImplementedError

    def transform(self, X: Vectors) -> Vectors:
        """``(n, d)`` -> ``(n, D)``; NotFitted before :meth:`fit`."""
        raise NotImplementedError

    def as_linear(self) -> tuple[Vectors, Vectors]:
        """``(W (D, d), b (D,))`` with ``transform(x) = l2(W x + b)``; TypeError when it is not linear."""
        raise TypeError(f"{type(self).__name__} is not a linear layer")

    @property
    def fitted(self) -> bool:
        """Whether everything it learns has been learned (always, for those that learn nothing)."""
        return bool(self.state())

    def settings(self) -> dict[str, Any]:
        """Keyword arguments that make the same, unfitted projection."""
        raise NotImplementedError

    def state(self) -> dict[str, NDArray[Any]]:
        """Learned arrays by name, for safetensors."""
        raise NotImplementedError

    def load_state(self, state: dict[str, NDArray[Any]]) -> Projection:
        """Take learned arrays back; returns self."""
        raise NotImplementedError


PROJECTIONS: dict[str, type[Projection]] = {}


def register(cls: type[Projection]) -> type[Projection]:
    """Class decorator: make ``cls`` available to recipes under ``cls.kind``."""
    PROJECTIONS[cls.kind] = cls
    return cls


def create_projection(kind: str, **settings: Any) -> Projection:
    """A projection by its name; RecipeError when there is none such or a setting is unknown."""
    if kind not in PROJECTIONS:
        raise RecipeError(f"projection {kind!r} is not known; the known ones are {', '.join(sorted(PROJECTIONS))}")
    try:
        return PROJECTIONS[kind](**settings)
    except TypeError as error:
        raise RecipeError(f"projection {kind!r}: {error}") from None
