"""What a disk may hold after a power loss: a model of a file system, and the system calls that it is led through.

Nothing is durable before an fsync: of a file its bytes, of a folder its entries (so a new file needs both). Of what is
pending any part may be kept, in any order: names without bytes, zeros where bytes should be, half of a write. A rename
is kept or not as a whole. What a failed fsync was asked for can be lost for good.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_ENTRY = struct.Struct("<qqIIc")


@dataclass(frozen=True)
class Call:
    """One call, or a note of the process itself (n).

    c created a file, m made a folder, w wrote, t truncated, s synced, x failed to, r renamed, l linked, u removed.
    """

    what: str
    inode: int
    place: int
    first: bytes
    second: bytes


def recorded(path: Path) -> list[Call]:
    """What the shim recorded."""
    data, start, calls = path.read_bytes(), 0, []
    while start < len(data):
        inode, place, first, second, what = _ENTRY.unpack_from(data, start)
        start += _ENTRY.size
        calls.append(
            Call(what.decode(), inode, place, data[start : start + first], data[start + first : start + first + second])
        )
        start += first + second
    return calls


@dataclass(eq=False)
class File:
    """Bytes that are safe, and changes that are not: (place, bytes), or (size, None) for a cut."""

    safe: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)
    lost: int = 0

    def sync(self) -> None:
        """What is pending is safe, but for what a failed sync lost."""
        for change in self.pending[self.lost :]:
            _apply(self.safe, *change)
        self.pending, self.lost = [], 0


@dataclass(eq=False)
class Change:
    """A change of entries, kept or lost as a whole: of a rename two folders have a part."""

    safe: bool = False


@dataclass(eq=False)
class Folder:
    """Entries that are safe, and changes that are not: (what they belong to, name, node or None)."""

    safe: dict[bytes, File | Folder] = field(default_factory=dict)
    pending: list[tuple[Change, bytes, File | Folder | None]] = field(default_factory=list)

    def now(self, kept: Callable[[Change], bool] = lambda _: True) -> dict[bytes, File | Folder]:
        """Entries with the changes that are kept."""
        entries = dict(self.safe)
        for change, name, node in self.pending:
            if change.safe or kept(change):
                entries.pop(name, None)
                if node is not None:
                    entries[name] = node
        return entries

    def sync(self) -> None:
        """What is pending is safe."""
        self.safe = self.now()
        for change, _, _ in self.pending:
            change.safe = True
        self.pending = []


def _apply(data: bytearray, place: int, piece: bytes | None) -> None:
    if piece is None:
        del data[place:]
    data.extend(bytes(max(0, place - len(data))))
    if piece is not None:
        data[place : place + len(piece)] = piece


class Disk:
    """What is under a folder, from before the first call on; all of that is safe."""

    def __init__(self, root: Path) -> None:
        self._root = os.fsencode(root)
        self._nodes: dict[int, File | Folder] = {}
        self.top = self._read(root)

    def _read(self, path: Path) -> File | Folder:
        node: File | Folder
        if path.is_dir():
            node = Folder({os.fsencode(inner.name): self._read(inner) for inner in path.iterdir()})
        else:
            node = File(bytearray(path.read_bytes()))
        self._nodes[path.stat().st_ino] = node
        return node

    def _parent(self, path: bytes) -> tuple[Folder, bytes]:
        """The folder that holds a path, and the last name of it."""
        *folders, name = path.removeprefix(self._root + b"/").split(b"/")
        place = self.top
        for inner in folders:
            place = place.now()[inner]
        return place, name

    def do(self, call: Call) -> None:
        """One call more."""
        node = self._nodes.get(call.inode)
        if call.what in "cm":
            self._nodes[call.inode] = node = File() if call.what == "c" else Folder()
            folder, name = self._parent(call.first)
            folder.pending.append((Change(), name, node))
        elif call.what == "w":
            node.pending.append((call.place, call.first))
        elif call.what == "t":
            node.pending.append((call.place, None))
        elif call.what == "s" and node is not None:  # else a folder above
            node.sync()
        elif call.what == "x" and isinstance(node, File):
            node.lost = len(node.pending)
        elif call.what in "rl":
            (source, old), (target, new), change = self._parent(call.first), self._parent(call.second), Change()
            moved = source.now()[old]
            if call.what == "r":
                source.pending.append((change, old, None))
            target.pending.append((change, new, moved))
        elif call.what == "u":
            folder, name = self._parent(call.first)
            folder.pending.append((Change(), name, None))

    def left(self, way: str, chance: random.Random) -> dict[bytes, bytes | None]:
        """What is there after a power loss: bytes by path, None for a folder."""
        folders = [node for node in self._nodes.values() if isinstance(node, Folder) and node.pending]
        names = {folder.pending[-1][0]: True for folder in folders} if way == "latest" else {}

        def kept(change: Change) -> bool:
            return names.setdefault(change, way in ("names", "all") or (way == "some" and chance.random() < 0.5))

        def walk(node: File | Folder, path: bytes) -> Iterator[tuple[bytes, bytes | None]]:
            if isinstance(node, File):
                yield path, _bytes(node, way, chance)
                return
            yield path, None
            for name, inner in sorted(node.now(kept).items()):
                yield from walk(inner, path + b"/" + name)

        return dict(walk(self.top, b""))


def _bytes(file: File, way: str, chance: random.Random) -> bytes:
    """The bytes of a file after a power loss."""
    data = bytearray(file.safe)
    for place, piece in file.pending:
        how = chance.choice(["whole", "half", "zeros", "none"]) if way == "some" else "whole"
        if way in ("nothing", "names") or how == "none":
            continue
        if piece is not None:
            piece = {"whole": piece, "half": piece[: len(piece) // 2], "zeros": bytes(len(piece))}[how]
        _apply(data, place, piece)
    return bytes(data)


WAYS = ("nothing", "names", "bytes", "latest", "all", "some")
"""What is kept of what is pending: ``latest``, all bytes and each folder's newest name; ``some``, drawn by chance."""


def put(state: dict[bytes, bytes | None], folder: Path) -> None:
    """Make a folder hold it."""
    for path, data in state.items():
        place = os.fsencode(folder) + path
        if data is None:
            os.makedirs(place, exist_ok=True)
        else:
            with open(place, "wb") as file:
                file.write(data)
