"""The photos of a collection as a Lance table: what is true."""

from __future__ import annotations

import contextlib
import errno
import gc
import hashlib
import re
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from datetime import timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa
import xxhash

from reseen.collections.files import ABSENT, PAUSES, Disk, plain, sha256, sync_folder, sync_tree
from reseen.errors import CollectionDamaged, CollectionError, CollectionUnreadable
from reseen.types import Ids, Vectors

warnings.filterwarnings("ignore", message="lance is not fork-safe")  # nothing here uses it in a forked child

LISTED = 20_000
"""Ids of photos that one statement names."""

_LAST = 2**64 - 1
_MANIFEST = re.compile(r"([0-9]{1,20})\.manifest", re.ASCII)


def _column(kind: pa.DataType, *, nullable: bool = True, default: Any = MISSING) -> Any:
    """A field of :class:`Row` and the column that keeps it."""
    return field(default=default, metadata={"kind": kind, "nullable": nullable})


@dataclass(frozen=True, kw_only=True)
class Row:
    """One photo of a collection; each field is a column of the table.

    Attributes:
        id: a 63-bit hash.
        path, source, relative: bytes (names need not be UTF-8), empty for uploads.
        name: display text.
        sha256, bytes, mtime_ns: of the file, 0 bytes for uploads.
        width, height: of the upright photo.
        label: of what it shows.
        check: guards the row and its vector, and says whether its local features have a seal; see :func:`sealed`.
    """

    id: int = _column(pa.int64(), nullable=False)
    path: bytes = _column(pa.large_binary(), default=b"")
    source: bytes = _column(pa.large_binary(), default=b"")
    relative: bytes = _column(pa.large_binary(), default=b"")
    name: str = _column(pa.string())
    sha256: str = _column(pa.string())
    bytes: int = _column(pa.int64(), default=0)
    mtime_ns: int = _column(pa.int64(), default=0)
    width: int = _column(pa.int32(), default=0)
    height: int = _column(pa.int32(), default=0)
    label: str | None = _column(pa.string(), default=None)
    check: int = _column(pa.int64(), default=0)


ROW_COLUMNS = [column.name for column in fields(Row)]
GUARDED = ROW_COLUMNS[:-1]
"""All but the check itself."""
_guarded = attrgetter(*GUARDED)


def checksum(photo: int, vector: Vectors) -> int:
    """A 63-bit hash of a photo's id and vector."""
    digest = hashlib.blake2b(np.ascontiguousarray(vector, np.float32).tobytes(), digest_size=8, salt=photo.to_bytes(8))
    return int.from_bytes(digest.digest()) >> 1


def sealed(row: Row, vector: Vectors | None = None, *, features: bool = False) -> Row:
    """A row with its check: 31 bits of its vector's :func:`checksum` (kept, without one), and 32 of everything else.

    It is below zero; rows of earlier collections carry the checksum itself, which guards the vector only.

    Args:
        row: of a photo.
        vector: of the photo; without one the row's check must be of it.
        features: its local features are kept :func:`with_seal`, and must be there.
    """
    bits = checksum(row.id, vector) >> 32 if vector is not None else row.check >> 32 & _VECTOR
    return replace(row, check=(bits << 32 | _row_bits(_told(_guarded(row)), features)) - (1 << 63))


def features_are_sealed(row: Row) -> bool:
    """Whether a row says that its photo's local features are kept :func:`with_seal`."""
    return row.check < 0 and row.check & _ROW == _row_bits(_told(_guarded(row)), True)


def with_seal(photo: int, features: bytes) -> bytes:
    """Local features as the table keeps them: before a hash of the photo's id and theirs."""
    return features + xxhash.xxh3_64_digest(features, photo)


def without_seal(row: Row, kept: bytes | None) -> bytes | None:
    """Local features as they were given; those of earlier collections have no seal.

    Raises:
        CollectionDamaged: they are not the ones that were stored.
    """
    if not features_are_sealed(row):
        return kept
    if kept is None or with_seal(row.id, kept[:-8]) != kept:
        raise CollectionDamaged(
            f"{row.name}: its local features are not the ones that were stored; remove the photo and index it again"
        )
    return kept[:-8]


