"""What a benchmark is: a database, queries, and which photos match them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from reseen.errors import BenchmarkError
from reseen.evaluation.measures.metrics import check_truth
from reseen.images import display
from reseen.photosets import PhotoSet, components, photos_in
from reseen.types import Box, Rows

Measure = Literal["map", "map@100", "ukb"]
PrecisionRule = Literal["plain", "revisited"]


@dataclass(frozen=True, eq=False)
class Query:
    """One query.

    Attributes:
        photo: its file.
        positives, junk: rows of the database; junk is removed before ranks count.
        box: what of it is searched for, in pixels of the upright photo; None for all of it.
    """

    photo: Path
    positives: Rows
    junk: Rows
    box: Box | None = None


@dataclass(frozen=True, eq=False)
class Benchmark:
    """Photos and ground truth.

    Attributes:
        name: e.g. ``roxford5k-medium``.
        root: folder that photos' names are shown relative to.
        database: photos that are ranked.
        queries: photos that are searched for.
        unmatched: queries with no match in the database, for the open-set measures.
        measure: its own figure of merit: mAP, mAP@100 (GLD) or the UKB score.
        precision_rule: how its precision@k divides (see ``metrics.precision_at``).
        labels: which instance each photo of the database shows, for averages over instances; empty when unknown.
        pairs: ``(m, 3)`` int64: row of ``queries``, row of ``database``, 1 if they match, for pair verification.
        distractors: how many of the last photos of the database came from distractor folders.
        truth: sha256 of the ground truth's files.
        notes: what the user should know (queries without positives, ...).
    """

    name: str
    root: Path
    database: tuple[Path, ...]
    queries: tuple[Query, ...]
    unmatched: tuple[Path, ...] = ()
    measure: Measure = "map"
    precision_rule: PrecisionRule = "plain"
    labels: tuple[str, ...] = field(default=(), repr=False)
    pairs: Rows | None = field(default=None, repr=False)
    distractors: int = 0
    truth: str = ""
    notes: tuple[str, ...] = ()

    @property
    def photos(self) -> tuple[Path, ...]:
        """Database, queries, and queries without a match, in this order."""
        return (*self.database, *(query.photo for query in self.queries), *self.unmatched)

    def shown(self, photo: Path) -> str:
        """A photo's name for people: relative to the root where it lies below it."""
        return display(photo.relative_to(self.root) if photo.is_relative_to(self.root) else photo)

    def photo_set(self) -> PhotoSet:
        """Its photos to learn from: database, then queries with their boxes; queries against their positives.

        What is joined by positives or junk is one cluster, so that nothing of it counts as not matching.
        """
        n = len(self.database)
        photos = (*self.database, *(query.photo for query in self.queries))
        pairs = [(n + i, row) for i, query in enumerate(self.queries) for row in query.positives.tolist()]
        junk = [(n + i, row) for i, query in enumerate(self.queries) for row in query.junk.tolist()]
        return PhotoSet(
            self.name,
            photos,
            components(len(photos), np.array(pairs + junk, np.int64).reshape(-1, 2)),
            pairs=np.array(pairs, np.int64).reshape(-1, 2),
            unpaired=np.zeros(len(photos), bool),
            boxes=(*[None] * n, *(query.box for query in self.queries)),
        )

    def with_distractors(self, folders: Iterable[Path]) -> Benchmark:
        """The same queries and truth with every photo of ``folders`` added to the database.

        Photos that are in the database already (the same file) are not added again.
        """
        found = photos_in(folders)
        known = {path.resolve() for path in self.database}
        added = tuple(path for path in found if path.resolve() not in known)
        if not added:
            raise BenchmarkError(f"no photos to add in {', '.join(map(str, folders))}")
        return replace(
            self,
            name=f"{self.name}+{len(added)}",
            database=(*self.database, *added),
            labels=(*self.labels, *(f"distractor {i}" for i in range(len(added)))) if self.labels else (),
            distractors=self.distractors + len(added),
        )


