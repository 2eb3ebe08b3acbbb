"""The file layer of a collection: every open, read, write, fsync, rename and removal of its own files is here.

The table's files are written by the table's own library; they are only made durable here.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import functools
import hashlib
import mmap
import os
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from reseen.errors import CollectionDamaged, CollectionUnreadable

T = TypeVar("T")

system: Any = os
"""The system calls; a test puts one with faults in its place."""

DAMAGED = "damaged"
"""Folder of a collection for what was found damaged: it is renamed, never removed."""
PAUSES = (0.02, 0.1, 0.4)
"""Seconds between attempts at what may be a passing error."""
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})
WRONG_KIND = frozenset({errno.EISDIR, errno.ELOOP, errno.ENXIO, errno.ENODEV})
FINAL = ABSENT | WRONG_KIND | {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EINVAL}
"""Errors that no second attempt cures."""
OLD_S = 86_400.0
"""Age in seconds from which a temporary file belongs to nobody."""
MOST = 1 << 30
"""Bytes of the largest file that is read whole."""


class Files(Protocol):
    """What a collection asks of the place it lies in; names are relative, with ``/`` between their parts.

    :class:`Disk` is the one for disks. A store of objects can be another: ``write`` is a whole object, ``names`` a
    listing, ``set_aside`` a copy and a removal.
    """

    def read(self, name: str) -> bytes:
        """A whole file. CollectionDamaged: it is not there; CollectionUnreadable: it cannot be read now."""

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """A whole file in place of what had the name, or no change at all."""

    def names(self, folder: str = "") -> list[str]:
        """What a folder holds, sorted; nothing where there is no such folder."""

    def remove(self, name: str) -> None:
        """Remove a file or a folder, if it is there."""

    def set_aside(self, name: str) -> str:
        """Rename what is damaged into ``damaged/``; its new name."""


class Disk:
    """A collection's folder on a file system."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, name: str) -> Path:
        """Where a name lies. CollectionDamaged when it leads out of the collection, also through a link."""
        parts = name.split("/")
        if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
            raise CollectionDamaged(f"{self.root}: {name!r} is no name inside the collection")
        place = self.root
        for part in parts:
            place = place / part
            try:
                kind = patiently(partial(system.lstat, place)).st_mode
            except OSError as error:
                if error.errno in ABSENT:
                    break
                raise unreadable(place, error) from None
            if stat.S_ISLNK(kind):
                raise CollectionDamaged(f"{place}: is a link; a collection holds its own files")
        return self.root / name

    def read(self, name: str) -> bytes:
        """A whole file; CollectionDamaged: it is missing or no file. CollectionUnreadable: it cannot be read now."""
        path = self.path(name)
        try:
            return patiently(lambda: _read(path))
        except OSError as error:
            raise explained(path, error) from None

    def size(self, name: str) -> int:
        """Bytes of a file; errors as for :meth:`read`."""
        path = self.path(name)
        try:
            status = patiently(lambda: system.lstat(path))
        except OSError as error:
            raise explained(path, error) from None
        if not stat.S_ISREG(status.st_mode):
            raise CollectionDamaged(f"{path}: is no file")
        return int(status.st_size)

    def time(self, name: str) -> float | None:
        """When a file was written, in seconds since 1970; None when it is gone."""
        try:
            return float(patiently(lambda: system.lstat(self.root / name)).st_mtime)
        except OSError as error:
            if error.errno in ABSENT:
                return None
            raise

    def names(self, folder: str = "") -> list[str]:
        """What a folder holds, sorted; nothing where there is no such folder."""
        path = self.path(folder) if folder else self.root
        try:
            return sorted(patiently(lambda: system.listdir(path)))
        except OSError as error:
            if error.errno in ABSENT:
                return []
            raise explained(path, error) from None

    def write(self, name: str, data: bytes, *, durable: bool = True) -> None:
        """Write beside, fsync, rename. OSError when it cannot be written; what had the name is then unchanged."""
        path = self.path(name)
        temporary = path.with_name(temporary_name())
        try:
            with writing(temporary) as put:
                put(data)
                if durable:
                    put.sync()
            system.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                system.unlink(temporary)
            raise
        if durable:
            sync_folder(path.parent)

    def make_folder(self, name: str) -> Path:
        """A folder directly inside the collection."""
        path = self.path(name)
        with contextlib.suppress(FileExistsError):
            system.mkdir(path)
        return path

    def remove(self, name: str) -> None:
        """Remove a file or a folder, if it is there."""
        remove(self.root / name)

    def set_aside(self, name: str) -> str:
        """Rename what is damaged into ``damaged/``; its new name."""
        folder = self.make_folder(DAMAGED)
        source = self.root / name
        target = f"{DAMAGED}/{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}-{name.replace('/', '-')}"
        try:
            system.rename(source, self.root / target)
        except FileNotFoundError:
            return target
        for changed in {folder, source.parent, self.root}:
            sync_folder(changed)
        return target

    def drop_temporary(self, folders: Iterable[str]) -> None:
        """Remove temporary files that nobody has touched for a day: their writers died."""
        limit = time.time() - OLD_S
        for folder in folders:
            for name in self.names(folder):
                if is_temporary(name):
                    full = f"{folder}/{name}" if folder else name
                    written = self.time(full)
                    if written is not None and written < limit:
                        self.remove(full)


