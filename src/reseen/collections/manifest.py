"""Manifests: the numbered files that make the versions of a collection visible."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from reseen.collections.files import Disk, Files, sha256
from reseen.errors import CollectionDamaged, CollectionError

FORMAT = 1
LARGEST = 1 << 24
"""Bytes of the largest manifest that is read."""

_NAME = re.compile(r"head-([0-9]{10,19})\.json", re.ASCII)

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, Meta(max_length=4096)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
FileName = Annotated[str, Meta(pattern=r"^[^/\x00]{1,255}\Z")]


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one version of a collection is made of; its types are the schema that a file is checked by.

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
        table_manifest: the sha256 of the table's own manifest of ``table_version``; empty in older collections.
    """

    version: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    table: Annotated[str, Meta(pattern=r"^photos-[0-9]{1,18}\.lance\Z")]
    table_version: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    count: Number
    dim: Annotated[int, Meta(ge=1, le=1 << 20)]
    fingerprint: Annotated[str, Meta(pattern=r"^[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}\Z")]
    recipe: Text
    descriptor: Annotated[str, Meta(pattern=r"^descriptors/[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}\Z")]
    descriptor_files: dict[FileName, Sha256]
    local: Text = "none"
    blobs: dict[
        Annotated[str, Meta(pattern=r"^[\w-]{1,128}\Z")],
        Annotated[str, Meta(pattern=r"^blobs/[\w-]{1,128}-[0-9a-f]{16}\Z")],
    ] = msgspec.field(default_factory=dict)
    format: int = FORMAT
    table_manifest: Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?\Z")] = ""

    def next(self, **changes: Any) -> Manifest:
        """The manifest of the version after this one."""
        return msgspec.structs.replace(self, version=self.version + 1, **changes)


def manifest_name(version: int) -> str:
    """The file of a version's manifest."""
    return f"head-{version:010d}.json"


def manifest_versions(files: Files) -> list[int]:
    """Versions that have a manifest, newest first. CollectionUnreadable when the folder cannot be read now."""
    found = []
    for name in files.names():
        match = _NAME.fullmatch(name)
        if match and name == manifest_name(int(match[1])):
            found.append(int(match[1]))
    return sorted(found, reverse=True)


def write_manifest(files: Disk, manifest: Manifest) -> None:
    """Acknowledge a version: written last, durable when this returns."""
    body = msgspec.to_builtins(manifest)
    digest = sha256(json.dumps(body, sort_keys=True).encode())
    text = json.dumps({"sha256": digest, "head": body}, sort_keys=True, indent=1)
    files.write(manifest_name(manifest.version), text.encode())


def read_manifest(files: Disk, version: int) -> Manifest:
    """The manifest of a version.

    Raises:
        CollectionDamaged: it is missing, torn, or not what its checksum, its name or its schema say.
        CollectionUnreadable: it cannot be read now. CollectionError: it was made by a later reseen.
    """
    name = manifest_name(version)
    path = files.root / name
    data = files.read(name)
    try:
        if len(data) > LARGEST:
            raise ValueError
        whole = json.loads(data)
        head, digest = whole["head"], whole["sha256"]
        body = json.dumps(head, sort_keys=True)
        made = head["format"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CollectionDamaged(f"{path}: is torn") from None
    if sha256(body.encode()) != digest:
        raise CollectionDamaged(f"{path}: its checksum is wrong")
    if made != FORMAT:
        raise CollectionError(f"{path}: format {made}; this reseen reads format {FORMAT}")
    later = sorted(set(head) - set(Manifest.__struct_fields__))
    if later:
        raise CollectionError(f"{path}: was made by a later reseen ({later[0]}); update reseen to open it")
    try:
        manifest = msgspec.convert(head, Manifest)
    except msgspec.ValidationError as error:
        raise CollectionDamaged(f"{path}: holds what no manifest holds ({error})") from None
    if manifest.version != version:
        raise CollectionDamaged(f"{path}: is the manifest of version {manifest.version}")
    return manifest


def good_manifests(files: Disk, damage: list[str]) -> Iterator[Manifest]:
    """Manifests newest first, the damaged ones left out and named in ``damage``."""
    for version in manifest_versions(files):
        try:
            yield read_manifest(files, version)
        except CollectionDamaged as error:
            if manifest_name(version) in files.names():  # else it was removed while we looked
                damage.append(str(error))
