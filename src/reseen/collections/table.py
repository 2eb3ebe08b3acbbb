"""The photos of a collection as a Lance table: what is true."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import lance
import numpy as np
import pyarrow as pa

from reseen.collections.files import sync_tree
from reseen.errors import CollectionDamaged, CollectionError
from reseen.types import Ids, Vectors

warnings.filterwarnings("ignore", message="lance is not fork-safe")  # nothing here uses it in a forked child

_MANIFEST_NUMBERS = 2**64 - 1


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
        check: guards the vector, see :func:`checksum`.
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


def checksum(photo: int, vector: Vectors) -> int:
    """A 63-bit hash of a photo's id and vector."""
    digest = hashlib.blake2b(np.ascontiguousarray(vector, np.float32).tobytes(), digest_size=8, salt=photo.to_bytes(8))
    return int.from_bytes(digest.digest()) >> 1


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
    """Lance's and the system's errors as one line of our own."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        if isinstance(error, CollectionError):
            raise
        text = str(error)
        if "nterrupted" in text and not isinstance(error, FileNotFoundError):
            raise KeyboardInterrupt from None  # Ctrl-C reached the table's own code first
        full = getattr(error, "errno", None) == errno.ENOSPC or "No space left" in text or "os error 28" in text
        if full:
            raise CollectionError(f"the disk is full while {action}; everything acknowledged is safe") from None
        denied = isinstance(error, PermissionError) or "Permission denied" in text or "os error 30" in text
        if denied:
            raise CollectionError(f"no permission while {action}") from None
        raise CollectionDamaged(
            f"failed while {action}: {(text.splitlines() or [type(error).__name__])[0][:200]}"
        ) from None


class Table:
    """One version of the table for reading; writing makes the next ones."""

    def __init__(self, folder: Path, version: int) -> None:
        self.folder, self.version = folder, version
        with explained(f"opening {folder} at version {version}"):
            self._data = lance.dataset(str(folder), version=version)

    @classmethod
    def create(cls, folder: Path, contents: pa.Table) -> Table:
        """A new table with its first rows (there may be none)."""
        with explained(f"creating {folder}"):
            lance.write_dataset(contents, str(folder), mode="create")
            return cls(folder, 1)

    def drop_unacknowledged(self) -> None:
        """Remove the manifests of versions after this one: a writer that died left them."""
        for path in (self.folder / "_versions").glob("*.manifest"):
            if path.stem.isdigit() and _MANIFEST_NUMBERS - int(path.stem) > self.version:
                path.unlink()

    def changed(self, gone: Sequence[int], contents: pa.Table | None) -> Table:
        """The table without the rows of ``gone`` and with ``contents``; not yet durable (see :meth:`sync`)."""
        with explained(f"writing {self.folder}"):
            data = lance.dataset(str(self.folder))
            for start in range(0, len(gone), 500):
                data.delete(f"id IN ({', '.join(str(int(i)) for i in gone[start : start + 500])})")
            if contents is not None and contents.num_rows:
                data = lance.write_dataset(contents, str(self.folder), mode="append")
            return Table(self.folder, int(data.version))

    def compacted(self) -> Table:
        """The same rows in fewer files."""
        with explained(f"compacting {self.folder}"):
            data = lance.dataset(str(self.folder))
            data.optimize.compact_files()
            return Table(self.folder, int(data.version))

    def clean(self, older_than_s: float) -> None:
        """Remove files that no version younger than that needs."""
        import datetime

        with explained(f"cleaning {self.folder}"):
            lance.dataset(str(self.folder)).cleanup_old_versions(
                older_than=datetime.timedelta(seconds=older_than_s), delete_unverified=older_than_s <= 0
            )

    def sync(self, known: set[Path]) -> None:
        """Make this version's files durable."""
        with explained(f"writing {self.folder}"):
            sync_tree(self.folder, known)

    @property
    def files(self) -> int:
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
        return [Row(**dict(zip(found, values, strict=True))) for values in zip(*found.values(), strict=True)]

    def vectors(self) -> tuple[Ids, Vectors]:
        """Ids ``(n,)`` and vectors ``(n, dim)`` in the table's order."""
        with explained(f"reading {self.folder}"):
            found = self._data.to_table(columns=["id", "vector"])
            column = found["vector"].combine_chunks()
            dim = int(found.schema.field("vector").type.list_size)
            flat = column.flatten().to_numpy(zero_copy_only=False) if found.num_rows else np.empty(0, np.float32)
            return found["id"].to_numpy().astype(np.int64), np.asarray(flat, np.float32).reshape(-1, dim)

    def full(self, ids: Sequence[int]) -> pa.Table:
        """Whole rows of these ids."""
        return self._some(ids, None)

    def features(self, ids: Sequence[int]) -> dict[int, bytes]:
        """Local features of these photos; those without are left out."""
        if not ids:
            return {}
        found = self._some(ids, ["id", "features"]).to_pydict()
        return {i: data for i, data in zip(found["id"], found["features"], strict=True) if data is not None}

    def _some(self, ids: Sequence[int], columns: list[str] | None) -> pa.Table:
        parts = []
        with explained(f"reading {self.folder}"):
            for start in range(0, len(ids), 500):
                wanted = ", ".join(str(int(i)) for i in ids[start : start + 500])
                parts.append(self._data.to_table(columns=columns, filter=f"id IN ({wanted})"))
        return pa.concat_tables(parts)
