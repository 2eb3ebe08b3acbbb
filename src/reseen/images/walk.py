"""Photos in folders: recursive, sorted, safe against loops and odd names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from reseen.errors import ReseenError
from reseen.images.photo import display

SUFFIXES = frozenset(b".jpg .jpeg .jpe .jfif .mpo .png .webp .avif .tif .tiff .bmp .gif .heic .heif".split())
AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]


@dataclass(frozen=True)
class Found:
    """A file that was found.

    Attributes:
        path: absolute, as bytes: names need not be UTF-8.
        source: the folder that was walked (absolute bytes), or the file's own folder.
        relative: path from ``source``.
        folder: name of the folder that holds it; empty for the walked folder itself.
        ignored: True for a file of a walked folder that has no image suffix.
    """

    path: bytes
    source: bytes
    relative: bytes
    folder: bytes = b""
    ignored: bool = False

    @property
    def name(self) -> str:
        """Display text of the path."""
        return display(self.path)


def walk(paths: Iterable[AnyPath]) -> Iterator[Found]:
    """Every file of the named folders and every named file, each once.

    Folders are walked in the order given, their entries sorted by bytes. Links are followed, but no folder is entered
    twice: one that is below the walked folder is entered under its own name, not under a link's. ReseenError names a
    path that does not exist.
    """
    seen: set[bytes] = set()
    for given in paths:
        path = os.path.abspath(os.fsencode(given))
        if not os.path.exists(path):
            raise ReseenError(f"{display(given)}: no such file or folder")
        if os.path.isdir(path):
            if not os.access(path, os.R_OK | os.X_OK):
                raise ReseenError(f"{display(given)}: the folder cannot be read")
            found: Iterable[Found] = _files(path)
        else:
            folder, name = os.path.split(path)
            found = [Found(path, folder, name, os.path.basename(folder))]
        for item in found:
            if item.path not in seen:
                seen.add(item.path)
                yield item


def _files(source: bytes) -> Iterator[Found]:
    """Every file below a folder, depth first."""
    entered: set[tuple[int, int]] = set()
    within = os.path.join(os.path.realpath(source), b"")
    waiting = [source]
    while waiting:
        path = waiting.pop()
        relative = os.path.relpath(path, source)
        if not os.path.isdir(path):
            suffix = os.path.splitext(path)[1].lower()
            folder = os.path.basename(os.path.dirname(relative))
            yield Found(path, source, relative, folder, ignored=suffix not in SUFFIXES)
            continue
        if path != source and os.path.islink(path) and os.path.join(os.path.realpath(path), b"").startswith(within):
            continue
        try:
            status = os.stat(path)
            names = sorted(os.listdir(path), reverse=True)
        except OSError:
            yield Found(path, source, relative)  # to be rejected with its reason
            continue
        if (status.st_dev, status.st_ino) not in entered:
            entered.add((status.st_dev, status.st_ino))
            waiting.extend(os.path.join(path, name) for name in names)
