"""What became of the photos of a collection in the folders that they were indexed from."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from reseen.collections.files import sha256
from reseen.collections.report import Report
from reseen.collections.table import Row
from reseen.errors import PhotoRejected
from reseen.images import Found, read_bytes

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]


@dataclass(frozen=True)
class Plan:
    """What :meth:`Collection.sync <reseen.collections.Collection.sync>` does.

    Attributes:
        kept: photos that are where they were.
        changed: those of them whose size or time changed.
        new: files that are not in the collection, less those that are moved photos.
        moved: photos that are gone, and the new file that has their bytes.
        gone: the other photos that are gone.
        lost: those of ``paths`` from which photos were indexed, of which none is left there and some are gone.
        ignored: files that are no photos.
    """

    kept: list[Row]
    changed: list[Row]
    new: list[Found]
    moved: list[tuple[Row, Found]]
    gone: list[Row]
    lost: list[bytes]
    ignored: int

    def report(self, fingerprint: str) -> Report:
        """What it would do."""
        return Report(
            added=len(self.new),
            updated=len(self.changed),
            unchanged=len(self.kept) - len(self.changed) + len(self.moved),
            ignored=self.ignored,
            moved=len(self.moved),
            removed=len(self.gone),
            fingerprint=fingerprint,
        )


def compare(rows: Sequence[Row], paths: Sequence[PathLike], found: Sequence[Found]) -> Plan:
    """The photos of a collection that lie in ``paths``, and what was found there."""
    roots = [os.path.abspath(os.fsencode(path)) for path in paths]
    held = {row.path: row for row in rows if any(_inside(row.path, root) for root in roots)}
    photos = {item.path: item for item in found if not item.ignored}
    kept = [row for path, row in held.items() if path in photos or os.path.lexists(path)]
    gone = {row.id: row for path, row in held.items() if path not in photos and not os.path.lexists(path)}
    new, moved = [], []
    of_size: dict[int, list[Row]] = {}
    for row in gone.values():
        of_size.setdefault(row.bytes, []).append(row)
    known = {row.path for row in rows}
    for item in photos.values():
        if item.path in known:
            continue
        before = _same(item, of_size)
        if before is None:
            new.append(item)
        else:
            moved.append((before, item))
            of_size[before.bytes].remove(before)
            del gone[before.id]
    changed = [row for row in kept if _changed(row)]
    lost = [
        root
        for root in roots
        if any(_inside(row.path, root) for row in gone.values()) and not any(_inside(row.path, root) for row in kept)
    ]
    return Plan(kept, changed, new, moved, [*gone.values()], lost, sum(item.ignored for item in found))


def _inside(path: bytes, root: bytes) -> bool:
    return path == root or path.startswith(os.path.join(root, b""))


def _same(item: Found, of_size: dict[int, list[Row]]) -> Row | None:
    """The photo that is gone whose bytes a file has."""
    try:
        rows = of_size.get(os.stat(item.path).st_size)
        digest = sha256(read_bytes(item.path)) if rows else ""
    except (OSError, PhotoRejected):
        return None
    return next((row for row in rows or () if row.sha256 == digest), None)


def _changed(row: Row) -> bool:
    try:
        status = os.stat(row.path)
    except OSError:
        return False
    return (row.bytes, row.mtime_ns) != (status.st_size, status.st_mtime_ns)
