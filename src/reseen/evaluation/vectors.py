"""Vectors of photos, kept on disk: no photo is seen twice by the same network.

The head's vectors, before the projection, are kept by the fingerprint of backbone and head, by what ran
them (engine, precision, device) and by the content of each photo: every projection, dimension and expansion shares
them, and so do benchmarks with photos in common.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sqlite3
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from numpy.typing import NDArray

from reseen.descriptor import Descriptor
from reseen.errors import BenchmarkError, PhotoRejected
from reseen.evaluation.shared_pass import abreast, sharing, unprojected
from reseen.projections import l2_rows
from reseen.types import Box, Progress, Vectors

SHARD = 2048
"""Photos per file; what is lost when an extraction is killed."""
BLOCK = 8192


@dataclass(frozen=True)
class Extracted:
    """Vectors of photos.

    Attributes:
        vectors: float32 ``(n, d)``; rows of rejected photos are zero.
        rejected: reasons by row.
        seconds_per_photo: of extraction, when these photos were first seen (the whole pass, where
            several descriptors shared it); NaN when unknown.
    """

    vectors: Vectors
    rejected: dict[int, PhotoRejected]
    seconds_per_photo: float


class VectorCache:
    """A folder of vectors; many processes may use it at once.

    Args:
        folder: by default ``RESEEN_CACHE``, or the user's cache folder.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        chosen = folder or os.environ.get("RESEEN_CACHE") or platformdirs.user_cache_path("reseen")
        self.folder = Path(chosen) / "vectors"

    def encode(
        self,
        descriptor: Descriptor,
        photos: Sequence[Path],
        boxes: Sequence[Box | None] | None = None,
        *,
        crop: str | None = None,
        project: bool = True,
        progress: Progress | None = None,
    ) -> Extracted:
        """Vectors of ``photos``, those that are new extracted and kept.

        Args:
            descriptor: whose vectors.
            photos: files.
            boxes: one or None per photo.
            crop: what a box means; by default the recipe's rule.
            project: False leaves the head's vectors.
            progress: called with (photos extracted, photos to extract).
        """
        every = _one_each(photos, boxes)
        crop = crop or descriptor.recipe.images.crop
        keys, rejected = self._keys(photos, every, _meaning(descriptor, crop))
        raw = unprojected(descriptor)
        refused = self._extract_new([raw], photos, every, keys, rejected, crop, progress)
        shelf = self._shelf(raw)
        held = shelf.find(keys)
        for i in np.flatnonzero(held[:, 0] < 0).tolist():
            if i not in rejected:
                rejected[i] = refused[keys[i].tobytes()]
        width = descriptor.dim if project else raw.head.dim
        vectors = np.zeros((len(photos), width), np.float32)
        for start in range(0, len(photos), BLOCK):
            part = held[start : start + BLOCK]
            there = part[:, 0] >= 0
            rows_read = shelf.read(part[there])
            vectors[start : start + BLOCK][there] = descriptor.project(rows_read) if project else rows_read
        return Extracted(vectors, rejected, shelf.seconds_per_photo(held))

    def fill(
        self,
        descriptors: Sequence[Descriptor],
        photos: Sequence[Path],
        boxes: Sequence[Box | None] | None = None,
        *,
        crop: str | None = None,
        progress: Progress | None = None,
    ) -> None:
        """Keep the vectors of several descriptors, so that :meth:`encode` finds them.

        Descriptors with the same network, layers and inputs share one pass over each photo. Photos that cannot be used
        are left for :meth:`encode` to report. The arguments are its own.
        """
        every = _one_each(photos, boxes)
        by_rule: dict[tuple[str, str], list[Descriptor]] = {}
        for descriptor in descriptors:
            rule = crop or descriptor.recipe.images.crop
            by_rule.setdefault((rule, _meaning(descriptor, rule)), []).append(descriptor)
        for (rule, meaning), alike in by_rule.items():
            keys, rejected = self._keys(photos, every, meaning)
            for raws in sharing(alike):
                self._extract_new(raws, photos, every, keys, rejected, rule, progress)

    def _keys(
        self, photos: Sequence[Path], boxes: Sequence[Box | None], crop: str
    ) -> tuple[NDArray[np.uint8], dict[int, PhotoRejected]]:
        """Keys ``(n, 32)`` of photos, and why those that cannot be read have none."""
        keys = np.zeros((len(photos), 32), np.uint8)
        rejected: dict[int, PhotoRejected] = {}
        with Digests(self.folder) as digests:
            for i, (photo, box) in enumerate(zip(photos, boxes, strict=True)):
                try:
                    keys[i] = np.frombuffer(_key(digests.of(photo), box, crop), np.uint8)
                except OSError as error:
                    rejected[i] = PhotoRejected(str(photo), f"cannot be read ({error.strerror or error})")
        return keys, rejected

    def _shelf(self, raw: Descriptor) -> Shelf:
        return Shelf(self.folder / "-".join([raw.fingerprint[:24], *raw.runtime.values()]).replace(":", ""))

    def _extract_new(
        self,
        raws: Sequence[Descriptor],
        photos: Sequence[Path],
        boxes: Sequence[Box | None],
        keys: NDArray[np.uint8],
        rejected: Mapping[int, PhotoRejected],
        crop: str,
        progress: Progress | None,
    ) -> dict[bytes, PhotoRejected]:
        """Extract, in one pass, the photos that a shelf of ``raws`` lacks; why some could not be, by key."""
        new: dict[bytes, int] = {}
        lacking = []
        for raw in raws:
            shelf = self._shelf(raw)
            rows = [i for i in np.flatnonzero(shelf.find(keys)[:, 0] < 0).tolist() if i not in rejected]
            if rows:
                lacking.append((raw, shelf))
            for i in rows:
                new.setdefault(keys[i].tobytes(), i)
        if not new:
            return {}
        places = list(new.values())
        chosen, their = [photos[i] for i in places], [boxes[i] for i in places]
        return _extract(
            [raw for raw, _ in lacking], [s for _, s in lacking], chosen, their, keys[places], crop, progress
        )


