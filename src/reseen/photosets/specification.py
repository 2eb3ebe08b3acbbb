"""How photo sets are named: ``KIND:PATH``, or a path alone."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from reseen.photosets.colmap import reconstructions
from reseen.photosets.folders import class_folders, references, unrelated
from reseen.photosets.lists import google_landmarks, labels_file, retrieval_sfm_file, tuples_file
from reseen.photosets.photo_set import PhotoSet

KINDS: dict[str, Callable[[Path], PhotoSet]] = {
    "photos": unrelated,
    "folders": class_folders,
    "folders+virtual": partial(class_folders, virtual=True),
    "virtual": references,
    "pairs": tuples_file,
    "labels": labels_file,
    "landmarks": google_landmarks,
    "sfm": retrieval_sfm_file,
    "sfm-val": partial(retrieval_sfm_file, part="val"),
    "colmap": reconstructions,
}
"""Readers of folders and lists by the name before the colon."""
TABLES = (".csv", ".jsonl", ".ndjson")
"""Suffixes of files that list pairs."""


class Specification(NamedTuple):
    """A kind, empty for a path alone, and the absolute path, its links kept."""

    kind: str
    path: Path


def parse(text: str | Path) -> Specification:
    """``KIND:PATH`` in two. A path that exists is a path, whatever colons are in it."""
    kind, colon, rest = str(text).partition(":")
    if not colon or not re.fullmatch(r"[\w+-]+", kind) or Path(text).exists():
        kind, rest = "", str(text)
    return Specification(kind, Path(os.path.abspath(rest)))  # noqa: PTH100 - links are kept


def read_photo_set(asked: Specification) -> PhotoSet | None:
    """The photo set of a kind of :data:`KINDS`; of a path alone, a folder of class folders or a table of pairs.

    None for what is something else, a benchmark say.

    Raises:
        PhotoSetError: there is no such folder or list, it is damaged, or it names no photo that exists.
    """
    kind, path = asked
    if not kind and path.is_dir() and not (path / "manifest.json").is_file():
        kind = "folders"
    elif not kind and path.suffix.lower() in TABLES:
        kind = "pairs"
    return KINDS[kind](path) if kind in KINDS else None
