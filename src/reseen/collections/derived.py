"""Derived data: arrays made from a version of a collection, which can always be made again and are never believed.

A set of arrays is bound to a *key*: all that it was made from (a table's digest, a fingerprint, a count, settings).
A small index names the files and the hash of each block of them; it is read at opening. A block is checked when it is
first touched, so that a memory map stays one. What differs is made again:

    derived = Derived(files, "words", {"table": digest, "size": 16384})
    postings = derived.array("postings")
    if postings is None:
        derived.put(postings=..., starts=...)

No fsync: after a power loss a hash differs, and the arrays are made again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import time
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
import xxhash
from msgspec import Meta
from numpy.typing import NDArray

from reseen.collections.files import OLD_S, Disk, appending, mapped, writing
from reseen.errors import CollectionDamaged, CollectionError

FOLDER = "derived"
BLOCK = 1 << 20
"""Bytes that are checked together."""

Array = NDArray[Any]
Key = Mapping[str, str | int]


class StaleBlock(Exception):
    """A block of derived data is not what was written; make the data again."""


class _Array(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One array: its file, its type, and the hashes of its blocks."""

    file: Annotated[str, Meta(pattern=r"^[a-z0-9-]{1,80}-[0-9a-f]{16}\.bin\Z")]
    dtype: Annotated[str, Meta(pattern=r"^[<|][fiub][1248]\Z")]
    shape: Annotated[list[Annotated[int, Meta(ge=0, le=2**48)]], Meta(min_length=1, max_length=4)]
    hashes: list[str]

    @property
    def row(self) -> int:
        """Bytes of one row."""
        return int(np.prod(self.shape[1:], dtype=object)) * np.dtype(self.dtype).itemsize

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.shape[0] * self.row


