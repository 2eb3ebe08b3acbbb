"""One version of a collection, for reading."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from reseen.collections.files import sha256
from reseen.collections.manifest import Manifest, good_manifests, read_manifest
from reseen.collections.table import Row, Table, checksum
from reseen.errors import CollectionDamaged, CollectionError, ReseenError
from reseen.types import Ids, Rows, Vectors


class Snapshot:
    """What one manifest names: it never changes, whatever is written meanwhile."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest

    def __len__(self) -> int:
        return self.manifest.count

    @cached_property
    def table(self) -> Table:
        """The photos."""
        return Table(self.folder / self.manifest.table, self.manifest.table_version)

    @cached_property
    def rows(self) -> dict[int, Row]:
        """Every photo, by id."""
        return {row.id: row for row in self.table.rows()}

    @cached_property
    def vectors(self) -> tuple[Ids, Vectors]:
        """Ids ``(n,)`` and vectors ``(n, dim)``, memory-mapped from files derived from the table."""
        ids, vectors = self._derived("ids"), self._derived("vectors")
        if (
            ids is None
            or vectors is None
            or ids.shape != (len(self),)
            or vectors.shape != (len(self), self.manifest.dim)
        ):
            ids, vectors = self.table.vectors()
            self._derive(ids, vectors)
        return ids, vectors

    @cached_property
    def _by_id(self) -> tuple[Ids, Rows]:
        """Ids in rising order, and the row of each."""
        ids = self.vectors[0]
        order = np.argsort(ids)
        return ids[order], order

    def vectors_of(self, ids: Sequence[int]) -> Vectors:
        """Vectors ``(n, dim)`` of photos by their ids, in that order; KeyError for one that is not there."""
        wanted = np.asarray(ids, np.int64)
        rising, rows = self._by_id
        places = np.searchsorted(rising, wanted)
        there = places < len(rising)
        there[there] = rising[places[there]] == wanted[there]
        if not there.all():
            raise KeyError(f"{wanted[~there][0]}: no such photo")
        return np.asarray(self.vectors[1][rows[places]])

    def _derived_path(self, what: str) -> Path:
        return self.folder / "derived" / f"{self.manifest.version:010d}-{self.manifest.fingerprint[:16]}-{what}.npy"

    def _derived(self, what: str) -> Any:
        try:
            return np.load(self._derived_path(what), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            return None

    def _derive(self, ids: Ids, vectors: Vectors) -> None:
        """Keep vectors for the next reader; a read-only or full disk is no reason to fail a search."""
        folder = self.folder / "derived"
        temporary = folder / f"{os.getpid()}.tmp"
        try:
            folder.mkdir(exist_ok=True)
            self.drop_older_derived()
            for what, values in (("vectors", vectors), ("ids", ids)):
                with temporary.open("wb") as file:
                    np.save(file, values, allow_pickle=False)
                temporary.replace(self._derived_path(what))
        except OSError:
            temporary.unlink(missing_ok=True)

    def drop_older_derived(self) -> None:
        """Remove the derived files of versions before this one."""
        for path in self.folder.glob("derived/*.npy"):
            if path.name[:10].isdigit() and int(path.name[:10]) < self.manifest.version:
                path.unlink(missing_ok=True)

    def blob(self, name: str) -> bytes | None:
        """Named bytes, or None; CollectionDamaged when they are not what was kept."""
        file = self.manifest.blobs.get(name)
        if file is None:
            return None
        try:
            data = (self.folder / file).read_bytes()
        except OSError as error:
            raise CollectionDamaged(f"{self.folder / file}: cannot be read ({error.strerror})") from None
        if not file.endswith(sha256(data)[:16]):
            raise CollectionDamaged(f"{self.folder / file}: its checksum is wrong")
        return data

    def check(self) -> None:
        """A quick look; CollectionDamaged when a part that the manifest names is not there."""
        if self.table.count() != self.manifest.count:
            raise CollectionDamaged(
                f"{self.table.folder}: holds {self.table.count()} photos, not {self.manifest.count}"
            )
        named = [
            *(f"{self.manifest.descriptor}/{name}" for name in self.manifest.descriptor_files),
            *self.manifest.blobs.values(),
        ]
        for name in named:
            if not (self.folder / name).is_file():
                raise CollectionDamaged(f"{self.folder / name}: is missing")

    def problems(self) -> list[str]:
        """Read everything; what is wrong, empty when all is sound."""
        try:
            rows = {row.id: row for row in self.table.rows()}
            ids, vectors = self.table.vectors()
        except ReseenError as error:
            return [str(error)]
        problems = []
        if len(rows) != len(ids) or len(ids) != self.manifest.count:
            problems.append(f"{len(ids)} rows and {len(rows)} ids where {self.manifest.count} photos should be")
        for photo, vector in zip(ids.tolist(), vectors, strict=True):
            if not np.isfinite(vector).all() or rows[photo].check != checksum(photo, vector):
                problems.append(f"photo {photo} ({rows[photo].name}): its vector is not the one that was stored")
        for name, digest in self.manifest.descriptor_files.items():
            path = self.folder / self.manifest.descriptor / name
            if not path.is_file() or sha256(path.read_bytes()) != digest:
                problems.append(f"{path}: is missing or was changed")
        for name in self.manifest.blobs:
            try:
                self.blob(name)
            except CollectionDamaged as error:
                problems.append(str(error))
        return problems


def open_snapshot(folder: Path, version: int | None = None) -> tuple[Snapshot, Sequence[str]]:
    """The newest version of a collection that is whole (or the one asked for), and the damage found on the way.

    Raises:
        CollectionError: there is no collection. CollectionDamaged: no version of it can be opened.
    """
    damage: list[str] = []
    for manifest in [read_manifest(folder, version)] if version is not None else good_manifests(folder, damage):
        snapshot = Snapshot(folder, manifest)
        try:
            snapshot.check()
        except CollectionDamaged as error:
            damage.append(f"version {manifest.version}: {error}")
            continue
        return snapshot, tuple(damage)
    if damage:
        raise CollectionDamaged(f"{folder}: no good version is left ({damage[0]})")
    raise CollectionError(f"{folder}: is not a collection (it holds no manifest)")