def _meaning(descriptor: Descriptor, crop: str) -> str:
    """What a box means, for keys: under an exact size ``relative`` and ``padded`` once were ``tight``."""
    scaled = descriptor.recipe.images.exact is not None and crop in ("relative", "padded")
    return f"{crop} to the resized photo" if scaled else crop


def _key(digest: bytes, box: Box | None, crop: str) -> bytes:
    if box is None:
        return digest
    return hashlib.sha256(digest + json.dumps([crop, [float(v) for v in box]]).encode()).digest()


def _extract(
    raws: Sequence[Descriptor],
    shelves: Sequence[Shelf],
    photos: Sequence[Path],
    boxes: Sequence[Box | None],
    keys: NDArray[np.uint8],
    crop: str,
    progress: Progress | None,
) -> dict[bytes, PhotoRejected]:
    """Extract new photos onto each descriptor's shelf, shard by shard; why some cannot be used, by key."""
    one = raws[0] if len(raws) == 1 else abreast(raws)
    ends = np.cumsum([raw.head.dim for raw in raws])[:-1]
    refused: dict[bytes, PhotoRejected] = {}
    found: list[Vectors] = []
    found_keys: list[NDArray[np.uint8]] = []
    began = time.perf_counter()

    def put() -> None:
        seconds = time.perf_counter() - began
        for shelf, part in zip(shelves, np.split(np.stack(found), ends, axis=1), strict=True):
            shelf.add(np.stack(found_keys), l2_rows(part), seconds)

    given = boxes if any(box is not None for box in boxes) else None
    for item in one.stream(list(photos), given, crop=crop, project=False, progress=progress):
        if item.vector is None:
            assert item.rejected is not None
            refused[keys[item.index].tobytes()] = item.rejected
            continue
        found.append(item.vector)
        found_keys.append(keys[item.index])
        if len(found) == SHARD:
            put()
            found, found_keys, began = [], [], time.perf_counter()
    if found:
        put()
    return refused


def _one_each(photos: Sequence[Path], boxes: Sequence[Box | None] | None) -> Sequence[Box | None]:
    every: Sequence[Box | None] = boxes if boxes is not None else [None] * len(photos)
    if len(every) != len(photos):
        raise BenchmarkError(f"{len(photos)} photos but {len(every)} boxes")
    return every