class _Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept under one key."""

    key: dict[str, str | int]
    block: Annotated[int, Meta(ge=4096, le=1 << 30)]
    arrays: dict[str, _Array]


class Blocks:
    """An array on disk whose blocks are checked when they are first touched.

    Indexing with an integer or a slice of rows gives plain arrays (views of a memory map, where the rows are not
    picked one by one); :meth:`whole` gives all of it.

    Raises:
        StaleBlock: at any touch, when a block is not what was written.
    """

    def __init__(self, data: Array, kept: _Array, block: int) -> None:
        self._data, self._kept, self._block = data, kept, block
        self._bytes = data.reshape(-1).view(np.uint8)
        self._unseen = np.ones(len(kept.hashes), bool)

    @property
    def shape(self) -> tuple[int, ...]:
        """As NumPy's."""
        return tuple(self._kept.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As NumPy's."""
        return self._data.dtype

    def __len__(self) -> int:
        return self._kept.shape[0]

    def __getitem__(self, rows: int | slice) -> Array:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step != 1:
                raise ValueError("rows are read in order, without steps")
            self._check(start, max(start, stop))
        else:
            row = range(len(self))[rows]
            self._check(row, row + 1)
        found: Array = self._data[rows]
        return found

    def whole(self) -> Array:
        """All rows, checked."""
        return self[:]

    def _check(self, start: int, stop: int) -> None:
        """StaleBlock when a block of these rows is not what was written."""
        first, last = start * self._kept.row // self._block, -(-stop * self._kept.row // self._block)
        for number in (np.flatnonzero(self._unseen[first:last]) + first).tolist():
            if _hash(self._bytes[number * self._block : (number + 1) * self._block]) != self._kept.hashes[number]:
                raise StaleBlock(f"{self._kept.file}: block {number} is not what was written")
            self._unseen[number] = False


class Derived:
    """Arrays of one kind, made from what a key says.

    Args:
        files: the collection.
        kind: lower-case letters, digits and hyphens.
        key: everything that the arrays were made from; of another key nothing is read.
    """

    def __init__(self, files: Disk, kind: str, key: Key) -> None:
        self._files, self._kind, self._key = files, kind, dict(key)
        digest = xxhash.xxh3_64_hexdigest(json.dumps(self._key, sort_keys=True).encode())
        self._name = f"{FOLDER}/{kind}-{digest}.json"
        self._index = self._read()

    def array(self, name: str) -> Blocks | None:
        """An array of this key; None when there is none that can be used, and it is to be made."""
        kept = self._index.arrays.get(name) if self._index is not None else None
        if self._index is None or kept is None:
            return None
        try:
            data = mapped(self._files.path(f"{FOLDER}/{kept.file}"), kept.bytes)
        except (OSError, CollectionError):
            return None
        values: Array = np.frombuffer(data, kept.dtype, count=int(np.prod(kept.shape))).reshape(kept.shape)
        return Blocks(values, kept, self._index.block)

    def put(self, **arrays: Array | Iterable[Array]) -> bool:
        """Keep arrays ``(n, ...)``, or pieces of them one after the other, in place of all that the key had.

        False when they cannot be written: a full or read-only disk is no reason to fail.
        """
        try:
            self._files.make_folder(FOLDER)
            kept = {name: self._written(name, values) for name, values in arrays.items()}
            self._publish(_Index(self._key, BLOCK, kept))
        except (OSError, CollectionError):
            return False
        return True

    def extended(self, key: Key, **arrays: Array) -> Derived | None:
        """The same arrays with rows added to each, under another key; readers of this key are not disturbed.

        Only the one writer of a collection may call it. None when it cannot be done, and they are to be made anew.
        """
        if self._index is None or set(arrays) != set(self._index.arrays):
            return None
        try:
            kept = {name: self._appended(self._index.arrays[name], values) for name, values in arrays.items()}
            after = Derived(self._files, self._kind, key)
            after._publish(_Index(dict(key), BLOCK, kept))
        except (OSError, CollectionError, StaleBlock, ValueError):
            return None
        return after

    def problems(self) -> list[str]:
        """Read everything; what is wrong."""
        found = []
        for name in self._index.arrays if self._index is not None else ():
            array = self.array(name)
            try:
                if array is None:
                    raise StaleBlock(f"{name}: its file is missing or cut short")
                array.whole()
            except StaleBlock as error:
                found.append(f"{self._files.root / self._name}: {error}; it is made again when it is needed")
        return found

    def drop(self) -> None:
        """Forget what this key has."""
        with contextlib.suppress(OSError):
            self._files.remove(self._name)
        self._index = None

    def _read(self) -> _Index | None:
        try:
            return read_index(self._files, self._name, self._key)
        except (CollectionError, OSError):
            return None

    def _written(self, name: str, values: Array | Iterable[Array]) -> _Array:
        """Write a new file."""
        pieces = iter([values] if isinstance(values, np.ndarray) else values)
        first = _plain(next(pieces))
        file = f"{self._kind}-{name}-{secrets.token_hex(8)}.bin"
        hashes = _Hashes()
        rows = 0
        with writing(self._files.path(f"{FOLDER}/{file}")) as put:
            for piece in itertools.chain([first], pieces):
                plain = _plain(piece)
                if plain.dtype != first.dtype or plain.shape[1:] != first.shape[1:]:
                    raise ValueError(f"{name}: pieces of different types or shapes")
                rows += len(plain)
                data = plain.reshape(-1).view(np.uint8).data
                put(data)
                hashes.add(data)
        return _Array(file, first.dtype.str, [rows, *first.shape[1:]], hashes.end())

    def _appended(self, kept: _Array, values: Array) -> _Array:
        """Add rows to the end of a file."""
        plain = _plain(values)
        if plain.dtype.str != kept.dtype or list(plain.shape[1:]) != kept.shape[1:]:
            raise ValueError(f"{kept.file}: rows of another type or shape")
        path = self._files.path(f"{FOLDER}/{kept.file}")
        whole, rest = divmod(kept.bytes, BLOCK)
        with appending(path, kept.bytes) as put:  # whose size must be what this key says
            tail = put.read(kept.bytes - rest, rest)
            if rest and _hash(tail) != kept.hashes[-1]:
                raise StaleBlock(f"{kept.file}: its last block is not what was written")
            hashes = _Hashes(kept.hashes[:whole], tail)
            data = plain.reshape(-1).view(np.uint8).data
            put(data)
            hashes.add(data)
        return _Array(kept.file, kept.dtype, [kept.shape[0] + len(plain), *kept.shape[1:]], hashes.end())

    def _publish(self, index: _Index) -> None:
        body = msgspec.to_builtins(index)
        text = json.dumps({"xxh3": _hash(json.dumps(body, sort_keys=True).encode()), "index": body}, sort_keys=True)
        self._files.write(self._name, text.encode(), durable=False)
        self._index = index


class _Hashes:
    """Hashes of the blocks of a stream of bytes."""

    def __init__(self, done: Iterable[str] = (), tail: bytes = b"") -> None:
        self._done, self._open, self._left = [*done], xxhash.xxh3_64(tail), BLOCK - len(tail)

    def add(self, data: memoryview) -> None:
        """The next bytes."""
        while len(data) >= self._left:
            self._open.update(data[: self._left])
            self._done.append(self._open.hexdigest())
            data, self._open, self._left = data[self._left :], xxhash.xxh3_64(), BLOCK
        self._open.update(data)
        self._left -= len(data)

    def end(self) -> list[str]:
        """Hashes of all blocks, the last of which may be short."""
        return [*self._done, self._open.hexdigest()] if self._left < BLOCK else self._done


def read_index(files: Disk, name: str, key: Key | None = None) -> _Index:
    """The index in a file; CollectionDamaged when it is not whole, or of another key."""
    path = files.root / name
    try:
        whole = json.loads(files.read(name))
        body = whole["index"]
        if _hash(json.dumps(body, sort_keys=True).encode()) != whole["xxh3"]:
            raise ValueError
        index = msgspec.convert(body, _Index)
    except (ValueError, KeyError, TypeError, RecursionError, msgspec.ValidationError):
        raise CollectionDamaged(f"{path}: is torn") from None
    if key is not None and index.key != dict(key):
        raise CollectionDamaged(f"{path}: is of something else")
    for array in index.arrays.values():
        if len(array.hashes) != -(-array.bytes // index.block):
            raise CollectionDamaged(f"{path}: has not one hash for each block")
    return index


def problems(files: Disk) -> list[str]:
    """Read everything that is derived; what is wrong."""
    found = []
    for name in files.names(FOLDER):
        if name.endswith(".json"):
            try:
                index = read_index(files, f"{FOLDER}/{name}")
                kind = name.rpartition("-")[0]
                found += Derived(files, kind, index.key).problems()
            except CollectionDamaged as error:
                found.append(f"{error}; it is made again when it is needed")
    return found


def drop_unused(files: Disk, tables: set[str], *, older_than_s: float = OLD_S) -> None:
    """Remove what was made from a table (``key["table"]``) that is not among ``tables``.

    Files that no index names go when they are older than ``older_than_s``: another process may be writing them.
    """
    named: set[str] = set()
    names = files.names(FOLDER)
    for name in names:
        if name.endswith(".json"):
            with contextlib.suppress(CollectionDamaged):
                index = read_index(files, f"{FOLDER}/{name}")
                if index.key.get("table") in tables:
                    named |= {name, *(array.file for array in index.arrays.values())}
    for name in set(names) - named:
        made = files.time(f"{FOLDER}/{name}")
        if made is not None and (name.endswith((".json", ".npy")) or made < time.time() - older_than_s):
            files.remove(f"{FOLDER}/{name}")


def _plain(values: Array) -> Array:
    """Contiguous, little-endian."""
    return np.ascontiguousarray(values, values.dtype.newbyteorder("<"))


def _hash(data: Any) -> str:
    """Guards against damage, not against people: they could change the hashes too."""
    return xxhash.xxh3_64_hexdigest(data)
