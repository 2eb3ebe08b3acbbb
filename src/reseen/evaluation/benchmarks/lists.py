"""The lists of ground truth that papers share: ``gnd_NAME.pkl`` and ``gnd_NAME.mat``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reseen.errors import BenchmarkError
from reseen.safe_pickle import read_pickle
from reseen.types import Box, Rows


@dataclass(frozen=True)
class GroundTruthList:
    """``imlist``, ``qimlist`` and ``gnd`` of a list; ``first`` is 1 where rows count from 1 (MATLAB)."""

    file: Path
    database: list[str]
    queries: list[str]
    truth: list[dict[str, Any]]
    first: int

    def box(self, entry: Mapping[str, Any]) -> Box | None:
        """A query's ``bbx``; MATLAB's pixels count from 1 too."""
        if "bbx" not in entry or entry["bbx"] is None or np.size(entry["bbx"]) == 0:
            return None
        try:
            x0, y0, x1, y1 = (float(v) for v in np.ravel(entry["bbx"]))
        except (TypeError, ValueError):
            raise BenchmarkError(f"{self.file}: bbx {entry['bbx']!r} is not four numbers") from None
        return x0 - self.first, y0 - self.first, x1 - self.first, y1 - self.first


def find_list(folder: Path, name: str) -> Path | None:
    """``gnd_NAME.pkl`` or ``.mat`` in or below ``folder``; a pickle before a .mat file."""
    for suffix in (".pkl", ".mat"):
        found = sorted(folder.rglob(f"gnd_{name}{suffix}"))
        if found:
            return found[0]
    return None


def read_list(file: Path) -> GroundTruthList:
    """A list, read without executing what it says.

    Raises:
        UntrustedFile: a pickle that asks for more than plain data. BenchmarkError: not such a list.
    """
    matlab = file.suffix == ".mat"
    try:
        data: dict[str, Any] = _read_matlab(file) if matlab else read_pickle(file)
        database = _names(data["imlist"])
        truth = [
            dict(entry) for entry in (data["gnd"] if isinstance(data["gnd"], list) else np.atleast_1d(data["gnd"]))
        ]
        first = 1 if matlab else 0
        if "qimlist" in data:
            queries = _names(data["qimlist"])
        else:
            queries = [database[int(i) - first] for i in np.atleast_1d(data["qidx"])]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise BenchmarkError(f"{file}: not a list of ground truth ({type(error).__name__}: {error})") from None
    if len(queries) != len(truth):
        raise BenchmarkError(f"{file}: {len(queries)} queries but ground truth for {len(truth)}")
    return GroundTruthList(file, database, queries, truth, first)


def _read_matlab(file: Path) -> dict[str, Any]:
    from scipy.io import loadmat

    try:
        loaded: dict[str, Any] = loadmat(str(file), simplify_cells=True)
    except Exception as error:
        raise BenchmarkError(f"{file}: not a readable .mat file ({error})") from None
    return loaded


def _names(value: Any) -> list[str]:
    """Names without suffix."""
    listed = [value] if isinstance(value, str) else list(value)
    if any("\0" in str(name) for name in listed):
        raise ValueError("a name holds NUL")
    return [_stem(str(name).strip()) for name in listed]


def _stem(name: str) -> str:
    base = name.replace("\\", "/").rsplit("/", 1)[-1]
    for suffix in (".jpg", ".jpeg", ".png", ".JPG"):
        base = base.removesuffix(suffix)
    return base


def image_path(folder: Path, stem: str, photos: Mapping[str, Path]) -> Path:
    """The photo of that name below ``folder``; where it would be, when it is not there."""
    return photos.get(stem, folder / "jpg" / f"{stem}.jpg")


def index_array(entry: Mapping[str, Any], key: str, first: int) -> Rows:
    """Rows under ``key``, counted from 0; none when the key is missing."""
    if entry.get(key) is None:
        return np.zeros(0, np.int64)
    try:
        values = np.ravel(np.asarray(entry[key], dtype=np.float64))
    except (TypeError, ValueError, OverflowError):
        raise BenchmarkError(f"ground truth: {key!r} is not a list of rows") from None
    if not (np.abs(values) < 2**53).all():
        raise BenchmarkError(f"ground truth: {key!r} holds rows that do not exist")
    return np.unique(values.astype(np.int64) - first)


def union(entry: Mapping[str, Any], keys: tuple[str, ...], first: int) -> Rows:
    """Rows under several keys, together."""
    return np.unique(np.concatenate([index_array(entry, key, first) for key in keys]))
