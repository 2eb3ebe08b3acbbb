"""Files that are there after a crash: fsync, atomic replacement, numbered head files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from reseen.errors import CollectionDamaged, CollectionError

FORMAT = 1


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


@dataclass(frozen=True)
class Head:
    """What one version of a collection is made of.

    Attributes:
        version: counts up by one with every acknowledged change.
        table: folder of the Lance table, and
        table_version: the version of it that belongs to this one.
        count: photos.
        dim, fingerprint, recipe: of the descriptor.
        descriptor: its folder, with
        descriptor_files: the sha256 of each file in it.
        local: the local features kept beside the vectors, or ``none``.
        blobs: name -> file.
    """

    version: int
    table: str
    table_version: int
    count: int
    dim: int
    fingerprint: str
    recipe: str
    descriptor: str
    descriptor_files: Mapping[str, str]
    local: str = "none"
    blobs: Mapping[str, str] = field(default_factory=dict)
    format: int = FORMAT

    def next(self, **changes: Any) -> Head:
        """The head of the version after this one."""
        return replace(self, version=self.version + 1, **changes)


def head_path(folder: Path, version: int) -> Path:
    """Where the head of a version is."""
    return folder / f"head-{version:010d}.json"


def head_versions(folder: Path) -> list[int]:
    """Versions that have a head file, newest first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            number = path.name.removeprefix("head-").removesuffix(".json")
            if path.name.startswith("head-") and path.suffix == ".json" and number.isdigit():
                found.append(int(number))
    return sorted(found, reverse=True)


def write_head(folder: Path, head: Head) -> None:
    """Acknowledge a version: written last, durable when this returns."""
    body = json.dumps(asdict(head), sort_keys=True)
    text = json.dumps({"sha256": sha256(body.encode()), "head": json.loads(body)}, sort_keys=True, indent=1)
    write_file(head_path(folder, head.version), text.encode())


def read_head(folder: Path, version: int) -> Head:
    """The head of a version; CollectionDamaged says what is wrong with it."""
    path = head_path(folder, version)
    try:
        data = json.loads(path.read_bytes())
        body = json.dumps(data["head"], sort_keys=True)
        if sha256(body.encode()) != data["sha256"]:
            raise CollectionDamaged(f"{path}: its checksum is wrong")
        if data["head"]["format"] != FORMAT:
            raise CollectionError(f"{path}: format {data['head']['format']}; this reseen reads format {FORMAT}")
        return Head(**data["head"])
    except FileNotFoundError:
        raise CollectionDamaged(f"{path}: is missing") from None
    except (ValueError, KeyError, TypeError):
        raise CollectionDamaged(f"{path}: is torn") from None


def good_heads(folder: Path, damage: list[str]) -> Iterator[Head]:
    """Heads newest first, the damaged ones left out and named in ``damage``."""
    for version in head_versions(folder):
        try:
            yield read_head(folder, version)
        except CollectionDamaged as error:
            damage.append(str(error))
