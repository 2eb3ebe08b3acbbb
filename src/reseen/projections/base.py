"""What every projection is: vectors in, vectors out, learned with ``fit``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

from numpy.typing import NDArray

from reseen.errors import PluginError, RecipeError
from reseen.registry import PROJECTIONS
from reseen.types import Pairs, Vectors

Dim = TypeVar("Dim", bound=int | None)


class Projection:
    """``fit`` learns, ``transform`` maps ``(n, d)`` float32 to ``(n, D)`` float32 with unit rows.

    No work is done in ``__init__``: it keeps the settings as attributes of the same names. Learned
    arrays end in ``_`` and are what ``state`` returns.
    """

    kind: ClassVar[str] = ""
    needs: frozenset[str] = frozenset()
    """What :meth:`fit` needs beside vectors: ``pairs``."""
    dim: int | None = None
    """Dimensions of its vectors; None for as many as those that come in."""

    def dim_out(self, dim_in: Dim) -> int | Dim:
        """Dimensions of what it makes of vectors of ``dim_in`` dimensions, fitted or not; None where not known."""
        return self.dim or dim_in

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


register = PROJECTIONS.register
"""Class decorator: make a projection available to recipes under its ``kind``."""


def create_projection(kind: str, **settings: Any) -> Projection:
    """A projection by its name; RecipeError when there is none such or a setting is unknown."""
    cls = PROJECTIONS.find(kind)
    if not issubclass(cls, Projection):
        raise PluginError(f"projection {kind!r}: {cls.__qualname__} is not a Projection")
    try:
        return cls(**settings)
    except TypeError as error:
        raise RecipeError(f"projection {kind!r}: {error}") from None
