"""Training sets: folders, lists as they are distributed, references for virtual photos."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from reseen.errors import TrainingError
from reseen.training.datasets.base import Geometry, TrainingSet, from_labels, join
from reseen.training.datasets.folders import class_folders, references
from reseen.training.datasets.lists import (
    google_landmarks,
    labels_file,
    retrieval_sfm,
    retrieval_sfm_file,
    tuples_file,
)

__all__ = [
    "KINDS",
    "Geometry",
    "TrainingSet",
    "class_folders",
    "from_labels",
    "google_landmarks",
    "join",
    "labels_file",
    "read_training_set",
    "references",
    "retrieval_sfm",
    "retrieval_sfm_file",
    "tuples_file",
]

KINDS: dict[str, Callable[[str], TrainingSet]] = {
    "folders": class_folders,
    "folders+virtual": partial(class_folders, virtual=True),
    "virtual": references,
    "pairs": tuples_file,
    "labels": labels_file,
    "landmarks": google_landmarks,
    "sfm": retrieval_sfm_file,
}
"""Kinds of ``KIND:PATH`` on the command line."""


def read_training_set(spec: str) -> TrainingSet:
    """``KIND:PATH`` -> training set; a bare folder counts as ``folders``, a bare file as ``pairs``."""
    kind, colon, path = spec.partition(":")
    if colon and kind in KINDS:
        return KINDS[kind](path)
    if Path(spec).is_dir():
        return class_folders(spec)
    if Path(spec).is_file():
        return tuples_file(spec)
    raise TrainingError(f"{spec}: no such folder or file, and not KIND:PATH with KIND one of {', '.join(KINDS)}")
