"""Oxford5k and Paris6k: the text ground truth of their authors, and the lists that papers share (.pkl, .mat)."""

from __future__ import annotations

from pathlib import Path

from reseen.errors import BenchmarkError
from reseen.evaluation.benchmarks.benchmark import Benchmark, Query, check_count, make_benchmark, rows_of
from reseen.evaluation.benchmarks.lists import find_list, image_path, index_array, read_list
from reseen.photosets import by_stem

COUNTS = {"oxford5k": (5063, 5062), "paris6k": (6392,)}
"""Photos of whole sets: Oxford5k's archive holds one more than its authors say, Paris6k's 20 damaged ones more."""

DAMAGED = frozenset(
    f"paris_{landmark}_{number:06d}"
    for landmark, numbers in {
        "louvre": (136, 146),
        "moulinrouge": (422,),
        "museedorsay": (1059,),
        "notredame": (188,),
        "pantheon": (284, 960, 974),
        "pompidou": (195, 196, 201, 467, 640),
        "sacrecoeur": (299, 330, 353),
        "triomphe": (662, 833, 863, 867),
    }.items()
    for number in numbers
)
"""Photos of Paris6k that its authors list as damaged."""


def load(name: str, folder: Path, *, partial: bool = False) -> list[Benchmark]:
    """Oxford5k or Paris6k below ``folder``, from ``gnd_*.pkl``, ``gnd_*.mat`` or the ``*_query.txt`` files.

    The query photo is in the database and counts as relevant, as in the authors' ``compute_ap``.
    """
    listed = find_list(folder, name)
    if listed is not None:
        return [from_list(name, folder, listed, partial=partial)]
    return [from_texts(name, folder, partial=partial)]


def from_texts(name: str, folder: Path, *, partial: bool = False) -> Benchmark:
    """The authors' files: ``X_query.txt``, ``X_good.txt``, ``X_ok.txt``, ``X_junk.txt``, anywhere below ``folder``."""
    files = sorted(folder.rglob("*_query.txt"))
    if not files:
        raise BenchmarkError(f"{folder}: neither gnd_*.pkl, gnd_*.mat nor *_query.txt for {name}")
    photos = {stem: path for stem, path in by_stem(folder).items() if stem not in DAMAGED}
    stems = sorted(photos)
    row = {stem: i for i, stem in enumerate(stems)}
    notes = check_count(name, len(stems), *COUNTS[name], partial=partial)
    queries, truth = [], []
    for file in files:
        fields = file.read_text(encoding="utf-8").split()
        if len(fields) != 5:
            raise BenchmarkError(f"{file}: not a query file (a name and four numbers)")
        parts = {part: file.with_name(file.name.replace("_query", f"_{part}")) for part in ("good", "ok", "junk")}
        missing = [path for path in parts.values() if not path.is_file()]
        if missing:
            raise BenchmarkError(f"{missing[0]}: missing; the download of the ground truth is incomplete")
        truth += [file, *parts.values()]
        found = {
            part: [s for s in path.read_text(encoding="utf-8").split() if s not in DAMAGED]
            for part, path in parts.items()
        }
        stem = fields[0].removeprefix("oxc1_")
        if stem not in row:
            raise BenchmarkError(f"{file}: the query {stem!r} is not among the photos below {folder}")
        x0, y0, x1, y1 = (float(v) for v in fields[1:])
        queries.append(
            Query(
                photos[stem],
                rows_of(found["good"] + found["ok"], row, str(file)),
                rows_of(found["junk"], row, str(file)),
                (x0, y0, x1, y1),
            )
        )
    database = [photos[stem] for stem in stems]
    return make_benchmark(name, folder, database, queries, truth_files=truth, notes=notes)


def from_list(name: str, folder: Path, file: Path, *, partial: bool = False) -> Benchmark:
    """A ``gnd_*`` list: ``imlist``, ``qimlist`` and per query ``ok``, ``junk``, ``bbx``."""
    data = read_list(file)
    photos = by_stem(folder)
    database = [image_path(folder, stem, photos) for stem in data.database]
    notes = check_count(name, len(database), *COUNTS[name], partial=partial)
    queries = [
        Query(
            image_path(folder, stem, photos),
            index_array(entry, "ok", data.first),
            index_array(entry, "junk", data.first),
            data.box(entry),
        )
        for stem, entry in zip(data.queries, data.truth, strict=True)
    ]
    return make_benchmark(name, folder, database, queries, truth_files=[file], notes=notes)
