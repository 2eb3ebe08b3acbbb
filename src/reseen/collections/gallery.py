"""The instances of a collection: which reference photos show which object."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from reseen.collections import Collection, Row
from reseen.errors import CollectionError
from reseen.search.expansion import dba, instance_means
from reseen.types import Rows, Vectors

References = Literal["photos", "average", "ranked"]
"""What stands for an instance: each of its photos, their mean, or each photo mixed with its neighbours."""


@dataclass(frozen=True)
class Gallery:
    """Reference vectors by instance.

    Attributes:
        names: of the I instances, sorted.
        vectors: ``(n, d)`` float32 unit rows, those of one instance together.
        instance: ``(n,)`` int64, which instance each row shows; rises.
        rows: the collection's row of each vector; () once vectors stand for several photos.
    """

    names: tuple[str, ...]
    vectors: Vectors
    instance: Rows
    rows: tuple[Row, ...] = ()

    @classmethod
    def of(cls, collection: Collection, *, force: bool = False) -> Gallery:
        """The labelled photos of a collection; where no photo has a label each photo is an instance of its own.

        Args:
            collection: with at least one photo.
            force: let the same file stand under two labels.

        Raises:
            CollectionError: no photos, or one file has two labels (both are named).
        """
        rows = collection.photos()
        if not rows:
            raise CollectionError(f"{collection.folder}: holds no photos; add some with `reseen index`")
        labelled = [row for row in rows if row.label]
        if labelled and not force:
            refuse_twins(labelled)
        named = (
            [(row.label or "", row) for row in labelled] if labelled else list(zip(own_names(rows), rows, strict=True))
        )
        named.sort(key=lambda pair: (pair[0], pair[1].path, pair[1].name))
        names = sorted({name for name, _ in named})
        number = {name: i for i, name in enumerate(names)}
        return cls(
            tuple(names),
            collection.vectors_of([row.id for _, row in named]),
            np.array([number[name] for name, _ in named], np.int64),
            tuple(row for _, row in named),
        )

    @property
    def paths(self) -> tuple[bytes, ...]:
        """The file of each row; empty for uploads."""
        return tuple(row.path for row in self.rows)

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _starts(self) -> Rows:
        return np.searchsorted(self.instance, np.arange(len(self.names)))

    def similarities(self, queries: Vectors) -> Vectors:
        """Inner products of queries ``(q, d)`` with every reference: ``(q, n)``."""
        found: Vectors = queries @ self.vectors.T
        return found

    def scores(self, similarities: Vectors) -> Vectors:
        """The best similarity of each instance: ``(q, n)`` -> ``(q, I)``."""
        best: Vectors = np.maximum.reduceat(similarities, self._starts, axis=1)
        return best

    def speaking(self, similarities: Vectors, instance: int, most: int = 3) -> tuple[Row, ...]:
        """The reference photos of an instance that are most alike a query, whose ``similarities`` are ``(n,)``."""
        if not self.rows:
            return ()
        own = np.flatnonzero(self.instance == instance)
        return tuple(self.rows[i] for i in own[np.argsort(-similarities[own], kind="stable")][:most])

    def standing(self, references: References, k: int = 3) -> Gallery:
        """The same instances with other references; ``k`` neighbours of each photo for ``ranked``."""
        if references == "photos":
            return self
        if references == "average":
            return replace(
                self,
                vectors=instance_means(self.vectors, self.instance),
                instance=np.arange(len(self.names), dtype=np.int64),
                rows=(),
            )
        return replace(self, vectors=dba(self.vectors, k, "rank", labels=self.instance))


def own_names(rows: Sequence[Row]) -> list[str]:
    """A name for each photo without label: its file's stem, or its whole path where stems meet."""
    stems = [Path(os.fsdecode(row.path) if row.path else row.name).stem for row in rows]
    counts = {stem: stems.count(stem) for stem in set(stems)} if len(set(stems)) < len(stems) else {}
    return [row.name if counts.get(stem, 1) > 1 else stem for stem, row in zip(stems, rows, strict=True)]


def refuse_twins(rows: Sequence[Row]) -> None:
    """CollectionError when one file's contents stand under two labels."""
    seen: dict[str, Row] = {}
    for row in rows:
        other = seen.setdefault(row.sha256, row)
        if other.label != row.label:
            raise CollectionError(
                f"the same photo has two labels: {other.name} is {other.label!r}, {row.name} is {row.label!r}; "
                "correct one of them, or use --force to keep both"
            )


def couples(instance: Rows) -> Rows:
    """All pairs ``(p, 2)`` of different rows of one instance, each once."""
    found = [
        (a, b)
        for i in np.unique(instance)
        for a, b in itertools.combinations(np.flatnonzero(instance == i).tolist(), 2)
    ]
    return np.array(found, np.int64).reshape(-1, 2)