def vector_is_sound(photo: int, check: int, vector: Vectors) -> bool:
    """Whether a photo's vector is the one that was stored."""
    found = checksum(photo, vector)
    return bool(np.isfinite(vector).all()) and (check == found if check >= 0 else check >> 32 & _VECTOR == found >> 32)


def _told(values: tuple[Any, ...]) -> bytes:
    """All of a row that its check guards, in the order of :data:`GUARDED`."""
    return repr(values).encode("utf-8", "surrogatepass")


def _row_bits(told: bytes, features: bool) -> int:
    return xxhash.xxh32_intdigest(told, features)


_VECTOR, _ROW = 2**31 - 1, 2**32 - 1


def schema(dim: int) -> pa.Schema:
    """Columns of the table: those of :class:`Row`, local features and the vector."""
    columns = [pa.field(f.name, f.metadata["kind"], nullable=f.metadata["nullable"]) for f in fields(Row)]
    features, vector = pa.field("features", pa.large_binary()), pa.field("vector", pa.list_(pa.float32(), dim))
    return pa.schema([*columns, features, vector])


def as_arrow(rows: Sequence[Row], vectors: Vectors, features: Sequence[bytes | None], dim: int) -> pa.Table:
    """Rows, their vectors ``(n, dim)`` and local features as one table."""
    columns: dict[str, Any] = {name: [getattr(row, name) for row in rows] for name in ROW_COLUMNS}
    columns["features"] = list(features)
    flat = pa.array(np.ascontiguousarray(vectors, np.float32).ravel(), pa.float32())
    columns["vector"] = pa.FixedSizeListArray.from_arrays(flat, dim)
    return pa.table(columns, schema=schema(dim))


@contextlib.contextmanager
def explained(action: str) -> Iterator[None]:
    """Lance's and the system's errors as one line of our own.

    Raises:
        CollectionUnreadable: a passing error of the system. CollectionDamaged: what is stored is missing or does not
        parse. CollectionError: the disk is full, or may not be used.
    """
    try:
        yield
    except CollectionError:
        raise
    except BaseException as error:  # a panic of the table's own code is no Exception
        panic = type(error).__name__ == "PanicException"
        if not panic and not isinstance(error, OSError | ValueError | RuntimeError | TypeError):
            raise
        text = (str(error).splitlines() or [type(error).__name__])[0][:300]
        if "nterrupted" in text and not isinstance(error, FileNotFoundError):
            raise KeyboardInterrupt from None  # Ctrl-C reached the table's own code first
        code = _code(error)
        if code in FULL or "No space left" in text:
            raise CollectionError(f"the disk is full while {action}; everything acknowledged is safe") from None
        if code in DENIED or "Permission denied" in text:
            raise CollectionError(f"no permission while {action}") from None
        if code is not None and code not in ABSENT:
            raise CollectionUnreadable(f"failed while {action}: {text}; nothing was changed, try again") from None
        raise CollectionDamaged(f"failed while {action}: {text}") from None


FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def _code(error: BaseException) -> int | None:
    """The system's error number, which Lance only writes into its text."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    match = re.search(r"\(os error ([0-9]+)\)", str(error))
    return int(match[1]) if match else None


def patiently_open(path: Path, version: int, action: str) -> Any:
    """The Lance data set, tried again after passing errors."""
    for pause in PAUSES:
        try:
            with explained(action):
                return lance.dataset(str(path), version=version)
        except CollectionUnreadable:
            time.sleep(pause)
    with explained(action):
        return lance.dataset(str(path), version=version)


class Table:
    """One version of the table for reading; writing makes the next ones.

    Args:
        files: the collection.
        name: of the table's folder.
        version: of the table.
        digest: the sha256 of the table's manifest; "" where it is not known.

    Raises:
        CollectionDamaged: a file of this version is missing, cut short or not the one that was acknowledged.
        CollectionUnreadable: it cannot be read now.
    """

    def __init__(self, files: Disk, name: str, version: int, digest: str = "") -> None:
        self.files, self.name, self.version = files, name, version
        self.folder = files.root / name
        found = sha256(files.read(self._manifest(version)))
        if digest not in ("", found):
            raise CollectionDamaged(f"{files.root / self._manifest(version)}: its checksum is wrong")
        self.digest = found
        self._path = plain(files.root) / name
        try:
            self._data = patiently_open(self._path, version, f"opening {self.folder} at version {version}")
        except CollectionDamaged as error:
            if not digest:
                raise
            raise CollectionUnreadable(str(error)) from None  # what was acknowledged is there: it is not damaged
        self._require_files()

    def _manifest(self, version: int) -> str:
        """The file of a version's manifest: newest first by name, or, in old tables, by its number."""
        old = f"{self.name}/_versions/{version}.manifest"
        return old if version == self._numbers().get(old) else f"{self.name}/_versions/{_LAST - version}.manifest"

    def _numbers(self) -> dict[str, int]:
        """Version of each manifest of the table, by file."""
        folder = f"{self.name}/_versions"
        found = {}
        for file in self.files.names(folder):
            match = _MANIFEST.fullmatch(file)
            if match:
                number = int(match[1])
                found[f"{folder}/{file}"] = _LAST - number if number > _LAST // 2 else number
        return found

    def _require_files(self) -> None:
        """CollectionDamaged when a file of this version is missing, cut short, a link, or outside the collection."""
        for fragment in self._data.get_fragments():
            for file in fragment.data_files():
                name = f"{self.name}/data/{file.path}"
                if getattr(file, "base_id", None) is not None:
                    raise CollectionDamaged(f"{self.folder}: names files outside the collection")
                size = self.files.size(name)
                if file.file_size_bytes and size != file.file_size_bytes:
                    raise CollectionDamaged(f"{self.files.root / name}: has {size} bytes, not {file.file_size_bytes}")
            deleted = fragment.deletion_file()
            if deleted is not None:
                self.files.size(f"{self.name}/{deleted}")

    @classmethod
    def create(cls, files: Disk, name: str, contents: pa.Table) -> Table:
        """A new table with its first rows (there may be none)."""
        with explained(f"creating {files.root / name}"):
            lance.write_dataset(contents, str(plain(files.root) / name), mode="create")
        return cls(files, name, 1)

    def drop_later(self, *, damaged: bool) -> None:
        """Take away the versions after this one, which a writer that died left; set aside where damage was found."""
        for file, version in self._numbers().items():
            if version > self.version:
                if damaged:
                    self.files.set_aside(file)
                else:
                    self.files.remove(file)

    def changed(self, gone: Sequence[int], contents: pa.Table | None) -> Table:
        """The table without the rows of ``gone`` and with ``contents``; not yet durable (see :meth:`sync`)."""
        with explained(f"writing {self.folder}"):
            data = lance.dataset(str(self._path))
            for ids in _lists(gone):
                data.delete(f"id IN ({ids})")
            if contents is not None and contents.num_rows:
                data = lance.write_dataset(contents, str(self._path), mode="append")
            after = Table(self.files, self.name, int(data.version))
            after._require_deletions({fragment.deletion_file() for fragment in self._data.get_fragments()})
            return after

    def _require_deletions(self, known: set[str | None]) -> None:
        """CollectionUnreadable when a list of deleted rows is not whole, and not ``known``.

        Lance does not see an error of the last write to a file; of data files the manifest says the length.
        """
        for fragment in self._data.get_fragments():
            name = fragment.deletion_file()
            if name is not None and name not in known:
                try:
                    with explained(f"reading {self.folder / name}"):
                        whole = fragment.to_table(columns=["id"]).num_rows == fragment.count_rows()
                except CollectionDamaged:
                    whole = False
                if not whole:
                    raise CollectionUnreadable(
                        f"{self.folder / name}: was not written whole; nothing was changed, try again"
                    )

    def compacted(self) -> Table:
        """The same rows in fewer files."""
        with explained(f"compacting {self.folder}"):
            data = lance.dataset(str(self._path))
            data.optimize.compact_files()
            return Table(self.files, self.name, int(data.version))

    def clean(self, kept: set[int], *, unverified: bool) -> None:
        """Remove the versions that are not ``kept``, and the files that only they need.

        ``unverified`` also removes young files that no version names, of a writer that died.
        """
        gone = sorted(set(self._numbers().values()) - kept - {self.version})
        with explained(f"cleaning {self.folder}"):
            data = lance.dataset(str(self._path))
            if gone:
                data.cleanup_old_versions(versions=gone, delete_unverified=unverified)
            elif unverified:
                data.cleanup_old_versions(older_than=timedelta(days=36_500), delete_unverified=True)

    def sync(self, known: set[Path]) -> None:
        """Make this version's files durable."""
        with explained(f"writing {self.folder}"):
            new = self.folder not in known
            sync_tree(self.folder, known)
            if new:
                sync_folder(self.files.root)

    @property
    def fragments(self) -> int:
        """Data files."""
        return len(self._data.get_fragments())

    def count(self) -> int:
        """Rows."""
        with explained(f"reading {self.folder}"):
            return int(self._data.count_rows())

    def rows(self) -> list[Row]:
        """Every row, without vectors and features, in the table's order."""
        with explained(f"reading {self.folder}"):
            found = self._data.to_table(columns=ROW_COLUMNS).to_pydict()
        columns = [found[name] for name in ROW_COLUMNS]
        with _no_collection():
            rows = [_row(values) for values in zip(*columns, strict=True)]
            told = [_told(values) for values in zip(*columns[: len(GUARDED)], strict=True)]
        first = [_row_bits(text, False) for text in told]
        for row, text, bits in zip(rows, told, first, strict=True):
            if row.check < 0 and row.check & _ROW != bits and row.check & _ROW != _row_bits(text, True):
                raise CollectionDamaged(
                    f"reading {self.folder}: the row of photo {row.id} is not the one that was stored"
                )
        return rows

    def vectors(self) -> tuple[Ids, Vectors]:
        """Ids ``(n,)`` and vectors ``(n, dim)`` in the table's order, checked one by one."""
        with explained(f"reading {self.folder}"):
            found = self._data.to_table(columns=["id", "check", "vector"])
            column = found["vector"].combine_chunks()
            dim = int(found.schema.field("vector").type.list_size)
            flat = column.flatten().to_numpy(zero_copy_only=False) if found.num_rows else np.empty(0, np.float32)
            ids, vectors = found["id"].to_numpy().astype(np.int64), np.asarray(flat, np.float32).reshape(-1, dim)
        for photo, check, vector in zip(ids.tolist(), found["check"].to_pylist(), vectors, strict=True):
            if not vector_is_sound(photo, check, vector):
                raise CollectionDamaged(
                    f"reading {self.folder}: photo {photo}: its vector is not the one that was stored"
                )
        return ids, vectors

    def full(self, ids: Sequence[int]) -> pa.Table:
        """Whole rows of these ids."""
        return self._some(ids, None)

    def features(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Local features of these photos as they are kept (:func:`without_seal`); those without are left out."""
        if not ids:
            return {}
        found = self._some(ids, ["id", "features"]).to_pydict()
        return {i: data for i, data in zip(found["id"], found["features"], strict=True) if data is not None}

    def without_features(self) -> list[int]:
        """Ids of the photos whose local features are not kept."""
        with explained(f"reading {self.folder}"):
            return [int(i) for i in self._data.to_table(columns=["id"], filter="features IS NULL")["id"].to_pylist()]

    def _some(self, ids: Sequence[int], columns: list[str] | None) -> pa.Table:
        with explained(f"reading {self.folder}"):
            return pa.concat_tables(
                [self._data.to_table(columns=columns, filter=f"id IN ({some})") for some in _lists(ids)]
            )


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Many objects are made, none of them garbage: looking for some takes as long as making them."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _row(values: tuple[Any, ...]) -> Row:
    """A row of its columns' values; many are made, and a frozen dataclass takes three times as long."""
    row = object.__new__(Row)
    row.__dict__.update(zip(ROW_COLUMNS, values, strict=True))
    return row


def _lists(ids: Sequence[int]) -> Iterator[str]:
    """Ids as lists of SQL."""
    for start in range(0, len(ids), LISTED):
        yield ", ".join(str(int(i)) for i in ids[start : start + LISTED])
