"""A new collection: all of it, or nothing."""

from __future__ import annotations

import contextlib
import re
import secrets
import time
from pathlib import Path

import numpy as np

from reseen.collections.descriptors import save_descriptor
from reseen.collections.files import (
    DAMAGED,
    OLD_S,
    Disk,
    make_durable_folder,
    make_folder,
    remove,
    rename,
    sync_folder,
    sync_tree,
)
from reseen.collections.locking import WriterLock
from reseen.collections.manifest import Manifest, write_manifest
from reseen.collections.snapshot import Snapshot, open_snapshot
from reseen.collections.table import Table, as_arrow
from reseen.encoder import Encoder
from reseen.errors import CollectionError

UNFINISHED = ".reseen-new-"
"""How the names of collections begin that are being made."""
STRAYS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini", "lost+found"})
"""What systems leave in any folder."""

_OWN = re.compile(
    r"lock|lock-holder\.json|photos-[0-9]+\.lance|descriptors|blobs|derived|damaged|head-[0-9]+\.json|\..*\.tmp",
    re.ASCII,
)


def create(folder: Path, descriptor: Encoder, local: str) -> Snapshot:
    """The first version of a collection: no photos.

    A new folder is written beside its place and renamed; one that is there already (empty, or half-made by a creation
    that was stopped) is filled, its manifest last.

    Raises:
        CollectionError: there is something else at ``folder``, or it cannot be written.
    """
    try:
        if folder.exists():
            if not vacant(folder):
                raise CollectionError(f"{folder}: exists already; give a new folder, or open it")
            with WriterLock(Disk(folder)):
                if not vacant(folder):  # another process was first
                    raise CollectionError(f"{folder}: exists already; give a new folder, or open it")
                for name in Disk(folder).names():
                    if _OWN.fullmatch(name) and name != "lock":
                        Disk(folder).remove(name)
                return _create_in(folder, descriptor, local)
        make_durable_folder(folder.parent)
        _drop_unfinished(folder.parent)
        beside = folder.parent / f"{UNFINISHED}{secrets.token_hex(8)}"
        make_folder(beside)
        try:
            _create_in(beside, descriptor, local)
            rename(beside, folder)
        except BaseException:
            with contextlib.suppress(OSError):
                remove(beside)
            raise
        sync_folder(folder.parent)
    except OSError as error:
        if folder.exists() and not vacant(folder):
            raise CollectionError(f"{folder}: exists already; give a new folder, or open it") from None
        raise CollectionError(f"{folder}: cannot be written ({error.strerror or error})") from None
    return open_snapshot(folder)[0]


def vacant(folder: Path) -> bool:
    """Whether a collection may be made in a folder: nothing in it, or only what a creation that was stopped left."""
    if not folder.is_dir():
        return not folder.exists()
    files = Disk(folder)
    names = set(files.names()) - STRAYS
    if not all(_OWN.fullmatch(name) for name in names) or names & {DAMAGED, "blobs", "derived"}:
        return False
    if any(name.startswith("head-") for name in names):
        return False
    tables = [name for name in names if name.startswith("photos-")]
    return all(name == "photos-1.lance" and len(files.names(f"{name}/_versions")) <= 2 for name in tables)


def _create_in(folder: Path, descriptor: Encoder, local: str) -> Snapshot:
    files = Disk(folder)
    contents = as_arrow([], np.empty((0, descriptor.dim), np.float32), [], descriptor.dim)
    table = Table.create(files, "photos-1.lance", contents)
    saved = save_descriptor(files, descriptor)
    sync_tree(folder, set())
    manifest = Manifest(
        1, table=table.name, table_version=table.version, count=0, local=local, table_manifest=table.digest, **saved
    )
    write_manifest(files, manifest)
    return Snapshot(folder, manifest)


def _drop_unfinished(parent: Path) -> None:
    """Remove what creations left that were stopped a day ago or longer."""
    with contextlib.suppress(OSError, CollectionError):
        files = Disk(parent)
        for name in files.names():
            made = files.time(name) if name.startswith(UNFINISHED) else None
            if made is not None and made < time.time() - OLD_S:
                files.remove(name)