class Shelf:
    """Shards of one network's vectors: ``ID.vectors.npy``, ``ID.json``, and ``ID.keys.npy`` written last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._open: dict[str, Vectors] = {}
        self._names: list[str] = []

    def find(self, keys: NDArray[np.uint8]) -> NDArray[np.int64]:
        """(shard, row) of each key ``(n, 32)``; -1 where it is not held."""
        held = np.full((len(keys), 2), -1, np.int64)
        self._names = sorted(path.name.removesuffix(".keys.npy") for path in self.folder.glob("*.keys.npy"))
        if not self._names or not len(keys):
            return held
        parts = [np.load(self.folder / f"{name}.keys.npy", allow_pickle=False) for name in self._names]
        shard = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        row = np.concatenate([np.arange(len(part)) for part in parts])
        kept = _texts(np.concatenate(parts))
        order = np.argsort(kept, kind="stable")
        place = np.minimum(np.searchsorted(kept[order], _texts(keys)), len(order) - 1)
        hit = kept[order][place] == _texts(keys)
        held[hit, 0] = shard[order[place[hit]]]
        held[hit, 1] = row[order[place[hit]]]
        return held

    def read(self, held: NDArray[np.int64]) -> Vectors:
        """Rows found by :meth:`find`, ``(n, d)``."""
        if not len(held):
            return np.zeros((0, 0), np.float32)
        shards = {int(i): self._vectors(int(i)) for i in np.unique(held[:, 0])}
        rows = np.empty((len(held), next(iter(shards.values())).shape[1]), np.float32)
        for i, vectors in shards.items():
            mine = held[:, 0] == i
            rows[mine] = vectors[held[mine, 1]]
        return rows

    def add(self, keys: NDArray[np.uint8], vectors: Vectors, seconds: float) -> None:
        """Keep a shard; it counts once its keys are in place."""
        self.folder.mkdir(parents=True, exist_ok=True)
        name = uuid.uuid4().hex
        np.save(self.folder / f"{name}.vectors.npy", vectors, allow_pickle=False)
        card = json.dumps({"photos": len(keys), "seconds": seconds})
        (self.folder / f"{name}.json").write_text(card, encoding="utf-8")
        part = self.folder / f"{name}.part.npy"
        np.save(part, keys, allow_pickle=False)
        part.rename(self.folder / f"{name}.keys.npy")

    def seconds_per_photo(self, held: NDArray[np.int64]) -> float:
        """Mean over the shards that hold these photos."""
        photos = seconds = 0.0
        for i in np.unique(held[held[:, 0] >= 0, 0]):
            card = json.loads((self.folder / f"{self._names[int(i)]}.json").read_text(encoding="utf-8"))
            photos, seconds = photos + card["photos"], seconds + card["seconds"]
        return seconds / photos if photos else float("nan")

    def _vectors(self, i: int) -> Vectors:
        name = self._names[i]
        if name not in self._open:
            path = self.folder / f"{name}.vectors.npy"
            try:
                self._open[name] = np.load(path, mmap_mode="r", allow_pickle=False)
            except (OSError, ValueError) as error:
                raise BenchmarkError(f"{path}: damaged ({error}); remove {self.folder} and run again") from None
        return self._open[name]


def _texts(keys: NDArray[np.uint8]) -> NDArray[Any]:
    """Keys as fixed-length bytes, which sort and compare as one value."""
    return np.ascontiguousarray(keys).view("S32").ravel()


class Digests:
    """sha256 of files, remembered by path, size and time of change, so that large sets are read once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "digests.sqlite3"

    def __enter__(self) -> Digests:
        self.connection = sqlite3.connect(self.file, timeout=60)
        self.connection.execute(
            "create table if not exists digests (path blob primary key, size integer, changed integer, digest blob)"
        )
        self.committed = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.closing(self.connection):
            self.connection.commit()

    def of(self, photo: Path) -> bytes:
        """sha256 of a file's content; OSError when it cannot be read."""
        status = photo.stat()
        path = os.fsencode(os.path.abspath(photo))  # noqa: PTH100 - links are kept
        known = self.connection.execute(
            "select digest from digests where path = ? and size = ? and changed = ?",
            (path, status.st_size, status.st_mtime_ns),
        ).fetchone()
        if known is not None:
            return bytes(known[0])
        with photo.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        self.connection.execute(
            "insert or replace into digests values (?, ?, ?, ?)", (path, status.st_size, status.st_mtime_ns, digest)
        )
        if time.monotonic() - self.committed > 1:  # other processes wait for a long transaction
            self.connection.commit()
            self.committed = time.monotonic()
        return digest


def check_vectors(vectors: Vectors, what: str) -> None:
    """BenchmarkError unless every row is finite and of unit length, or zero as a blank photo's is."""
    for start in range(0, len(vectors), BLOCK):
        part = vectors[start : start + BLOCK]
        bad = ~np.isfinite(part).all(1)
        if bad.any():
            raise BenchmarkError(f"{what}: vector {start + int(bad.argmax())} holds values that are not finite")
        norms = np.linalg.norm(part, axis=1)
        odd = (np.abs(norms - 1) > 1e-3) & (norms > 0)
        if odd.any():
            row = int(odd.argmax())
            raise BenchmarkError(f"{what}: vector {start + row} has length {norms[row]:.4g}, not 1; normalise the rows")
