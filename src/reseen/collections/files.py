"""Files that are there after a crash: fsync and atomic replacement."""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make a folder's entries durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    """Make a file's content durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(folder: Path, known: set[Path]) -> None:
    """Make every file under ``folder`` that is not ``known`` durable, and the folders that hold them.

    ``known`` grows by what was synced: a table's files never change once they are written.
    """
    for place, _, names in os.walk(folder):
        fresh = [path for name in names if (path := Path(place, name)) not in known]
        for path in fresh:
            with contextlib.suppress(FileNotFoundError):  # a hint that the table replaces as it likes
                sync_file(path)
        if fresh or Path(place) not in known:
            sync_folder(Path(place))
        known.update(fresh, [Path(place)])


def write_file(path: Path, data: bytes) -> None:
    """Write a whole file durably, or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sha256(data: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()
