"""Folders of reference and query photos whose label is in the file's name, or is its folder (CLICIDE, GaRoFou)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from reseen.errors import BenchmarkError
from reseen.evaluation.benchmarks.benchmark import Benchmark, Query, make_benchmark
from reseen.photosets import photos_in

PATTERNS = {"clicide": r"^([^-]+)-", "garofou": r"^([^_]+)_([^_]+)_"}
"""How the published code reads the instance from a file's name: its groups, joined."""

WALL = re.compile(r"walls?\d*", re.IGNORECASE)
"""Labels of photos that show a wall only; the museum paper filters them (Section 4.1.1)."""

QUERY_FOLDERS = ("test", "query", "queries", "q")


def load(name: str, folder: Path, *, pattern: str | None = None, partial: bool = False) -> list[Benchmark]:
    """Queries below ``test/`` (or ``query/``, ``queries/``, ``q/``), references everywhere else below ``folder``.

    Args:
        name: ``clicide`` and ``garofou`` bring their own pattern; other names take the folder that holds the photo as
            its label.
        folder: both kinds of photos.
        pattern: regular expression searched in the file's name; its groups, joined, are the label.
        partial: without effect, these sets come without a list.

    Photos whose name does not fit the pattern, and CLICIDE's and GaRoFou's of bare walls, are left out with a note;
    queries of labels without references match nothing.
    """
    try:
        regex = re.compile(pattern or PATTERNS[name]) if pattern or name in PATTERNS else None
    except re.error as error:
        raise BenchmarkError(f"pattern {pattern!r} is not a regular expression ({error})") from None
    homes = [folder / sub for sub in QUERY_FOLDERS if (folder / sub).is_dir()]
    if not homes:
        raise BenchmarkError(f"{folder}: the queries are expected in one of {', '.join(QUERY_FOLDERS)}/")
    asked = photos_in(homes[:1])
    inside = set(asked)
    references = [path for path in photos_in([folder]) if path not in inside]
    found = {path: label_of(path, regex) for path in references + asked}
    known = {path: label for path, label in found.items() if label is not None}
    filtered = name in PATTERNS
    labels = {path: label for path, label in known.items() if not (filtered and WALL.fullmatch(label))}
    database = [path for path in references if path in labels]
    of = np.array([labels[path] for path in database])
    queries, unmatched = [], []
    for path in asked:
        if path not in labels:
            continue
        same = np.flatnonzero(of == labels[path]).astype(np.int64)
        if len(same):
            queries.append(Query(path, same, np.zeros(0, np.int64)))
        else:
            unmatched.append(path)
    without, walls = len(found) - len(known), len(known) - len(labels)
    notes: tuple[str, ...] = (
        (f"{without} photos have no label by {pattern or PATTERNS[name]!r} and are left out",) if without else ()
    )
    notes += (f"{walls} photos of walls are left out",) if walls else ()
    listed = [labels[path] for path in database]
    return [make_benchmark(name, folder, database, queries, unmatched=unmatched, labels=listed, notes=notes)]


def label_of(path: Path, pattern: re.Pattern[str] | None) -> str | None:
    """A photo's label; None when its name does not fit the pattern."""
    if pattern is None:
        return path.parent.name
    found = pattern.search(path.name)
    if found is None:
        return None
    return "".join(group or "" for group in found.groups()) or found.group(0)
