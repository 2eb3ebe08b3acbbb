"""Training sets from folders: one folder per class or instance, or unlabelled references for virtual photos."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from reseen.errors import TrainingError
from reseen.images import walk
from reseen.training.datasets.base import TrainingSet, from_labels


def class_folders(folder: str | os.PathLike[str], *, virtual: bool = False) -> TrainingSet:
    """``FOLDER/CLASS/.../photo.jpg``: a cluster per folder directly below ``folder``.

    Photos that lie in ``folder`` itself belong to no class and each form a cluster of their own (they serve as
    negatives), as do the photos of a class that has only one. With ``virtual`` each photo is also paired with virtual
    photos of itself.
    """
    photos, labels = [], []
    for found in walk([folder]):
        if found.ignored:
            continue
        photos.append(Path(os.fsdecode(found.path)))
        parts = Path(os.fsdecode(found.relative)).parts
        labels.append(parts[0] if len(parts) > 1 else f"\0{len(photos)}")
    if not photos:
        raise TrainingError(f"{os.fspath(folder)}: no photos there")
    numbers = np.arange(len(photos), dtype=np.int64)
    own = np.stack([numbers, numbers], 1) if virtual else np.zeros((0, 2), np.int64)
    name = f"folders{'+virtual' * virtual}:{Path(folder).name}"
    return from_labels(name, photos, labels, pairs=own, unpaired=np.ones(len(photos), bool))


def references(folder: str | os.PathLike[str]) -> TrainingSet:
    """Unlabelled photos, each of something else; their positives are virtual photos of themselves."""
    photos = [Path(os.fsdecode(found.path)) for found in walk([folder]) if not found.ignored]
    if not photos:
        raise TrainingError(f"{os.fspath(folder)}: no photos there")
    numbers = np.arange(len(photos), dtype=np.int64)
    return TrainingSet(
        f"virtual:{Path(folder).name}",
        tuple(photos),
        numbers,
        pairs=np.stack([numbers, numbers], 1),
        virtual=np.ones(len(photos), bool),
    )
