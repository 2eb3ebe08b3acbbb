"""Folders of reference and query photos whose label is in the file's name, or is its folder (CLICIDE, GaRoFou)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from reseen.errors import BenchmarkError
from reseen.evaluation.benchmark import Benchmark, Query, make_benchmark, photos_in

PATTERNS = {"clicide": r"^([^-]+)-", "garofou": r"^([^_]+)_([^_]+)_"}
"""How the published code reads the instance from a file's name: its groups, joined."""

QUERY_FOLDERS = ("test", "query", "queries", "q")


def load(name: str, folder: Path, *, pattern: str | None = None, partial: bool = False) -> list[Benchmark]:
    """Queries below ``test/`` (or ``query/``, ``queries/``, ``q/``), references everywhere else below ``folder``.

    Args:
        name: ``clicide`` and ``garofou`` bring their own pattern; other names take the folder that holds the photo as
            its label.
        folder: both kinds of photos.
        pattern: regular expression searched in the file's name; its groups, joined, are the label.
        partial: without effect, these sets come without a list.

    Photos whose name does not fit the pattern are left out with a note; queries of labels without references match
    nothing.
    """
    pattern = pattern or PATTERNS.get(name)
    homes = [folder / sub for sub in QUERY_FOLDERS if (folder / sub).is_dir()]
    if not homes:
        raise BenchmarkError(f"{folder}: the queries are expected in one of {', '.join(QUERY_FOLDERS)}/")
    asked = photos_in(homes[:1])
    inside = set(asked)
    references = [path for path in photos_in([folder]) if path not in inside]
    labels = {path: label_of(path, pattern) for path in references + asked}
    without = [path for path, label in labels.items() if label is None]
    database = [path for path in references if labels[path] is not None]
    of = np.array([labels[path] for path in database])
    queries, unmatched = [], []
    for path in asked:
        if labels[path] is None:
            continue
        same = np.flatnonzero(of == labels[path]).astype(np.int64)
        if len(same):
            queries.append(Query(path, same, np.zeros(0, np.int64)))
        else:
            unmatched.append(path)
    notes = (f"{len(without)} photos have no label by {pattern!r} and are left out",) if without else ()
    return [make_benchmark(name, folder, database, queries, unmatched=tuple(unmatched), notes=notes)]


def label_of(path: Path, pattern: str | None) -> str | None:
    """A photo's label; None when its name does not fit the pattern."""
    if pattern is None:
        return path.parent.name
    found = re.search(pattern, path.name)
    if found is None:
        return None
    return "".join(found.groups()) or found.group(0)
