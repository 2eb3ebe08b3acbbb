"""Manifests: the numbered files that make the versions of a collection visible."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from reseen.collections.files import sha256, write_file
from reseen.errors import CollectionDamaged, CollectionError

FORMAT = 1


@dataclass(frozen=True)
class Manifest:
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

    def next(self, **changes: Any) -> Manifest:
        """The manifest of the version after this one."""
        return replace(self, version=self.version + 1, **changes)


def manifest_path(folder: Path, version: int) -> Path:
    """Where the manifest of a version is."""
    return folder / f"head-{version:010d}.json"


def manifest_versions(folder: Path) -> list[int]:
    """Versions that have a manifest, newest first."""
    found = []
    with contextlib.suppress(FileNotFoundError):
        for path in folder.iterdir():
            number = path.name.removeprefix("head-").removesuffix(".json")
            if path.name.startswith("head-") and path.suffix == ".json" and number.isdigit():
                found.append(int(number))
    return sorted(found, reverse=True)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Acknowledge a version: written last, durable when this returns."""
    body = json.dumps(asdict(manifest), sort_keys=True)
    text = json.dumps({"sha256": sha256(body.encode()), "head": json.loads(body)}, sort_keys=True, indent=1)
    write_file(manifest_path(folder, manifest.version), text.encode())


def read_manifest(folder: Path, version: int) -> Manifest:
    """The manifest of a version; CollectionDamaged says what is wrong with it."""
    path = manifest_path(folder, version)
    try:
        data = json.loads(path.read_bytes())
        body = json.dumps(data["head"], sort_keys=True)
        if sha256(body.encode()) != data["sha256"]:
            raise CollectionDamaged(f"{path}: its checksum is wrong")
        if data["head"]["format"] != FORMAT:
            raise CollectionError(f"{path}: format {data['head']['format']}; this reseen reads format {FORMAT}")
        return Manifest(**data["head"])
    except FileNotFoundError:
        raise CollectionDamaged(f"{path}: is missing") from None
    except (ValueError, KeyError, TypeError):
        raise CollectionDamaged(f"{path}: is torn") from None


def good_manifests(folder: Path, damage: list[str]) -> Iterator[Manifest]:
    """Heads newest first, the damaged ones left out and named in ``damage``."""
    for version in manifest_versions(folder):
        try:
            yield read_manifest(folder, version)
        except CollectionDamaged as error:
            damage.append(str(error))
