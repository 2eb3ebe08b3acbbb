"""What every head is: feature maps in, one vector per photo out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.errors import PluginError, RecipeError
from reseen.registry import HEADS

T = TypeVar("T")
EPS = 1e-6


def l2(x: Tensor, dim: int = -1) -> Tensor:
    """``x`` divided by its L2 norm along ``dim``; zero vectors stay zero (gradients finite)."""
    unit: Tensor = x / x.norm(dim=dim, keepdim=True).clamp_min(EPS)
    return unit


class Material(Protocol):
    """Photos that a new head starts from (see :meth:`Head.initialise`)."""

    def pairs(
        self, look: Callable[[Sequence[Tensor]], Sequence[T] | None]
    ) -> Iterable[tuple[list[tuple[T, T]], list[tuple[T, T]]]]:
        """What ``look`` sees in photos that match, two by two, and in about as many that do not; some pairs at a time.

        ``look`` is called with the maps ``[(B, C_l, H_l, W_l)]`` of B photos and gives one value for each, or None to
        leave them out.
        """


class Head(nn.Module):
    """Feature maps of one or several layers -> one vector per photo.

    Args:
        channels: number of channels of each layer that is read, in the order the maps arrive.
        fc: when given, a trainable linear layer (shift + matrix) to ``fc`` dimensions after pooling.

    Subclasses set ``kind`` and implement :meth:`pool`, and :meth:`raw_dim_of` unless their vectors have as many
    dimensions as there are channels; their own settings are keyword arguments of ``__init__`` kept in
    ``self.options``. ``normalise`` tells whether pooled vectors are made unit length before ``fc``.
    """

    kind: ClassVar[str] = ""
    layers: ClassVar[int | None] = 1
    """How many layers it reads; None for any number."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """What it needs beside photos: ``labels`` where it is trained on the instances of a collection."""
    undecayed: ClassVar[frozenset[str]] = frozenset()
    """Names of its parameters that training's weight decay leaves alone, beside vectors and scalars."""
    photo_task: Callable[[NDArray[np.uint8]], Any] | None = None
    """Optional work on the pixels ``uint8 (H, W, 3)`` that the network will see, done in the decoding
    threads (SIFT keypoints, say); its results reach :meth:`valid_from`."""

    def __init__(self, channels: Sequence[int], *, fc: int | None = None, **options: Any) -> None:
        super().__init__()
        self.channels = tuple(int(c) for c in channels)
        if self.layers == 1 and len(self.channels) != 1:
            raise RecipeError(f"head {self.kind!r} reads one layer, not {len(self.channels)}")
        self.options: dict[str, Any] = {**options, **({"fc": fc} if fc else {})}
        self.normalise = True
        self.fc: nn.Linear | None = None
        self._fc_dim = fc

    def _add_fc(self) -> None:
        """Called at the end of a subclass's ``__init__``, once ``raw_dim`` is known."""
        if self._fc_dim:
            self.fc = nn.Linear(self.raw_dim, self._fc_dim)

    @classmethod
    def learns(cls, settings: Mapping[str, Any]) -> bool:
        """Whether a head with these settings has something to learn from photos by :meth:`fit`."""
        return False

    @classmethod
    def raw_dim_of(cls, settings: Mapping[str, Any], channels: Sequence[int]) -> int:
        """Dimensions of :meth:`pool`'s output with these settings (all of them); 0 where it depends on channels
        that are not known, which come as ``()``.
        """
        return sum(channels)

    @classmethod
    def dim_of(cls, settings: Mapping[str, Any], channels: Sequence[int] = ()) -> int | None:
        """Dimensions of the output of a head with these settings (all of them), found out without making it.

        None where they depend on the layers' ``channels`` and these are not known.
        """
        return settings.get("fc") or cls.raw_dim_of(settings, channels) or None

    @property
    def raw_dim(self) -> int:
        """Dimensions of :meth:`pool`'s output."""
        return self.raw_dim_of(self.options, self.channels)

    @property
    def dim(self) -> int:
        """Dimensions of the head's output."""
        return self._fc_dim or self.raw_dim

    @property
    def rules(self) -> int:
        """Grows when the same settings and learned values begin to mean other vectors; part of the fingerprint."""
        return 1

    @property
    def fitted(self) -> bool:
        """False while the head still has to learn a codebook with :meth:`fit`."""
        return True

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """Maps ``[(B, C_l, H_l, W_l)]`` -> ``(B, raw_dim)``, before the final normalisation.

        ``valid`` is ``(B, H, W)`` bool on the grid of the first map: False cells take no part.
        """
        raise NotImplementedError

    def forward(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """Maps of each layer -> L2-normalised vectors ``(B, dim)`` float32."""
        v = self.pool(maps, valid).float()
        if self.fc is None:
            return l2(v)
        return l2(self.fc(l2(v) if self.normalise else v))

    def valid_from(self, tasks: Sequence[Any], grid: tuple[int, int], size: tuple[int, int]) -> Tensor | None:
        """Results of :attr:`photo_task` for B photos -> mask ``(B, h, w)`` bool, or None for all cells.

        ``grid`` is ``(h, w)`` of the first map, ``size`` ``(H, W)`` of the network's input.
        """
        return None

    def constrain(self) -> None:
        """Bring parameters back into their range; called after every update of an optimiser."""

    def fit(self, maps: Iterable[tuple[Sequence[Tensor], Tensor | None]], *, seed: int = 0) -> Head:
        """Learn codebooks from a stream of ``(maps of one batch, valid)``; heads without any return self."""
        return self

    def initialise(self, material: Material, *, seed: int = 0) -> None:
        """Set what training starts from, beside what :meth:`fit` learns; a new head only, before its first update."""


register = HEADS.register
"""Class decorator: make a head available to recipes under its ``kind``."""


def create_head(kind: str, channels: Sequence[int], **options: Any) -> Head:
    """A head by its name, for layers of the given channels; RecipeError when there is none such."""
    cls = HEADS.find(kind)
    if not issubclass(cls, Head):
        raise PluginError(f"head {kind!r}: {cls.__qualname__} is not a Head")
    try:
        return cls(channels, **options)
    except TypeError as error:
        raise RecipeError(f"head {kind!r}: {error}") from None
