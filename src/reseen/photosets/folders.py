"""Photo sets from folders: a folder per class, references of virtual photos, photos of which nothing is known."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from reseen.errors import PhotoSetError
from reseen.images import SUFFIXES, display, walk
from reseen.photosets.photo_set import PhotoSet, from_labels
from reseen.types import Pairs


def photos_in(folders: Iterable[Path]) -> list[Path]:
    """Every photo below the folders, absolute, sorted within each; PhotoSetError when a folder is missing."""
    found = []
    for folder in folders:
        if not folder.is_dir():
            raise PhotoSetError(f"{display(folder)}: no such folder")
        found += [Path(os.fsdecode(item.path)) for item in walk([folder]) if not item.ignored]
    return found


def by_stem(folder: Path) -> dict[str, Path]:
    """Photos below a folder by their name without suffix; the shallowest wins when two share one."""
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*"), key=lambda p: (len(p.parts), p)):
        if os.fsencode(path.suffix.lower()) in SUFFIXES and path.is_file():
            found.setdefault(path.stem, path)
    return found


def class_folders(folder: Path, *, virtual: bool = False) -> PhotoSet:
    """``FOLDER/CLASS/.../photo.jpg``: a cluster per folder directly below ``folder``.

    Photos that lie in ``folder`` itself belong to no class and each form a cluster of their own (they serve as
    negatives), as do the photos of a class that has only one. With ``virtual`` each photo is also paired with virtual
    photos of itself.
    """
    photos = _some(folder)
    home = os.path.abspath(folder)  # noqa: PTH100 - links are kept
    names = [photo.relative_to(home).parts for photo in photos]
    labels = [parts[0] if len(parts) > 1 else f"\0{i}" for i, parts in enumerate(names)]
    own = _with_themselves(len(photos)) if virtual else np.zeros((0, 2), np.int64)
    name = _name("folders" + "+virtual" * virtual, folder)
    return from_labels(name, photos, labels, pairs=own, unpaired=np.ones(len(photos), bool))


def references(folder: Path) -> PhotoSet:
    """Unlabelled photos, each of something else; their positives are virtual photos of themselves."""
    photos = _some(folder)
    own = _with_themselves(len(photos))
    return PhotoSet(_name("virtual", folder), tuple(photos), own[:, 0], pairs=own, virtual=np.ones(len(photos), bool))


def unrelated(folder: Path) -> PhotoSet:
    """Unlabelled photos of which no two are known to match."""
    photos = _some(folder)
    return PhotoSet(_name("photos", folder), tuple(photos), np.arange(len(photos), dtype=np.int64))


def _some(folder: Path) -> list[Path]:
    found = photos_in([folder])
    if not found:
        raise PhotoSetError(f"{display(folder)}: no photos to learn from")
    return found


def _with_themselves(count: int) -> Pairs:
    numbers = np.arange(count, dtype=np.int64)
    return np.stack([numbers, numbers], 1)


def _name(kind: str, folder: Path) -> str:
    """The kind, and the names of the folder and its parent."""
    return f"{kind}:{'/'.join(Path(os.path.abspath(folder)).parts[-2:])}"  # noqa: PTH100 - links are kept