def make_benchmark(
    name: str,
    root: Path,
    database: Sequence[Path],
    queries: Sequence[Query],
    *,
    unmatched: Sequence[Path] = (),
    truth_files: Iterable[Path] = (),
    measure: Measure = "map",
    precision_rule: PrecisionRule = "plain",
    labels: Sequence[str] = (),
    pairs: Rows | None = None,
    notes: tuple[str, ...] = (),
) -> Benchmark:
    """A checked benchmark; the arguments are its attributes.

    Raises:
        BenchmarkError: no queries or database, a photo listed twice, missing files, a photo both positive and junk,
            truth outside the database.
    """
    if not database or not queries:
        raise BenchmarkError(f"{name}: no {'queries' if database else 'database photos'} in {root}")
    photo, count = Counter(database).most_common(1)[0]
    if count > 1:
        raise BenchmarkError(f"{name}: {display(photo)} is in the database twice")
    for query in queries:
        check_truth(query.positives, query.junk, len(database), f"{name}: query {display(query.photo)}")
    check_files(name, [*database, *(query.photo for query in queries), *unmatched])
    without = sum(len(query.positives) == 0 for query in queries)
    if without:
        notes = (*notes, f"{without} of {len(queries)} queries have no positives and are left out of the means")
    return Benchmark(
        name,
        root,
        tuple(database),
        tuple(queries),
        unmatched=tuple(unmatched),
        measure=measure,
        precision_rule=precision_rule,
        labels=tuple(labels),
        pairs=pairs,
        truth=digest(truth_files),
        notes=notes,
    )


def check_files(name: str, photos: Iterable[Path]) -> None:
    """BenchmarkError naming the first missing or empty file, and how many there are."""
    missing = []
    count = 0
    for photo in photos:
        count += 1
        try:
            if os.stat(photo).st_size == 0:  # noqa: PTH116 - a million of them
                missing.append(photo)
        except OSError:
            missing.append(photo)
    if missing:
        raise BenchmarkError(
            f"{name}: {len(missing)} of {count} photos are missing or empty, the first is {display(missing[0])}; "
            "the download may be incomplete"
        )


def check_count(name: str, found: int, *expected: int, what: str = "photos", partial: bool = False) -> tuple[str, ...]:
    """BenchmarkError when a published set is not whole, unless ``partial``; then a note."""
    if found in expected:
        return ()
    message = f"{found} {what} where {name} has {expected[0]}"
    if partial:
        return (f"partial set: {message}",)
    raise BenchmarkError(
        f"{name}: {message}: the download is incomplete (or not this set); --partial takes it as it is"
    )


def digest(files: Iterable[Path]) -> str:
    """sha256 over the names and contents of files, in order of name; empty for none."""
    listed = sorted(files, key=lambda path: path.name)
    total = hashlib.sha256()
    for path in listed:
        total.update(path.name.encode("utf-8", "surrogateescape") + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest() if listed else ""


def check_sums(folder: Path) -> int:
    """Check the files that ``SHA256SUMS`` (or ``MD5SUMS``) in ``folder`` lists; how many were checked.

    The format is that of ``sha256sum``: digest, two spaces, path relative to the folder.

    Raises:
        BenchmarkError: a file is missing or has another digest.
    """
    checked = 0
    for sums, method in (("SHA256SUMS", "sha256"), ("MD5SUMS", "md5")):
        path = folder / sums
        if not path.is_file():
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            wanted, _, name = line.strip().partition(" ")
            name = name.strip().lstrip("*")
            if not name:
                continue
            file = folder / name
            if not file.is_file():
                raise BenchmarkError(f"{file} is missing, {sums} lists it: the download is incomplete")
            with file.open("rb") as opened:
                found = hashlib.file_digest(opened, method).hexdigest()
            if found != wanted.lower():
                raise BenchmarkError(f"{file} is not what {sums} says: the download is damaged or incomplete")
            checked += 1
    return checked


def rows_of(names: Iterable[str], row: Mapping[str, int], where: str) -> Rows:
    """Rows of the database of photos by name; BenchmarkError for a name that it does not hold."""
    rows = []
    for name in names:
        if name not in row:
            raise BenchmarkError(f"{where}: the ground truth names {name!r}, which is not in the database")
        rows.append(row[name])
    return np.unique(np.asarray(rows, np.int64))
