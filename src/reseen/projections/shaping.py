"""Projections that shape vectors: power law, truncation, rotation-normalisation, and chains of any."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from reseen.errors import NotFitted
from reseen.projections.base import Dim, Projection, create_projection
from reseen.projections.linear import l2_rows, leading_axes
from reseen.projections.moments import block_rows, indexable
from reseen.types import Pairs, Vectors


class _Fixed(Projection):
    """A projection that learns nothing."""

    @property
    def fitted(self) -> bool:
        """Always."""
        return True

    def fit(self, X: Vectors | Iterable[Vectors], pairs: Pairs | None = None) -> Self:
        """Learns nothing."""
        return self

    def state(self) -> dict[str, NDArray[Any]]:
        """Empty."""
        return {}

    def load_state(self, state: dict[str, NDArray[Any]]) -> Self:
        """Takes nothing."""
        return self


class Power(_Fixed):
    """Power law ``sign(x) |x|^exponent``, then L2 (selective features, Section 4.4)."""

    kind = "power"

    def __init__(self, exponent: float = 0.5) -> None:
        self.exponent = exponent

    def settings(self) -> dict[str, Any]:
        """See :meth:`Projection.settings`."""
        return {"exponent": self.exponent}

    def transform(self, X: Vectors) -> Vectors:
        """See :meth:`Projection.transform`."""
        return l2_rows(np.sign(X) * np.abs(X) ** self.exponent)


class Truncate(_Fixed):
    """The first ``dim`` dimensions, then L2 (compact REMAP, Section III-E)."""

    kind = "truncate"

    def __init__(self, dim: int) -> None:
        self.dim = dim

    def settings(self) -> dict[str, Any]:
        """See :meth:`Projection.settings`."""
        return {"dim": self.dim}

    def transform(self, X: Vectors) -> Vectors:
        """See :meth:`Projection.transform`; ValueError when there are fewer dimensions."""
        if X.shape[1] < self.dim:
            raise ValueError(f"truncation to {self.dim} dimensions, but the vectors have {X.shape[1]}")
        return l2_rows(X[:, : self.dim])


class RN(Projection):
    """Rotation-normalisation (selective features, Section 4.4): rotate to the principal axes, without whitening.

    Args:
        directions: leading principal directions that are learned; the basis is completed to an orthonormal one
            (the published code takes 1024).
        seed: of the completion.
        dropped: leading directions that are left out of what comes out (selective features, Table 2: 128 after T-emb,
            d (d + 1) after F-FAemb).

    A ``power`` that follows it is the order of the published code (default of the recipes); a ``power``
    before a whitening ``pca`` is the order of the paper's Section 4.4.
    """

    kind = "rn"

    def __init__(self, directions: int = 1024, seed: int = 0, dropped: int = 0) -> None:
        self.directions, self.seed, self.dropped = directions, seed, dropped
        self.mean_: Vectors | None = None
        self.rotation_: Vectors | None = None

    def dim_out(self, dim_in: Dim) -> int | Dim:
        """See :meth:`Projection.dim_out`."""
        return dim_in if dim_in is None else dim_in - self.dropped

    def settings(self) -> dict[str, Any]:
        """See :meth:`Projection.settings`."""
        return {"directions": self.directions, "seed": self.seed, "dropped": self.dropped}

    def fit(self, X: Vectors | Iterable[Vectors], pairs: Pairs | None = None) -> Self:
        """See :meth:`Projection.fit`; fewer rows than directions leave a seeded completion.

        Raises:
            NotFitted: the rows span no direction beyond those that are dropped.
        """
        mean, leading = leading_axes(X, self.directions)
        d = len(mean)
        if not 0 <= self.dropped < d:
            raise ValueError(f"rn drops {self.dropped} directions, but the vectors have {d} dimensions")
        if self.dropped >= len(leading):
            raise NotFitted(
                f"rn drops {self.dropped} leading directions and these vectors span {len(leading)}: nothing would be "
                "left; learn from more photos"
            )
        basis = leading
        if len(leading) < d:
            noise = np.random.default_rng(self.seed).standard_normal((d, d - len(leading)))
            q, _ = np.linalg.qr(np.concatenate([leading.T, noise], axis=1))
            basis = np.concatenate([leading, q[:, len(leading) :].T])
        self.mean_, self.rotation_ = mean.astype(np.float32), basis[self.dropped :].astype(np.float32)
        return self

    def transform(self, X: Vectors) -> Vectors:
        """See :meth:`Projection.transform`."""
        if self.mean_ is None or self.rotation_ is None:
            raise NotFitted("projection 'rn' has not been fitted")
        return l2_rows((X - self.mean_) @ self.rotation_.T)

    def as_linear(self) -> tuple[Vectors, Vectors]:
        """See :meth:`Projection.as_linear`."""
        if self.mean_ is None or self.rotation_ is None:
            raise NotFitted("projection 'rn' has not been fitted")
        return self.rotation_, -(self.rotation_ @ self.mean_)

    def state(self) -> dict[str, NDArray[Any]]:
        """``mean (d,)`` and ``rotation (d - dropped, d)``; empty before :meth:`fit`."""
        if self.mean_ is None or self.rotation_ is None:
            return {}
        return {"mean": self.mean_, "rotation": self.rotation_}

    def load_state(self, state: dict[str, NDArray[Any]]) -> Self:
        """See :meth:`Projection.load_state`."""
        self.mean_, self.rotation_ = state["mean"], state["rotation"]
        return self


class Chain(Projection):
    """Projections one after the other; each is fitted on what those before it give.

    ``steps`` are projections, or tables ``{"kind": ..., settings}``.
    """

    kind = "chain"

    def __init__(self, steps: Sequence[Projection | Mapping[str, Any]]) -> None:
        self.steps = [
            step
            if isinstance(step, Projection)
            else create_projection(step["kind"], **{key: value for key, value in step.items() if key != "kind"})
            for step in steps
        ]
        self.needs = frozenset().union(*(step.needs for step in self.steps))

    def dim_out(self, dim_in: Dim) -> int | Dim:
        """See :meth:`Projection.dim_out`."""
        dim: int | Dim = dim_in
        for step in self.steps:
            dim = step.dim_out(dim)
        return dim

    @property
    def fitted(self) -> bool:
        """Whether every step is."""
        return all(step.fitted for step in self.steps)

    def settings(self) -> dict[str, Any]:
        """See :meth:`Projection.settings`."""
        return {"steps": [{"kind": step.kind, **step.settings()} for step in self.steps]}

    def fit(self, X: Vectors | Iterable[Vectors], pairs: Pairs | None = None) -> Self:
        """See :meth:`Projection.fit`."""
        rows = indexable(X)
        for i, step in enumerate(self.steps):
            step.fit(rows if i == 0 else self._passed(rows, i), pairs)
        return self

    def _passed(self, rows: Vectors, count: int) -> Iterator[Vectors]:
        """What the first ``count`` steps make of the rows, block by block."""
        size = block_rows(rows.shape[1])
        for start in range(0, len(rows), size):
            block = rows[start : start + size]
            for step in self.steps[:count]:
                block = step.transform(block)
            yield block

    def transform(self, X: Vectors) -> Vectors:
        """See :meth:`Projection.transform`."""
        for step in self.steps:
            X = step.transform(X)
        return X

    def state(self) -> dict[str, NDArray[Any]]:
        """Each step's state under ``INDEX.name``."""
        return {f"{i}.{name}": value for i, step in enumerate(self.steps) for name, value in step.state().items()}

    def load_state(self, state: dict[str, NDArray[Any]]) -> Self:
        """See :meth:`Projection.load_state`."""
        for i, step in enumerate(self.steps):
            own = {name.partition(".")[2]: v for name, v in state.items() if name.startswith(f"{i}.")}
            if own:
                step.load_state(own)
        return self
