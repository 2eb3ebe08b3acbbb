"""What is learned from: photo sets, benchmarks among them, and virtual photos as files."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from reseen.errors import BenchmarkError, PhotoSetError
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.evaluation.vectors import Digests, VectorCache
from reseen.photosets import KINDS, PhotoSet, join, parse, read_photo_set
from reseen.scenes.studio import Manner, Studio, Wish

MANNER = Manner(size=(768, 576), side=1536)
"""Of the virtual photos that projections learn from."""


def read_learning_set(spec: str | Path) -> PhotoSet:
    """The photos that ``spec`` names, and what is known of which match.

    Args:
        spec: ``KIND:PATH`` with a kind of :data:`reseen.photosets.KINDS`; a folder of class folders; a table of
            pairs; or a benchmark as ``load_benchmarks`` takes it: its photos, queries against their positives.

    Raises:
        PhotoSetError: no such folder, list or benchmark, or no photos in it.
    """
    found = read_photo_set(parse(spec))
    if found is not None:
        return found
    try:
        return load_benchmarks(spec)[0].photo_set()
    except BenchmarkError as error:
        raise PhotoSetError(f"{error} (to learn from: {', '.join(KINDS)} as KIND:PATH, or a benchmark)") from None


def with_virtual_photos(photos: PhotoSet, cache: VectorCache) -> PhotoSet:
    """The set with a mild view and a virtual photo, as files, in the place of each pair of a photo with itself.

    They are made once for the photo's content and kept beside the cache's vectors. References leave the set, and so do
    pairs of photos that cannot be read.
    """
    rows = photos.virtual_pairs[:, 0].tolist()
    if not rows:
        return photos
    home = cache.folder.parent / "virtual" / hashlib.sha256(repr(MANNER).encode()).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    with Digests(cache.folder) as digests:
        names = [digests.of(photos.photos[row]).hex()[:32] for row in rows]
    studio = Studio([photos.photos[row] for row in rows], MANNER, workers=2, keys=[int(name, 16) for name in names])
    wishes = [Wish(number, how) for number in range(len(rows)) for how in ("mild", "virtual")]
    files = [home / f"{names[wish.row]}-{wish.how}.jpg" for wish in wishes]
    made = np.array(studio.files(wishes, files)).reshape(-1, 2).all(1)
    views = tuple(file for number in np.flatnonzero(made) for file in files[2 * number : 2 * number + 2])
    shown = PhotoSet(
        photos.name,
        views,
        np.repeat(np.arange(len(views) // 2, dtype=np.int64), 2),
        pairs=np.arange(len(views), dtype=np.int64).reshape(-1, 2),
        unpaired=np.zeros(len(views), bool),
    )
    others = photos.pairs[:, 0] != photos.pairs[:, 1]
    rest = replace(photos, pairs=photos.pairs[others], negatives=photos.negatives[others]).keep(~photos.virtual)
    return replace(join([rest, shown]), name=photos.name)