class Put:
    """Writes to one open file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, data: bytes | memoryview) -> None:
        """Write all of ``data``."""
        left = memoryview(data).cast("B")
        while left:
            left = left[system.write(self._descriptor, left) :]

    def sync(self) -> None:
        """Make what was written durable."""
        system.fsync(self._descriptor)


class Append(Put):
    """Writes to the end of a file whose bytes can be read."""

    def read(self, start: int, count: int) -> bytes:
        """Some of the bytes that are there."""
        return bytes(system.pread(self._descriptor, count, start))


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Put]:
    """A new file: an existing one, or a link in its place, is an error."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = system.open(path, flags, 0o666)
    try:
        yield Put(descriptor)
    finally:
        system.close(descriptor)


@contextlib.contextmanager
def appending(path: Path, size: int) -> Iterator[Append]:
    """The end of a file that must have ``size`` bytes; OSError when it has not."""
    descriptor = system.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = system.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size != size:
            raise OSError(errno.EINVAL, "is not as long as it should be", str(path))
        system.lseek(descriptor, 0, os.SEEK_END)
        yield Append(descriptor)
    finally:
        system.close(descriptor)


def mapped(path: Path, size: int) -> bytes | mmap.mmap:
    """The first ``size`` bytes of a file as a read-only memory map; OSError when it is shorter, or no file."""
    descriptor = patiently(partial(system.open, path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC))
    try:
        status = system.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size < size:
            raise OSError(errno.EINVAL, "is not as long as it should be", str(path))
        return mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) if size else b""
    finally:
        system.close(descriptor)


@functools.lru_cache
def plain(folder: Path) -> Path:
    """A path of a folder that any library takes: a link to it where its name is no UTF-8 or holds control characters.

    The link lies in a private folder of this process.
    """
    if str(folder).isprintable():
        return folder
    private = tempfile.mkdtemp(prefix="reseen-")
    atexit.register(shutil.rmtree, private, ignore_errors=True)
    link = Path(private, "collection")
    link.symlink_to(folder)
    return link


def temporary_name() -> str:
    """A name that nobody can have foreseen."""
    return f".{secrets.token_hex(8)}.tmp"


def is_temporary(name: str) -> bool:
    """Whether a name is one of :func:`temporary_name`'s, or of an earlier reseen's."""
    return name.endswith(".tmp")


def patiently(action: Callable[[], T]) -> T:
    """What ``action`` gives, tried again after passing errors (too many open files, a failing network disk)."""
    for pause in PAUSES:
        try:
            return action()
        except OSError as error:
            if error.errno in FINAL:
                raise
            time.sleep(pause)
    return action()


def explained(path: Path, error: OSError) -> CollectionDamaged | CollectionUnreadable:
    """A reading error as one of ours: only what is not there, or no file at all, is damage."""
    if error.errno in ABSENT:
        return CollectionDamaged(f"{path}: is missing")
    if error.errno in WRONG_KIND:
        return CollectionDamaged(f"{path}: is no file")
    return unreadable(path, error)


def unreadable(path: Path, error: OSError) -> CollectionUnreadable:
    """An error that says nothing about what is stored."""
    return CollectionUnreadable(
        f"{path}: cannot be read now ({error.strerror or error}); nothing was changed, try again"
    )


def _read(path: Path) -> bytes:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = system.open(path, flags)
    try:
        status = system.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EISDIR, "is no file")
        if status.st_size > MOST:
            raise CollectionDamaged(f"{path}: is too large to be what it should be")
        pieces = []
        while piece := system.read(descriptor, 1 << 20):
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        system.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def sync_name(folder: Path) -> None:
    """Make a folder's own name durable, unless its parent cannot be opened."""
    with contextlib.suppress(PermissionError):
        sync_folder(folder.parent)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    _sync(path, os.O_RDONLY | os.O_NOFOLLOW)


def _sync(path: Path, flags: int) -> None:
    descriptor = patiently(lambda: system.open(path, flags | os.O_CLOEXEC))
    try:
        system.fsync(descriptor)
    finally:
        system.close(descriptor)


def sync_tree(folder: Path, known: set[Path]) -> None:
    """Make every file under ``folder`` that is not ``known`` durable, and the folders that hold them.

    ``known`` grows by what was synced: a table's files never change once they are written.
    """
    waiting = [folder]
    while waiting:
        place = waiting.pop()
        fresh = []
        for name in system.listdir(place):
            path = place / name
            try:
                kind = system.lstat(path).st_mode
                if stat.S_ISDIR(kind):
                    waiting.append(path)
                elif stat.S_ISREG(kind) and path not in known:
                    sync_file(path)
                if path not in known:
                    fresh.append(path)
            except FileNotFoundError:  # a hint that the table replaces as it likes
                continue
        if fresh or place not in known:
            sync_folder(place)
        known.update(fresh, [place])


def make_folder(path: Path) -> None:
    """A new folder; FileExistsError where there is something."""
    system.mkdir(path)


def rename(source: Path, target: Path) -> None:
    """Rename a file, or a folder to a name that is free or an empty folder's."""
    system.rename(source, target)


def make_durable_folder(folder: Path) -> None:
    """Make a folder, and its parents where they are missing, durably."""
    missing = []
    place = folder
    while not place.exists():
        missing.append(place)
        place = place.parent
    if missing:
        sync_name(place)  # it may have been made by a process that died before it had done this
    for place in reversed(missing):
        with contextlib.suppress(FileExistsError):
            system.mkdir(place)
        sync_folder(place.parent)


def remove(path: Path) -> None:
    """Remove a file, a link or a folder with all that it holds, if it is there."""
    try:
        kind = system.lstat(path).st_mode
        if not stat.S_ISDIR(kind):
            system.unlink(path)
            return
        for name in system.listdir(path):
            remove(path / name)
        system.rmdir(path)
    except FileNotFoundError:
        return


def sha256(data: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()
