"""A collection: photos, their vectors and the descriptor that made them, in one durable folder."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from reseen.collections.encoder import Encoder
from reseen.collections.locking import WriterLock
from reseen.collections.report import Report
from reseen.collections.storage import (
    Head,
    good_heads,
    head_path,
    head_versions,
    read_head,
    sha256,
    sync_tree,
    write_file,
    write_head,
)
from reseen.collections.table import Row, Table, Vectors, as_arrow, checksum
from reseen.errors import (
    CollectionDamaged,
    CollectionError,
    FingerprintMismatch,
    PhotoRejected,
    ReseenError,
)
from reseen.images import Box, Found, Photo, PhotoLike, display, load_photo, read_bytes, walk
from reseen.search import Hit, Ranking
from reseen.search.exact import ExactIndex
from reseen.search.local import LocalFeatures, RootSift
from reseen.search.rerank import Chain, Evidence, parse_chain

Ids = NDArray[np.int64]
PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]
Progress = Callable[[int, int], None]

BATCH = 128
"""Photos that are acknowledged together."""
GRACE_S = 3600.0
"""Seconds for which ``compact`` keeps what a reader of an older version may hold."""


@dataclass
class _Waiting:
    """A photo on its way into the collection."""

    row: Row
    data: PhotoLike
    known: bool


class Collection:
    """Use :meth:`create` or :meth:`open`. One writer at a time, many readers, each on one version."""

    def __init__(self, folder: Path, head: Head, encoder: Encoder | None, damage: Sequence[str] = ()) -> None:
        self.folder, self.head, self.damage = folder, head, tuple(damage)
        self._encoder = encoder
        self._synced: set[Path] = set()

    # -- open and create -----------------------------------------------------------------------------

    @classmethod
    def create(cls, path: PathLike, descriptor: Encoder, *, local: str = "none") -> Collection:
        """A new, empty collection in a folder that does not exist or is empty.

        Args:
            path: of the folder.
            descriptor: saved inside; every vector of the collection is made by it.
            local: local features to keep beside the vectors for re-ranking: ``none`` or ``sift``.

        Raises:
            CollectionError: there is something at ``path``, or it cannot be written.
        """
        folder = Path(os.path.abspath(os.fsdecode(path)))
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise CollectionError(f"{folder}: exists already; give a new folder, or open it")
        _extractor(local)
        dim = descriptor.dim
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with WriterLock(folder):
                name, files = _save_descriptor(folder, descriptor)
                table = Table.create(folder / "photos-1.lance", as_arrow([], np.empty((0, dim), np.float32), [], dim))
                sync_tree(folder, set())
                head = Head(
                    1,
                    table.folder.name,
                    table.version,
                    0,
                    dim,
                    descriptor.fingerprint,
                    descriptor.name,
                    name,
                    files,
                    local,
                )
                write_head(folder, head)
        except OSError as error:
            raise CollectionError(f"{folder}: cannot be written ({error.strerror or error})") from None
        return cls(folder, head, descriptor)

    @classmethod
    def open(cls, path: PathLike, descriptor: Encoder | None = None, *, version: int | None = None) -> Collection:
        """An existing collection, at its last good version.

        Args:
            path: of the folder.
            descriptor: instead of the one that is saved inside (which is loaded when it is first needed).
            version: an older one, of :meth:`versions`.

        What is damaged is named in :attr:`damage`, and the newest version before it is opened.

        Raises:
            CollectionError: there is no collection. CollectionDamaged: no version of it can be opened.
            FingerprintMismatch: ``descriptor`` is not the one that made the vectors.
        """
        folder = Path(os.path.abspath(os.fsdecode(path)))
        if not folder.is_dir():
            raise CollectionError(
                f"{folder}: there is no such collection; make one with `reseen index PHOTOS --to {folder}`"
            )
        damage: list[str] = []
        heads = [read_head(folder, version)] if version is not None else good_heads(folder, damage)
        for head in heads:
            collection = cls(folder, head, None, damage)
            try:
                collection._check()
            except CollectionDamaged as error:
                damage.append(f"version {head.version}: {error}")
                continue
            collection.damage = tuple(damage)
            if descriptor is not None:
                collection._require(descriptor)
                collection._encoder = descriptor
            return collection
        if damage:
            raise CollectionDamaged(f"{folder}: no good version is left ({damage[0]})")
        raise CollectionError(f"{folder}: is not a collection (it holds no head file)")

    def _check(self) -> None:
        """CollectionDamaged when a part this version names is not there."""
        if self._table.count() != self.head.count:
            raise CollectionDamaged(f"{self._table.folder}: holds {self._table.count()} photos, not {self.head.count}")
        for name in self.head.descriptor_files:
            if not (self.folder / self.head.descriptor / name).is_file():
                raise CollectionDamaged(f"{self.folder / self.head.descriptor / name}: is missing")
        for name in self.head.blobs.values():
            if not (self.folder / name).is_file():
                raise CollectionDamaged(f"{self.folder / name}: is missing")

    # -- what it holds -------------------------------------------------------------------------------

    @property
    def version(self) -> int:
        """The version that is read."""
        return self.head.version

    @property
    def fingerprint(self) -> str:
        """Of the descriptor that made the vectors."""
        return self.head.fingerprint

    def __len__(self) -> int:
        return self.head.count

    @cached_property
    def _table(self) -> Table:
        return Table(self.folder / self.head.table, self.head.table_version)

    @cached_property
    def _rows(self) -> dict[int, Row]:
        return {row.id: row for row in self._table.rows()}

    def photos(self) -> list[Row]:
        """Every photo, sorted by path and name."""
        return sorted(self._rows.values(), key=lambda row: (row.path, row.name))

    def labels(self) -> dict[int, str]:
        """Label of every labelled photo, by id."""
        return {row.id: row.label for row in self._rows.values() if row.label is not None}

    @cached_property
    def _vectors(self) -> tuple[Ids, Vectors]:
        ids, vectors = self._derived("ids"), self._derived("vectors")
        if ids is None or vectors is None or ids.shape != (len(self),) or vectors.shape != (len(self), self.head.dim):
            ids, vectors = self._table.vectors()
            self._derive(ids, vectors)
        return ids, vectors

    def vectors(self) -> tuple[Ids, Vectors]:
        """Ids ``(n,)`` int64 and vectors ``(n, dim)`` float32, memory-mapped from a file derived from the table."""
        return self._vectors

    def _cache(self, what: str) -> Path:
        return self.folder / "derived" / f"{self.version:010d}-{self.fingerprint[:16]}-{what}.npy"

    def _derived(self, what: str) -> Any:
        try:
            return np.load(self._cache(what), mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError):
            return None

    def _derive(self, ids: Ids, vectors: Vectors) -> None:
        """Keep vectors for the next reader; a read-only or full disk is no reason to fail a search."""
        folder = self.folder / "derived"
        try:
            folder.mkdir(exist_ok=True)
            for path in folder.glob("*.npy"):
                if int(path.name[:10]) < self.version:
                    path.unlink()
            for what, values in (("vectors", vectors), ("ids", ids)):
                temporary = folder / f"{os.getpid()}.tmp"
                with temporary.open("wb") as file:
                    np.save(file, values, allow_pickle=False)
                temporary.replace(self._cache(what))
        except (OSError, ValueError):
            for path in folder.glob(f"{os.getpid()}.tmp"):
                path.unlink(missing_ok=True)

    def features(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Local features of photos, by id; photos without are left out."""
        return self._table.features(ids) if ids else {}

    def info(self) -> dict[str, Any]:
        """Counts, sizes and the descriptor, JSON-able."""
        size = sum(p.stat().st_size for p in self.folder.rglob("*") if p.is_file())
        return {
            "path": str(self.folder),
            "photos": len(self),
            "labelled": len(self.labels()),
            "version": self.version,
            "recipe": self.head.recipe,
            "dim": self.head.dim,
            "fingerprint": self.fingerprint,
            "local": self.head.local,
            "bytes": size,
            "damage": [*self.damage],
        }

    def versions(self) -> Sequence[int]:
        """Versions that can still be opened, newest first."""
        return head_versions(self.folder)

    @property
    def encoder(self) -> Encoder:
        """The descriptor; loaded from the collection when it was not given.

        Raises:
            FingerprintMismatch: the saved descriptor is not the one that made the vectors.
        """
        if self._encoder is None:
            from reseen.descriptor import load

            loaded = load(self.folder / self.head.descriptor)
            self._require(loaded)
            self._encoder = loaded
        return self._encoder

    def _require(self, encoder: Encoder) -> None:
        if encoder.fingerprint != self.fingerprint:
            raise FingerprintMismatch(
                f"{self.folder}: its vectors were made by {self.head.recipe!r} ({self.fingerprint[:12]}), not by "
                f"{encoder.name!r} ({encoder.fingerprint[:12]}); index into a new collection, or leave the recipe out"
            )

    # -- searching -----------------------------------------------------------------------------------

    def search(self, query: PhotoLike, box: Box | None = None, k: int = 10, *, rerank: str = "auto") -> Ranking:
        """The ``k`` photos most alike what ``query`` (or the part of it in ``box``) shows, best first.

        ``rerank`` names stages that look at the first hits again (:func:`reseen.search.rerank.parse_chain`).

        Raises:
            PhotoRejected: the query cannot be used. ValueError: k is below 1. RerankError: ``rerank`` is not
            known, or needs local features that this collection does not keep.
        """
        chain = parse_chain(rerank, features=self.head.local != "none")
        vector = self.encoder.encode([query], boxes=[box])[0]
        name = display(query) if isinstance(query, str | os.PathLike) else "<photo>"
        ranking = self.search_vector(vector, max(k, chain.depth) if k > 0 else k, query=name, box=box)
        return chain(ranking, self._evidence(query, vector, chain)).top(k) if chain.stages else ranking

    def _evidence(self, query: PhotoLike, vector: Vectors, chain: Chain) -> Evidence:
        """What the stages of a chain may look at."""
        ids, stored = self._vectors
        rows = {int(photo): row for row, photo in enumerate(ids)}

        def vectors(wanted: Sequence[int]) -> Vectors:
            return np.asarray(stored[[rows[photo] for photo in wanted]])

        extract = _extractor(self.head.local)
        if "features" not in chain.needs or extract is None:
            return Evidence(vector, vectors)

        def features(wanted: Sequence[int]) -> list[LocalFeatures | None]:
            kept = self.features(wanted)
            return [LocalFeatures.from_bytes(kept[photo]) if photo in kept else None for photo in wanted]

        return Evidence(vector, vectors, LocalFeatures.from_bytes(extract(load_photo(query))), features)

    def search_vector(
        self, vector: Vectors, k: int = 10, *, query: str = "<vector>", box: Box | None = None
    ) -> Ranking:
        """The same for a vector ``(dim,)`` of this collection's descriptor; needs no network."""
        ids, vectors = self._vectors
        scores, found = ExactIndex(vectors, ids).search(vector[None], k)
        hits = []
        for rank, (score, photo) in enumerate(zip(scores[0], found[0], strict=True), 1):
            row = self._rows[int(photo)]
            hits.append(Hit(rank, row.id, row.name, float(score), row.label))
        return Ranking(query, box, tuple(hits), no_match=not hits)

    # -- changing ------------------------------------------------------------------------------------

    def add(
        self,
        *paths: PathLike,
        labels: Mapping[str, str] | None = None,
        label_from_folder: bool = False,
        progress: Progress | None = None,
    ) -> Report:
        """Index photos: files and folders (recursive). Photos that did not change are not read again.

        A photo that became unreadable keeps what the collection holds of it and is reported; files that are gone
        stay in the collection until they are removed.

        Args:
            paths: files and folders.
            labels: by path (see ``reseen.collections.read_labels``).
            label_from_folder: the name of each photo's folder is its label.
            progress: called with (photos done, photos in all).

        Raises:
            CollectionLocked: another process is writing. CollectionError: the disk is full, or cannot be
            written; what was acknowledged is safe, and the same call finishes the job.
        """
        with self._writing():
            return self._add(list(walk(paths)), labels or {}, label_from_folder, progress)

    def add_photos(self, photos: Iterable[tuple[str, PhotoLike]], *, labels: Mapping[str, str] | None = None) -> Report:
        """Index uploads: (name, photo) pairs, photos as bytes, PIL images or arrays; a name used before is updated."""
        with self._writing():
            report = Report(fingerprint=self.fingerprint)
            held = {row.name: row for row in self._rows.values() if not row.path}
            waiting: list[_Waiting] = []
            for name, photo in photos:
                digest = sha256(_bytes_of(photo))
                known = held.get(name)
                if known is not None and known.sha256 == digest:
                    report.unchanged += 1
                    continue
                photo_id = known.id if known else self._new_id(b"", os.fsencode(name), {w.row.id for w in waiting})
                label = (labels or {}).get(name, known.label if known else None)
                row = Row(photo_id, b"", b"", b"", name, digest, 0, 0, 0, 0, label, 0)
                waiting.append(_Waiting(row, photo, known is not None))
            self._ingest(iter(waiting), report, None, len(waiting))
            return report

    def _add(
        self, found: Sequence[Found], labels: Mapping[str, str], by_folder: bool, progress: Progress | None
    ) -> Report:
        report = Report(fingerprint=self.fingerprint, ignored=sum(item.ignored for item in found))
        photos = [item for item in found if not item.ignored]
        held = {row.path: row for row in self._rows.values() if row.path}
        relabelled: dict[int, str] = {}
        taken: set[int] = set()

        def changed() -> Iterator[_Waiting]:
            for item in photos:
                known = held.get(item.path)
                label = os.fsdecode(os.path.basename(os.path.dirname(item.path))) if by_folder else None
                label = labels.get(item.name, label)
                if label is None and known is not None:
                    label = known.label
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
                    if label != known.label and label is not None:
                        relabelled[known.id] = label
                    continue
                photo_id = known.id if known else self._new_id(item.source, item.relative, taken)
                taken.add(photo_id)
                size, mtime = status.st_size, status.st_mtime_ns
                row = Row(
                    photo_id, item.path, item.source, item.relative, item.name, digest, size, mtime, 0, 0, label, 0
                )
                yield _Waiting(row, data, known is not None)

        self._ingest(changed(), report, progress, len(photos))
        if relabelled:
            self._relabel(relabelled)
        return report

    def _ingest(self, waiting: Iterator[_Waiting], report: Report, progress: Progress | None, total: int) -> None:
        """Encode photos and acknowledge them batch by batch."""
        queue: list[_Waiting] = []

        def photos() -> Iterator[PhotoLike]:
            for item in waiting:
                queue.append(item)
                yield item.data
                item.data = b""

        extractor = _extractor(self.head.local)
        tasks = {"local": extractor} if extractor is not None else None
        ready: list[tuple[_Waiting, Vectors, bytes | None]] = []
        position = 0
        for encoded in self.encoder.stream(photos(), tasks=tasks):
            item, position = queue[0], position + 1
            del queue[0]
            if encoded.rejected is not None:
                report.rejected.append(PhotoRejected(item.row.name, encoded.rejected.reason))
            else:
                width, height = encoded.size
                row = replace(item.row, width=width, height=height, check=checksum(item.row.id, encoded.vector))
                ready.append((replace_row(item, row), encoded.vector, encoded.tasks.get("local")))
            if len(ready) >= BATCH:
                self._acknowledge(ready, report)
                ready = []
            if progress is not None:
                progress(report.unchanged + len(report.rejected) + report.added + report.updated + len(ready), total)
        self._acknowledge(ready, report)
        if progress is not None:
            progress(total, total)
        if self._table.files > 64:
            self._commit(self._table.compacted())

    def _acknowledge(self, ready: Sequence[tuple[_Waiting, Vectors, bytes | None]], report: Report) -> None:
        if not ready:
            return
        rows = [item.row for item, _, _ in ready]
        vectors = np.stack([vector for _, vector, _ in ready])
        if not np.isfinite(vectors).all():
            raise CollectionError(f"the descriptor {self.head.recipe!r} gave vectors that are not finite")
        contents = as_arrow(rows, vectors, [local for _, _, local in ready], self.head.dim)
        self._commit(self._table.changed([item.row.id for item, _, _ in ready if item.known], contents))
        updated = sum(item.known for item, _, _ in ready)
        report.updated += updated
        report.added += len(ready) - updated

    def _commit(self, table: Table, **changes: Any) -> None:
        """Make a table durable and acknowledge it as the next version."""
        table.sync(self._synced)
        head = self.head.next(table=table.folder.name, table_version=table.version, count=table.count(), **changes)
        try:
            write_head(self.folder, head)
        except OSError as error:
            raise CollectionError(
                f"{self.folder}: cannot be written ({error.strerror}); everything acknowledged is safe"
            ) from None
        self._turn_to(head)

    def _turn_to(self, head: Head) -> None:
        self.head = head
        for name in ("_table", "_rows", "_vectors"):
            self.__dict__.pop(name, None)

    def _new_id(self, source: bytes, relative: bytes, taken: set[int]) -> int:
        """A 63-bit hash of (source, relative path) that no other photo has."""
        for salt in range(1000):
            digest = hashlib.blake2b(b"%d\0%s\0%s" % (salt, source, relative), digest_size=8).digest()
            photo = int.from_bytes(digest) >> 1
            if photo not in self._rows and photo not in taken:
                return photo
        raise CollectionError("no free id was found")

    def remove(self, *photos: int | PathLike) -> int:
        """Remove photos by id, path, or folder; returns how many. CollectionError names one that is not there."""
        with self._writing():
            gone: set[int] = set()
            for given in photos:
                found = self._matching(given)
                if not found:
                    text = str(given) if isinstance(given, int) else display(given)
                    raise CollectionError(f"{text}: no such photo in {self.folder}; nothing was removed")
                gone |= found
            if gone:
                self._commit(self._table.changed(sorted(gone), None))
            return len(gone)

    def _matching(self, given: int | PathLike) -> set[int]:
        if isinstance(given, int):
            return {given} & set(self._rows)
        path = os.path.abspath(os.fsencode(given))
        inside = path + b"/"
        names = {os.fsdecode(given) if isinstance(given, bytes) else str(given)}
        return {
            row.id
            for row in self._rows.values()
            if (row.path and (row.path == path or row.path.startswith(inside))) or (not row.path and row.name in names)
        }

    def set_labels(self, labels: Mapping[int, str | None]) -> None:
        """Label photos by id; None takes a label away. CollectionError names an id that is not there."""
        with self._writing():
            unknown = [photo for photo in labels if photo not in self._rows]
            if unknown:
                raise CollectionError(f"{unknown[0]}: no such photo in {self.folder}; no label was changed")
            self._relabel(labels)

    def _relabel(self, labels: Mapping[int, str | None]) -> None:
        ids = [photo for photo, label in labels.items() if self._rows[photo].label != label]
        if not ids:
            return
        contents = self._table.full(ids)
        column = contents.schema.get_field_index("label")
        values = pa.array([labels[photo] for photo in contents["id"].to_pylist()], pa.string())
        contents = contents.set_column(column, contents.schema.field(column), values)
        self._commit(self._table.changed(ids, contents))

    def put_blob(self, name: str, data: bytes) -> None:
        """Keep named bytes (a threshold, say) with the collection, as its next version."""
        if not name.replace("-", "").replace("_", "").isalnum():
            raise ValueError(f"blob name {name!r} may hold letters, digits, - and _ only")
        with self._writing():
            file = f"blobs/{name}-{sha256(data)[:16]}"
            (self.folder / "blobs").mkdir(exist_ok=True)
            write_file(self.folder / file, data)
            sync_tree(self.folder / "blobs", set())
            head = self.head.next(blobs={**self.head.blobs, name: file})
            write_head(self.folder, head)
            self._turn_to(head)

    def get_blob(self, name: str) -> bytes | None:
        """Named bytes, or None; CollectionDamaged when they are not what was kept."""
        file = self.head.blobs.get(name)
        if file is None:
            return None
        try:
            data = (self.folder / file).read_bytes()
        except OSError as error:
            raise CollectionDamaged(f"{self.folder / file}: cannot be read ({error.strerror})") from None
        if not file.endswith(sha256(data)[:16]):
            raise CollectionDamaged(f"{self.folder / file}: its checksum is wrong")
        return data

    def replace_descriptor(self, descriptor: Encoder, ids: Ids, vectors: Vectors) -> None:
        """Swap the descriptor and every vector in one version.

        ``vectors (n, dim)`` are ``descriptor``'s, of the photos ``ids (n,)``: each photo of the collection once.
        """
        with self._writing():
            if set(ids.tolist()) != set(self._rows) or len(ids) != len(self):
                raise CollectionError("new vectors must be given for each photo of the collection, once")
            if vectors.shape != (len(ids), descriptor.dim) or not np.isfinite(vectors).all():
                raise ValueError(f"vectors must be finite and ({len(ids)}, {descriptor.dim})")
            rows = [replace(self._rows[int(i)], check=checksum(int(i), v)) for i, v in zip(ids, vectors, strict=True)]
            features = self.features([int(i) for i in ids])
            contents = as_arrow(rows, vectors, [features.get(row.id) for row in rows], descriptor.dim)
            name, files = _save_descriptor(self.folder, descriptor)
            number = 1 + int(self.head.table.removeprefix("photos-").removesuffix(".lance"))
            while (self.folder / f"photos-{number}.lance").exists():
                number += 1
            table = Table.create(self.folder / f"photos-{number}.lance", contents)
            self._encoder = descriptor
            self._commit(
                table,
                descriptor=name,
                descriptor_files=files,
                dim=descriptor.dim,
                fingerprint=descriptor.fingerprint,
                recipe=descriptor.name,
            )

    def compact(self, *, grace_s: float = GRACE_S) -> int:
        """Merge small files and remove what no version younger than ``grace_s`` needs; returns bytes freed."""
        with self._writing():
            before = int(self.info()["bytes"])
            if self._table.files > 1:
                self._commit(self._table.compacted())
            cut = time.time() - grace_s
            kept = [self.head]
            for version in head_versions(self.folder):
                path = head_path(self.folder, version)
                if version == self.version:
                    continue
                if path.stat().st_mtime < cut:
                    path.unlink()
                else:
                    kept += good_heads_of(self.folder, version)
            used = {name for head in kept for name in (head.table, head.descriptor, *head.blobs.values())}
            for place in [
                *self.folder.glob("photos-*.lance"),
                *self.folder.glob("descriptors/*"),
                *self.folder.glob("blobs/*"),
            ]:
                if place.relative_to(self.folder).as_posix() not in used:
                    shutil.rmtree(place) if place.is_dir() else place.unlink()
            self._table.clean(grace_s)
            for path in self.folder.glob("derived/*.npy"):
                if int(path.name[:10]) < self.version:
                    path.unlink()
            self._synced.clear()
            return before - int(self.info()["bytes"])

    def verify(self) -> list[str]:
        """Read everything; the list of problems, empty when the collection is sound."""
        problems = [*self.damage]
        try:
            rows = {row.id: row for row in self._table.rows()}
            ids, vectors = self._table.vectors()
        except ReseenError as error:
            return [*problems, str(error)]
        if len(rows) != len(ids) or len(ids) != self.head.count:
            problems.append(f"{len(ids)} rows and {len(rows)} ids where {self.head.count} photos should be")
        for photo, vector in zip(ids.tolist(), vectors, strict=True):
            if not np.isfinite(vector).all() or rows[photo].check != checksum(photo, vector):
                problems.append(f"photo {photo} ({rows[photo].name}): its vector is not the one that was stored")
        for name, digest in self.head.descriptor_files.items():
            path = self.folder / self.head.descriptor / name
            if not path.is_file() or sha256(path.read_bytes()) != digest:
                problems.append(f"{path}: is missing or was changed")
        for name in self.head.blobs:
            try:
                self.get_blob(name)
            except CollectionDamaged as error:
                problems.append(str(error))
        return problems

    def _writing(self) -> _Writing:
        return _Writing(self)


