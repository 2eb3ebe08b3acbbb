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
        ignored: True for a file of a walked folder that has no image suffix.
    """

    path: bytes
    source: bytes
    relative: bytes
    ignored: bool = False

    @property
    def name(self) -> str:
        """Display text of the path."""
        return display(self.path)


def walk(paths: Iterable[AnyPath]) -> Iterator[Found]:
    """Every file of the named folders and every named file, each once.

    Folders are walked in the order given, their entries sorted by bytes; links are followed, but no
    folder is entered twice. ReseenError names a path that does not exist.
    """
    seen: set[bytes] = set()
    for given in paths:
        path = os.path.abspath(os.fsencode(given))
        if not os.path.exists(path):
            raise ReseenError(f"{display(given)}: no such file or folder")
        if os.path.isdir(path):
            if not os.access(path, os.R_OK | os.X_OK):
                raise ReseenError(f"{display(given)}: the folder cannot be read")
            found: Iterable[Found] = _folder(path, path, set())
        else:
            found = [Found(path, os.path.dirname(path), os.path.basename(path))]
        for item in found:
            if item.path not in seen:
                seen.add(item.path)
                yield item


def _folder(folder: bytes, source: bytes, entered: set[tuple[int, int]]) -> Iterator[Found]:
    try:
        status = os.stat(folder)
        names = sorted(os.listdir(folder))
    except OSError:
        yield Found(folder, source, os.path.relpath(folder, source))  # to be rejected with its reason
        return
    key = (status.st_dev, status.st_ino)
    if key in entered:
        return
    entered.add(key)
    for name in names:
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            yield from _folder(path, source, entered)
        else:
            suffix = os.path.splitext(name)[1].lower()
            yield Found(path, source, os.path.relpath(path, source), ignored=suffix not in SUFFIXES)
