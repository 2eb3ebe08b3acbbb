"""One version of a collection, for reading."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from reseen.collections.derived import Derived, StaleBlock
from reseen.collections.derived import problems as derived_problems
from reseen.collections.files import DAMAGED, Disk, sha256
from reseen.collections.manifest import Manifest, good_manifests, manifest_name, manifest_versions, read_manifest
from reseen.collections.table import Row, Table, without_seal
from reseen.errors import CollectionDamaged, CollectionError, ReseenError
from reseen.local_features import LocalFeatures
from reseen.types import Ids, Rows, Vectors

CHUNK = 512
"""Photos whose local features are read together."""


class Snapshot:
    """What one manifest names: it never changes, whatever is written meanwhile."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.files = Disk(folder)

    def __len__(self) -> int:
        return self.manifest.count

    @cached_property
    def table(self) -> Table:
        """The photos."""
        held = self.manifest
        return Table(self.files, held.table, held.table_version, held.table_manifest)

    @cached_property
    def rows(self) -> dict[int, Row]:
        """Every photo, by id."""
        with self._kept():
            return {row.id: row for row in self.table.rows()}

    def features(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Local features of photos, by id; photos without are left out.

        Raises:
            CollectionDamaged: those of a photo are not the ones that were stored.
        """
        rows = [self.rows[photo] for photo in ids if photo in self.rows]
        with self._kept():
            kept = self.table.features([row.id for row in rows])
            checked = {row.id: without_seal(row, kept.get(row.id)) for row in rows}
        return {photo: features for photo, features in checked.items() if features is not None}

    @contextlib.contextmanager
    def _kept(self) -> Iterator[None]:
        """Reading this version; CollectionError when it was compacted away meanwhile."""
        try:
            yield
        except CollectionDamaged:
            if manifest_name(self.manifest.version) in self.files.names():
                raise
            raise gone(self.folder, self.manifest.version) from None

    @cached_property
    def vectors(self) -> tuple[Ids, Vectors]:
        """Ids ``(n,)`` and vectors ``(n, dim)``, memory-mapped from files derived from the table."""
        with self._kept():
            return self._vectors()

    def _vectors(self) -> tuple[Ids, Vectors]:
        derived = self.derived("vectors")
        found = self._mapped(derived)
        if found is None:
            ids, vectors = self.table.vectors()
            if not derived.put(ids=ids, vectors=vectors):
                return ids, vectors
            found = self._mapped(derived) or (ids, vectors)
        return found

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

    def derived(self, kind: str, **settings: str | int) -> Derived:
        """Data of a kind that is made from this version's photos, with settings."""
        return Derived(self.files, kind, {**self._key, **settings})

    @property
    def _key(self) -> dict[str, str | int]:
        """What every derived array is bound to: exactly these rows, of this descriptor."""
        return {"table": self.table.digest, "fingerprint": self.manifest.fingerprint, "count": self.manifest.count}

    def take_vectors_of(self, before: Snapshot, ids: Ids | None = None, vectors: Vectors | None = None) -> None:
        """Use the derived vectors of the version before, and those of photos that were added; for the one writer.

        Args:
            before: it had the same vectors; where they are not derived, nothing is done.
            ids, vectors: ``(n,)`` and ``(n, dim)`` of the photos that were added.
        """
        if ids is None or vectors is None:
            ids, vectors = np.empty(0, np.int64), np.empty((0, self.manifest.dim), np.float32)
        before.derived("vectors").extended(self._key, ids=ids, vectors=vectors)

    def _mapped(self, derived: Derived) -> tuple[Ids, Vectors] | None:
        ids, vectors = derived.array("ids"), derived.array("vectors")
        if ids is None or vectors is None:
            return None
        shapes = (len(self),), (len(self), self.manifest.dim)
        if (ids.shape, vectors.shape) != shapes or ids.dtype != np.int64 or vectors.dtype != np.float32:
            return None
        try:
            return ids.whole(), vectors.whole()
        except StaleBlock:
            return None

    def blob(self, name: str) -> bytes | None:
        """Named bytes, or None; CollectionDamaged when they are not what was kept."""
        file = self.manifest.blobs.get(name)
        if file is None:
            return None
        with self._kept():
            data = self.files.read(file)
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
            self.files.size(name)

    def problems(self) -> list[str]:
        """Read everything; what is wrong, empty when all is sound."""
        problems = []
        try:
            rows = {row.id for row in self.table.rows()}
            ids = set(self.table.vectors()[0].tolist())
            if not len(rows) == len(ids) == len(rows | ids) == self.manifest.count:
                problems.append(f"{len(ids)} rows and {len(rows)} ids where {self.manifest.count} photos should be")
        except ReseenError as error:
            problems.append(f"{error}; index the photos into a new collection, or open an older version")
        else:
            problems += self._features_problems()
        for name, digest in self.manifest.descriptor_files.items():
            file = f"{self.manifest.descriptor}/{name}"
            try:
                sound = sha256(self.files.read(file)) == digest
            except CollectionDamaged:
                sound = False
            if not sound:
                problems.append(f"{self.folder / file}: is missing or was changed")
        for name in self.manifest.blobs:
            try:
                self.blob(name)
            except CollectionDamaged as error:
                problems.append(str(error))
        problems += derived_problems(self.files)
        problems += [
            f"{self.folder / DAMAGED / name}: was found damaged and set aside" for name in self.files.names(DAMAGED)
        ]
        return problems

    def _features_problems(self) -> list[str]:
        """Read all local features; what is wrong."""
        problems = []
        ids = [*self.rows] if self.manifest.local != "none" else []
        for start in range(0, len(ids), CHUNK):
            try:
                kept = self.table.features(ids[start : start + CHUNK])
            except ReseenError as error:
                problems.append(str(error))
                continue
            for photo in ids[start : start + CHUNK]:
                try:
                    features = without_seal(self.rows[photo], kept.get(photo))
                    if features is not None:
                        LocalFeatures.from_bytes(features)
                except CollectionDamaged as error:
                    problems.append(f"{self.table.folder}: {error}")
        return problems


def gone(folder: Path, version: int) -> CollectionError:
    """The error for a version that compact removed."""
    return CollectionError(f"{folder}: version {version} is no longer kept; open the collection again")


def open_snapshot(folder: Path, version: int | None = None) -> tuple[Snapshot, Sequence[str]]:
    """The newest version of a collection that is whole (or the one asked for), and the damage found on the way.

    Raises:
        CollectionError: there is no collection. CollectionDamaged: no version of it can be opened.
        CollectionUnreadable: it cannot be read now, which says nothing about what is stored.
    """
    files = Disk(folder)
    if version is not None and manifest_name(version) not in files.names():
        raise gone(folder, version)
    newest: list[int] = []
    while True:
        damage: list[str] = []
        for manifest in [read_manifest(files, version)] if version is not None else good_manifests(files, damage):
            snapshot = Snapshot(folder, manifest)
            try:
                snapshot.check()
            except CollectionDamaged as error:
                if manifest_name(manifest.version) in files.names():  # else it was compacted away while we looked
                    damage.append(f"version {manifest.version}: {error}")
                continue
            return snapshot, tuple(damage)
        found = manifest_versions(files)
        if found == newest or version is not None:
            break
        newest = found
    if damage:
        raise CollectionDamaged(f"{folder}: no good version is left ({damage[0]})")
    raise CollectionError(f"{folder}: is not a collection (it holds no manifest)")
