"""A collection under another descriptor: every photo is encoded again, beside what is searched meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import numpy as np

from reseen.collections.collection import Collection
from reseen.collections.derived import Derived, StaleBlock
from reseen.collections.files import Disk, sha256
from reseen.collections.table import Row
from reseen.encoder import Encoder
from reseen.errors import CollectionError, PhotoRejected
from reseen.images import read_bytes
from reseen.types import Progress, Vectors

INTERVAL_S = 20.0
"""Seconds after which the vectors that are ready are kept, for a run that goes on."""


def upgrade(
    collection: Collection, descriptor: Encoder, *, drop: bool = False, progress: Progress | None = None
) -> list[PhotoRejected]:
    """Encode every photo by ``descriptor`` and take its vectors, all in one new version; ids and labels stay.

    Readers go on with the version that they have; the one before can be taken again (:meth:`Collection.go_back`) until
    ``compact`` removes it. Begun work goes on where it stopped.

    Args:
        collection: to change; nothing is done where ``descriptor`` made its vectors.
        descriptor: of the new vectors.
        drop: remove the photos that cannot be read again, instead of refusing.
        progress: called with (photos done, photos in all).

    Returns:
        The photos that were dropped, with the reason.

    Raises:
        CollectionError: photos cannot be read again (uploads, files that are gone or changed), or it cannot be written.
    """
    if descriptor.fingerprint == collection.fingerprint:
        return []
    rows = collection.photos()
    kept = _Kept(collection, descriptor)
    rejected: dict[int, PhotoRejected] = {}
    missing = [row for row in rows if row.sha256 not in kept.vectors]
    done = len(rows) - len(missing)
    for row, vector in _encoded(descriptor, missing):
        if isinstance(vector, PhotoRejected):
            rejected[row.id] = vector
        else:
            kept.take(row, vector)
        done += 1
        if progress is not None:
            progress(done, len(rows))
    kept.save()
    if rejected and not drop:
        first = next(iter(rejected.values()))
        raise CollectionError(
            f"{collection.folder}: {len(rejected)} photos cannot be encoded again, the first is {first}; nothing was "
            "changed, --drop removes them"
        )
    if rejected:
        collection.remove(*rejected)
    stay = [row for row in rows if row.id not in rejected]
    vectors = [kept.vectors[row.sha256] for row in stay]
    collection.replace_descriptor(
        descriptor,
        np.array([row.id for row in stay], np.int64),
        np.stack(vectors) if vectors else np.zeros((0, descriptor.dim), np.float32),
    )
    kept.drop()
    return [*rejected.values()]


def _encoded(descriptor: Encoder, rows: Sequence[Row]) -> Iterator[tuple[Row, Vectors | PhotoRejected]]:
    """Each row with its photo's vector, or the reason why there is none."""
    asked: list[Row] = []

    def photos() -> Iterator[bytes]:
        for row in rows:
            asked.append(row)
            try:
                data = read_bytes(row.path) if row.path else b""
            except PhotoRejected as error:
                lost[row.id] = error.reason
                data = b""
            if row.id not in lost and sha256(data) != row.sha256:
                lost[row.id] = "changed since it was indexed" if row.path else "an upload, which is not kept"
            yield data if row.id not in lost else b""

    lost: dict[int, str] = {}
    for found in descriptor.stream(photos()):
        row = asked.pop(0)
        if row.id in lost:
            yield row, PhotoRejected(row.name, lost[row.id])
        elif found.vector is None:
            yield row, PhotoRejected(row.name, found.rejected.reason if found.rejected is not None else "no vector")
        else:
            yield row, found.vector


class _Kept:
    """New vectors by the photos' hashes, kept in the collection's derived data until all are there."""

    def __init__(self, collection: Collection, descriptor: Encoder) -> None:
        self._derived = Derived(Disk(collection.folder), "upgrade", {"fingerprint": descriptor.fingerprint})
        self.vectors: dict[str, Vectors] = {}
        hashes, vectors = self._derived.array("hashes"), self._derived.array("vectors")
        try:
            if hashes is not None and vectors is not None:
                digests = [row.tobytes().hex() for row in hashes.whole()]
                self.vectors = dict(zip(digests, np.array(vectors.whole()), strict=True))
        except (StaleBlock, ValueError):
            self.vectors = {}
        self._saved = time.monotonic()
        self._new = 0

    def take(self, row: Row, vector: Vectors) -> None:
        """Keep a photo's vector; now and then on disk."""
        self.vectors[row.sha256] = vector
        self._new += 1
        if time.monotonic() - self._saved >= INTERVAL_S:
            self.save()

    def save(self) -> None:
        """Keep what is there on disk."""
        if self._new:
            hashes = np.frombuffer(bytes.fromhex("".join(self.vectors)), np.uint8).reshape(-1, 32)
            self._derived.put(hashes=hashes, vectors=np.stack([*self.vectors.values()]))
            self._saved, self._new = time.monotonic(), 0

    def drop(self) -> None:
        """All is in the collection."""
        self._derived.drop()
