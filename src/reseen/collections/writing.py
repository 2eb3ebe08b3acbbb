"""Changing a collection: every change is a new version, acknowledged by its manifest."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from reseen.collections.creating import STRAYS
from reseen.collections.derived import drop_unused
from reseen.collections.descriptors import save_descriptor
from reseen.collections.files import DAMAGED, Disk, sha256, sync_folder, sync_name
from reseen.collections.labels import PathLike, join, require_text
from reseen.collections.local import extraction
from reseen.collections.locking import WriterLock
from reseen.collections.manifest import Manifest, manifest_name, manifest_versions, read_manifest, write_manifest
from reseen.collections.report import Report
from reseen.collections.snapshot import Snapshot, open_snapshot
from reseen.collections.table import Row, Table, as_arrow, features_are_sealed, sealed, with_seal
from reseen.encoder import Encoder
from reseen.errors import CollectionDamaged, CollectionError, PhotoRejected
from reseen.images import Found, Photo, PhotoLike, display, load_photo, ordered_map, read_bytes
from reseen.search.local import create_extractor
from reseen.types import Ids, Progress, Vectors

BATCH = 128
"""Photos that are acknowledged together, at most."""
INTERVAL_S = 5.0
"""Seconds after which the photos that are ready are acknowledged, however few they are."""
FILES = 64
"""Files of the table after which it is compacted."""


@contextlib.contextmanager
def writing(folder: Path, wait_s: float = 0.0, waiting: Callable[[str], None] | None = None) -> Iterator[Writer]:
    """Hold the writer's lock of a collection, which is first brought to its last good version.

    Args:
        folder: of the collection.
        wait_s: seconds for which another writer is waited for.
        waiting: called meanwhile with a line of text.

    Raises:
        CollectionLocked: another process is writing. CollectionError: it cannot be written.
    """
    files = Disk(folder)
    with WriterLock(files, wait_s, waiting):
        snapshot, damage = open_snapshot(folder)
        try:
            sync_folder(folder)  # a writer that died may have come as far as the name of the version that is read
            sync_name(folder)
            for version in manifest_versions(files):
                if version > snapshot.manifest.version:
                    files.set_aside(manifest_name(version))
            snapshot.table.drop_later(damaged=bool(damage))
            files.drop_temporary(("", "blobs", "derived", "descriptors"))
            yield Writer(snapshot)
        except OSError as error:
            raise CollectionError(
                f"{os.fsdecode(error.filename or folder)}: cannot be written ({error.strerror or error}); "
                "everything acknowledged is safe"
            ) from None


@dataclass
class _Waiting:
    """A photo on its way into the collection; its data is let go once it is decoded."""

    row: Row
    data: PhotoLike
    known: bool


@dataclass(frozen=True)
class _Ready:
    """A photo that can be acknowledged."""

    row: Row
    vector: Vectors
    features: bytes | None
    known: bool


class Writer:
    """Changes a collection, one acknowledged version after the other; made by :func:`writing`.

    Attributes:
        snapshot: the version that was acknowledged last.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._folder, self._files = snapshot.folder, snapshot.files
        self._synced: set[Path] = set()

    def add(
        self,
        encoder: Encoder,
        found: Sequence[Found],
        labels: Mapping[PathLike, str] | Mapping[str, str],
        label_from_folder: bool,
        progress: Progress | None,
    ) -> Report:
        """Index files; those that did not change are not read again."""
        for text in labels.values():
            require_text(text, "labels")
        report = Report(fingerprint=encoder.fingerprint, ignored=sum(item.ignored for item in found))
        photos = [item for item in found if not item.ignored]
        held = {row.path: row for row in self.snapshot.rows.values() if row.path}
        taken = set(self.snapshot.rows)
        relabelled: dict[int, str | None] = {}
        named = join(labels, [item.path for item in photos]).labels

        def changed() -> Iterator[_Waiting]:
            for item in photos:
                known = held.get(item.path)
                folder = display(item.folder) if label_from_folder and item.folder else None
                given = named.get(item.path, folder)
                try:
                    status = os.stat(item.path)
                    same = known is not None and (known.bytes, known.mtime_ns) == (status.st_size, status.st_mtime_ns)
                    data = b"" if same else read_bytes(item.path)
                except (PhotoRejected, OSError) as error:
                    reason = error.reason if isinstance(error, PhotoRejected) else str(error.strerror)
                    report.rejected.append(PhotoRejected(item.name, reason))
                    continue
                digest = known.sha256 if known is not None and same else sha256(data)
                if known is not None and digest == known.sha256:
                    report.unchanged += 1
                    if given is not None and (given or None) != known.label:
                        relabelled[known.id] = given or None
                    continue
                photo = known.id if known else _new_id(item.source, item.relative, taken)
                label = (given or None) if given is not None or known is None else known.label
                row = Row(
                    id=photo,
                    path=item.path,
                    source=item.source,
                    relative=item.relative,
                    name=item.name,
                    sha256=digest,
                    bytes=status.st_size,
                    mtime_ns=status.st_mtime_ns,
                    label=label,
                )
                yield _Waiting(row, data, known is not None)

        self._ingest(encoder, changed(), report, progress, len(photos))
        self._relabel(relabelled)
        return report

    def add_photos(
        self, encoder: Encoder, photos: Iterable[tuple[str, PhotoLike]], labels: Mapping[str, str]
    ) -> Report:
        """Index uploads by name; a name that was used before is updated."""
        report = Report(fingerprint=encoder.fingerprint)
        held = {row.name: row for row in self.snapshot.rows.values() if not row.path}
        taken = set(self.snapshot.rows)
        waiting: list[_Waiting] = []
        for text in labels.values():
            require_text(text, "labels")
        for name, photo in photos:
            require_text(name, "an upload's name")
            digest = sha256(_bytes_of(photo))
            known = held.get(name)
            if known is not None and known.sha256 == digest:
                report.unchanged += 1
                continue
            photo_id = known.id if known else _new_id(b"", os.fsencode(name), taken)
            label = labels.get(name, known.label if known else None)
            row = Row(id=photo_id, name=name, sha256=digest, label=label)
            waiting.append(_Waiting(row, photo, known is not None))
        self._ingest(encoder, iter(waiting), report, None, len(waiting))
        return report

    def _ingest(
        self, encoder: Encoder, waiting: Iterator[_Waiting], report: Report, progress: Progress | None, total: int
    ) -> None:
        """Encode photos and acknowledge them batch by batch."""
        queue: list[_Waiting] = []

        def photos() -> Iterator[PhotoLike]:
            for item in waiting:
                queue.append(item)
                yield item.data
                item.data = b""

        local = self.snapshot.manifest.local
        extractor = create_extractor(local) if local != "none" else None
        tasks = {"local": extraction(extractor)} if extractor is not None else None
        ready: list[_Ready] = []
        acknowledged = time.monotonic()
        for encoded in encoder.stream(photos(), tasks=tasks, at_least=extractor.side if extractor is not None else 0):
            item = queue.pop(0)
            if encoded.vector is None:
                reason = encoded.rejected.reason if encoded.rejected is not None else "gave no vector"
                report.rejected.append(PhotoRejected(item.row.name, reason))
            else:
                width, height = encoded.size
                features = encoded.tasks.get("local")
                row = replace(item.row, width=width, height=height)
                row = sealed(row, encoded.vector, features=features is not None)
                ready.append(_Ready(row, encoded.vector, features, item.known))
            if len(ready) >= BATCH or time.monotonic() - acknowledged >= INTERVAL_S:
                self._acknowledge(ready, report)
                ready, acknowledged = [], time.monotonic()
            if progress is not None:
                progress(report.unchanged + len(report.rejected) + report.added + report.updated + len(ready), total)
        self._acknowledge(ready, report)
        if progress is not None:
            progress(total, total)
        if self.snapshot.table.fragments > FILES:
            self._compact()

    def _acknowledge(self, ready: Sequence[_Ready], report: Report) -> None:
        if not ready:
            return
        vectors = np.stack([photo.vector for photo in ready])
        if not np.isfinite(vectors).all():
            raise CollectionError(f"the descriptor {self.snapshot.manifest.recipe!r} gave vectors that are not finite")
        features = [None if photo.features is None else with_seal(photo.row.id, photo.features) for photo in ready]
        contents = as_arrow([photo.row for photo in ready], vectors, features, self.snapshot.manifest.dim)
        known = [photo.row.id for photo in ready if photo.known]
        before = self.snapshot
        self._commit(before.table.changed(known, contents))
        if not known:
            self.snapshot.take_vectors_of(before, np.array([photo.row.id for photo in ready], np.int64), vectors)
        report.updated += len(known)
        report.added += len(ready) - len(known)

    def fill_local(self, local: str, progress: Progress | None) -> Report:
        """Local features of the photos that lack them, batch by batch; vectors and ids stay."""
        report = Report(fingerprint=self.snapshot.manifest.fingerprint)
        if self.snapshot.manifest.local != local:
            self._turn_to(self.snapshot.manifest.next(local=local))
        extractor = create_extractor(local)
        rows = [self.snapshot.rows[photo] for photo in self.snapshot.table.without_features()]

        def extracted(row: Row) -> bytes | PhotoRejected:
            try:
                data = read_bytes(row.path) if row.path else b""
                if sha256(data) != row.sha256:
                    reason = "changed since it was indexed" if row.path else "an upload: give it again"
                    return PhotoRejected(row.name, reason)
                photo = load_photo(data, at_least=extractor.side)
            except (PhotoRejected, OSError) as error:
                return PhotoRejected(row.name, getattr(error, "reason", None) or str(error))
            return extraction(extractor)(photo)

        ready: dict[int, bytes] = {}
        for number, (row, found) in enumerate(
            zip(rows, ordered_map(extracted, rows, workers=os.cpu_count() or 1), strict=True), 1
        ):
            if isinstance(found, PhotoRejected):
                report.rejected.append(found)
            else:
                ready[row.id] = found
            if len(ready) >= BATCH or (ready and number == len(rows)):
                self._rewrite({photo: self.snapshot.rows[photo] for photo in ready}, [], ready)
                report.filled += len(ready)
                ready = {}
            if progress is not None:
                progress(number, len(rows))
        return report

    def move(self, moved: Sequence[tuple[Row, Found]]) -> None:
        """Give photos another path; everything else of them stays, so that they are not encoded again."""
        if not moved:
            return
        fresh = {}
        for row, item in moved:
            status = os.stat(item.path)
            fresh[row.id] = replace(
                row,
                path=item.path,
                source=item.source,
                relative=item.relative,
                name=item.name,
                mtime_ns=status.st_mtime_ns,
            )
        self._rewrite(fresh, ["path", "source", "relative", "name", "mtime_ns"])

    def remove(self, ids: Iterable[int]) -> None:
        """Remove photos, with their vectors and features."""
        gone = sorted(ids)
        if gone:
            self._commit(self.snapshot.table.changed(gone, None))

    def set_labels(self, labels: Mapping[int, str | None]) -> None:
        """Label photos; CollectionError names an id that is not there."""
        unknown = [photo for photo in labels if photo not in self.snapshot.rows]
        if unknown:
            raise CollectionError(f"{unknown[0]}: no such photo in {self._folder}; no label was changed")
        for text in labels.values():
            require_text(text or "", "labels")
        self._relabel(labels)

    def _relabel(self, labels: Mapping[int, str | None]) -> None:
        if not labels:
            return
        ids = [photo for photo, label in labels.items() if self.snapshot.rows[photo].label != label]
        if not ids:
            return
        self._rewrite({photo: replace(self.snapshot.rows[photo], label=labels[photo]) for photo in ids}, ["label"])

    def _rewrite(
        self, rows: Mapping[int, Row], names: Sequence[str], features: Mapping[int, bytes] | None = None
    ) -> None:
        """Change fields of photos, by id; their vectors stay, and their features where no new ones are given."""
        contents = self.snapshot.table.full([*rows])
        ids = contents["id"].to_pylist()
        fresh = [
            sealed(rows[i], features=features is not None or features_are_sealed(self.snapshot.rows[i])) for i in ids
        ]
        columns: dict[str, list[Any]] = {name: [getattr(row, name) for row in fresh] for name in (*names, "check")}
        if features is not None:
            columns["features"] = [with_seal(i, features[i]) for i in ids]
        for name, values in columns.items():
            column = contents.schema.get_field_index(name)
            kind = contents.schema.field(column)
            contents = contents.set_column(column, kind, pa.array(values, kind.type))
        before = self.snapshot
        self._commit(before.table.changed([*rows], contents))
        self.snapshot.take_vectors_of(before)

    def put_blob(self, name: str, data: bytes) -> None:
        """Keep named bytes. ValueError when the name holds other than letters, digits, - and _."""
        if not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"blob name {name!r} may hold letters, digits, - and _ only")
        file = f"blobs/{name}-{sha256(data)[:16]}"
        self._files.make_folder("blobs")
        self._files.write(file, data)
        sync_folder(self._folder)
        self._turn_to(self.snapshot.manifest.next(blobs={**self.snapshot.manifest.blobs, name: file}))

    def replace_descriptor(self, descriptor: Encoder, ids: Ids, vectors: Vectors) -> None:
        """Swap the descriptor and the vectors of all photos in one version."""
        rows = self.snapshot.rows
        if set(ids.tolist()) != set(rows) or len(ids) != len(rows):
            raise CollectionError("new vectors must be given for each photo of the collection, once")
        if vectors.shape != (len(ids), descriptor.dim) or not np.isfinite(vectors).all():
            raise ValueError(f"vectors must be finite and ({len(ids)}, {descriptor.dim})")
        features = {photo: with_seal(photo, kept) for photo, kept in self.snapshot.features(ids.tolist()).items()}
        fresh = [
            sealed(rows[photo], vector, features=photo in features)
            for photo, vector in zip(ids.tolist(), vectors, strict=True)
        ]
        contents = as_arrow(fresh, vectors, [features.get(row.id) for row in fresh], descriptor.dim)
        number = 1 + int(self.snapshot.manifest.table.removeprefix("photos-").removesuffix(".lance"))
        while (self._folder / f"photos-{number}.lance").exists():
            number += 1
        saved = save_descriptor(self._files, descriptor)
        self._commit(Table.create(self._files, f"photos-{number}.lance", contents), **saved)

    def go_back(self, version: int) -> None:
        """Take an older version's contents as the next version."""
        before, damage = open_snapshot(self._folder, version)
        if before.manifest.table == self.snapshot.manifest.table:
            raise CollectionError(
                f"{self._folder}: version {version} has the descriptor of the newest; "
                "only a change of the descriptor is taken back"
            )
        problems = [*damage, *before.problems()]
        if problems:
            raise CollectionError(f"{self._folder}: version {version} is not whole: {problems[0]}")
        manifest = self.snapshot.manifest
        self._turn_to(msgspec.structs.replace(before.manifest, version=manifest.version + 1))

    def compact(self, grace_s: float) -> None:
        """Merge small files and remove versions that were superseded more than ``grace_s`` ago."""
        if self.snapshot.table.fragments > 1:
            self._compact()
        kept = [self.snapshot.manifest]
        limit = time.time() - grace_s
        for version, superseded in self._superseded():
            if superseded <= limit:
                self._files.remove(manifest_name(version))
                continue
            with contextlib.suppress(CollectionDamaged):
                kept.append(read_manifest(self._files, version))
        used = {name for manifest in kept for name in (manifest.table, manifest.descriptor, *manifest.blobs.values())}
        for folder in ("", "descriptors", "blobs"):
            for name in self._files.names(folder):
                full = f"{folder}/{name}" if folder else name
                if (folder or name.startswith("photos-")) and full not in used and name not in STRAYS:
                    self._files.remove(full)
        versions = {manifest.table_version for manifest in kept if manifest.table == self.snapshot.table.name}
        nothing_aside = not self._files.names(DAMAGED)
        self.snapshot.table.clean(versions, unverified=grace_s <= 0 and nothing_aside)
        drop_unused(self._files, {manifest.table_manifest for manifest in kept})
        self._synced.clear()

    def _compact(self) -> None:
        """The same photos in fewer files."""
        before = self.snapshot
        self._commit(before.table.compacted())
        self.snapshot.take_vectors_of(before)

    def _superseded(self) -> Iterator[tuple[int, float]]:
        """Older versions, and when the one after each was acknowledged, in seconds since 1970."""
        after = self._files.time(manifest_name(self.snapshot.manifest.version)) or time.time()
        for version in manifest_versions(self._files):
            if version < self.snapshot.manifest.version:
                yield version, after
                after = self._files.time(manifest_name(version)) or after

    def _commit(self, table: Table, **changes: Any) -> None:
        """Make a table durable and acknowledge it."""
        table.sync(self._synced)
        count = table.count()
        self._turn_to(
            self.snapshot.manifest.next(
                table=table.name,
                table_version=table.version,
                table_manifest=table.digest,
                count=count,
                **changes,
            )
        )

    def _turn_to(self, manifest: Manifest) -> None:
        write_manifest(self._files, manifest)
        self.snapshot = Snapshot(self._folder, manifest)


def _new_id(source: bytes, relative: bytes, taken: set[int]) -> int:
    """A 63-bit hash of (source, relative path) that is not yet ``taken``, and now is."""
    for salt in range(1000):
        digest = hashlib.blake2b(b"%d\0%s\0%s" % (salt, source, relative), digest_size=8).digest()
        photo = int.from_bytes(digest) >> 1
        if photo not in taken:
            taken.add(photo)
            return photo
    raise CollectionError(f"{display(relative)}: no free id was found")


def _bytes_of(photo: PhotoLike) -> bytes:
    """What tells one upload from another."""
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, str | os.PathLike):
        return read_bytes(photo)
    array = np.asarray(photo.pixels if isinstance(photo, Photo) else photo)
    return repr((array.shape, str(array.dtype))).encode() + np.ascontiguousarray(array).tobytes()
