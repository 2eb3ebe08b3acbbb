"""The descriptor of a collection, saved inside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reseen.collections.files import Disk, rename, sha256, sync_folder, sync_tree, temporary_name
from reseen.encoder import Encoder
from reseen.errors import CollectionDamaged


def save_descriptor(files: Disk, descriptor: Encoder) -> dict[str, Any]:
    """Save a descriptor under its fingerprint, beside and renamed; what a manifest says of it."""
    name = f"descriptors/{descriptor.fingerprint[:16]}"
    folder = files.make_folder("descriptors")
    beside = f"descriptors/{temporary_name()}"
    descriptor.save(files.root / beside)
    saved = {file: sha256(files.read(f"{beside}/{file}")) for file in files.names(beside)}
    if _holds(files, name, saved):
        files.remove(beside)
    else:
        sync_tree(files.root / beside, set())
        if files.names(name):
            files.set_aside(name)
        rename(files.root / beside, files.root / name)
    sync_folder(folder)
    sync_folder(files.root)
    return {
        "dim": descriptor.dim,
        "fingerprint": descriptor.fingerprint,
        "recipe": descriptor.name,
        "descriptor": name,
        "descriptor_files": saved,
    }


def _holds(files: Disk, folder: str, wanted: Mapping[str, str]) -> bool:
    """Whether a folder holds files of these hashes."""
    try:
        return bool(wanted) and all(sha256(files.read(f"{folder}/{name}")) == digest for name, digest in wanted.items())
    except CollectionDamaged:
        return False