class _Writing:
    """The writer's lock; the collection is brought to its last good version when it is taken."""

    def __init__(self, collection: Collection) -> None:
        self.collection = collection
        self.lock = WriterLock(collection.folder)

    def __enter__(self) -> None:
        self.lock.__enter__()
        try:
            latest = Collection.open(self.collection.folder)
            if latest.version != self.collection.version:
                if latest.fingerprint != self.collection.fingerprint:
                    raise CollectionError(f"{latest.folder}: its descriptor was replaced meanwhile; open it again")
                self.collection._turn_to(latest.head)
            for version in head_versions(latest.folder):
                if version > latest.version:
                    head_path(latest.folder, version).unlink()
            self.collection._table.drop_unacknowledged()
        except BaseException:
            self.lock.__exit__(None, None, None)
            raise

    def __exit__(self, *error: object) -> None:
        self.lock.__exit__(None, None, None)


def replace_row(item: _Waiting, row: Row) -> _Waiting:
    """The same photo with its row completed; its bytes are let go."""
    return _Waiting(row, b"", item.known)


def good_heads_of(folder: Path, version: int) -> list[Head]:
    """The head of a version, when it can be read."""
    try:
        return [read_head(folder, version)]
    except CollectionDamaged:
        return []


def _save_descriptor(folder: Path, descriptor: Encoder) -> tuple[str, dict[str, str]]:
    """Save a descriptor under its fingerprint; its folder's name and the sha256 of each file."""
    name = f"descriptors/{descriptor.fingerprint[:16]}"
    (folder / "descriptors").mkdir(exist_ok=True)
    descriptor.save(folder / name)
    sync_tree(folder / "descriptors", set())
    return name, {path.name: sha256(path.read_bytes()) for path in sorted((folder / name).iterdir())}


def _extractor(local: str) -> Callable[[Photo], bytes] | None:
    """What makes the bytes of a photo's local features; CollectionError for a kind that does not exist."""
    if local == "none":
        return None
    if local != "sift":
        raise CollectionError(f"local features {local!r} are not known; use none or sift")
    sift = RootSift()
    return lambda photo: sift.extract(photo.pixels, photo.size).to_bytes()


def _bytes_of(photo: PhotoLike) -> bytes:
    """What tells one upload from another."""
    if isinstance(photo, bytes):
        return photo
    if isinstance(photo, str | os.PathLike):
        return read_bytes(photo)
    array = np.asarray(photo)
    return repr((array.shape, str(array.dtype))).encode() + np.ascontiguousarray(array).tobytes()
