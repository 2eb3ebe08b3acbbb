"""What projections are learned on: photos, and pairs of them that match."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from reseen.errors import BenchmarkError, PhotoRejected
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.evaluation.benchmarks.benchmark import photos_in
from reseen.evaluation.vectors import Digests, VectorCache
from reseen.images import load_photo, ordered_map
from reseen.scenes import VIRTUAL, mild_view, virtual_photo
from reseen.types import Box, Pairs

VIRTUAL_SIZE = (768, 576)
"""Width and height of the virtual photos that projections learn from."""
KINDS = "photos:DIR, folders:DIR, virtual:DIR, or a benchmark"


@dataclass(frozen=True)
class LearningSet:
    """Photos to learn from.

    Attributes:
        name: for tables and protocol cards.
        photos: files.
        boxes: what of each photo counts; None for all of it.
        pairs: ``(m, 2)`` int64 rows of ``photos`` that match; may be empty.
    """

    name: str
    photos: tuple[Path, ...]
    boxes: tuple[Box | None, ...]
    pairs: Pairs

    @property
    def summary(self) -> str:
        """``distractors (500 photos, 0 pairs)``."""
        return f"{self.name} ({len(self.photos)} photos, {len(self.pairs)} pairs)"


def read_learning_set(spec: str, cache: VectorCache) -> LearningSet:
    """The photos and pairs that ``spec`` names.

    Args:
        spec: ``photos:DIR``, photos without pairs; ``folders:DIR``, a folder per class, whose photos match each other;
            ``virtual:DIR``, a mild view of each photo against a virtual photo of it; or a benchmark, as
            ``load_benchmarks`` takes it: its photos, queries against their positives.
        cache: beside whose vectors virtual photos are kept.

    Raises:
        BenchmarkError: no such folder or benchmark, or no photos in it.
    """
    kind, colon, rest = spec.partition(":")
    if not colon or kind not in ("photos", "folders", "virtual"):
        return _of_benchmark(spec)
    folder = Path(os.path.abspath(rest))  # noqa: PTH100 - links are kept
    photos = photos_in([folder])
    if not photos:
        raise BenchmarkError(f"{folder}: no photos to learn from")
    if kind == "virtual":
        return _virtual(folder, photos, cache)
    pairs = _class_pairs([photo.relative_to(folder).parts for photo in photos]) if kind == "folders" else []
    return LearningSet(f"{kind}:{_name(folder)}", tuple(photos), (None,) * len(photos), _rows(pairs))


def joined(sets: Sequence[LearningSet]) -> LearningSet:
    """All photos and pairs of several sets; without any, an empty set."""
    starts = np.cumsum([0, *(len(one.photos) for one in sets)])
    pairs = [one.pairs + start for one, start in zip(sets, starts, strict=False)]
    return LearningSet(
        " + ".join(one.name for one in sets),
        tuple(itertools.chain.from_iterable(one.photos for one in sets)),
        tuple(itertools.chain.from_iterable(one.boxes for one in sets)),
        np.concatenate([_rows([]), *pairs]),
    )


def _name(folder: Path) -> str:
    """A folder's name and its parent's."""
    return "/".join(folder.parts[-2:])


def _rows(pairs: Sequence[tuple[int, int]]) -> Pairs:
    return np.array(pairs, np.int64).reshape(-1, 2)


def _class_pairs(parts: Sequence[tuple[str, ...]]) -> list[tuple[int, int]]:
    """Every two photos below the same folder; those of the topmost folder belong to none."""
    members: dict[str, list[int]] = {}
    for row, names in enumerate(parts):
        if len(names) > 1:
            members.setdefault(names[0], []).append(row)
    return [pair for rows in members.values() for pair in itertools.combinations(rows, 2)]


def _of_benchmark(spec: str) -> LearningSet:
    try:
        benchmark = load_benchmarks(spec)[0]
    except BenchmarkError as error:
        raise BenchmarkError(f"{error} (to learn on: {KINDS})") from None
    n = len(benchmark.database)
    return LearningSet(
        benchmark.name,
        (*benchmark.database, *(query.photo for query in benchmark.queries)),
        (*[None] * n, *(query.box for query in benchmark.queries)),
        _rows([(n + i, int(row)) for i, query in enumerate(benchmark.queries) for row in query.positives]),
    )


def _virtual(folder: Path, photos: Sequence[Path], cache: VectorCache) -> LearningSet:
    """Mild views and virtual photos of references, made once and kept."""
    settings = dataclasses.replace(VIRTUAL, size=VIRTUAL_SIZE)
    home = cache.folder.parent / "virtual" / hashlib.sha256(repr(settings).encode()).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    with Digests(cache.folder) as digests:
        names = [digests.of(photo).hex()[:32] for photo in photos]

    def made(row: int) -> tuple[Path, Path] | None:
        files = home / f"{names[row]}-mild.jpg", home / f"{names[row]}-virtual.jpg"
        if not all(file.is_file() for file in files):
            try:
                pixels = load_photo(photos[row], at_least=2 * max(VIRTUAL_SIZE)).pixels
            except PhotoRejected:
                return None
            rng = np.random.default_rng(int(names[row], 16))
            for file, view in zip(
                files, (mild_view(pixels, rng, settings.size), virtual_photo(pixels, rng, settings).pixels), strict=True
            ):
                part = file.with_suffix(f".{os.getpid()}.part")
                Image.fromarray(view).save(part, "JPEG", quality=92)
                part.replace(file)
        return files

    views: Iterator[tuple[Path, Path] | None] = ordered_map(made, range(len(photos)), workers=2)
    files = [file for pair in views if pair is not None for file in pair]
    pairs = [(row, row + 1) for row in range(0, len(files), 2)]
    return LearningSet(f"virtual:{_name(folder)}", tuple(files), (None,) * len(files), _rows(pairs))
