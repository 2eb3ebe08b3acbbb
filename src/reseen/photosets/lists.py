"""Photo sets from files: pairs and tuples, labels, Google Landmarks, retrieval-SfM."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from reseen.errors import PhotoSetError
from reseen.photosets.photo_set import PhotoSet, components, from_labels
from reseen.safe_pickle import read_pickle

AnyPath = str | os.PathLike[str]


def tuples_file(path: AnyPath, root: AnyPath | None = None) -> PhotoSet:
    """Pairs or tuples, in CSV or JSON lines.

    CSV has a header with ``query``, ``positive`` and any number of columns that begin with ``negative``; JSON
    lines hold ``{"query": ..., "positive": ..., "negatives": [...]}``. Photos that are linked by matching
    pairs form a cluster. Paths are relative to ``root``, by default the file's folder; rows whose query or
    positive does not exist are skipped and named in ``skipped``.
    """
    path = Path(path)
    home = Path(root) if root is not None else path.parent
    numbers: dict[Path, int] = {}
    exists: dict[str, bool] = {}
    pairs: list[tuple[int, int]] = []
    negatives: list[list[int]] = []
    skipped: list[str] = []

    def number(name: str) -> int:
        return numbers.setdefault(home / name, len(numbers))

    def there(name: str) -> bool:
        if name not in exists:
            exists[name] = (home / name).is_file()
            if not exists[name]:
                skipped.append(f"{path.name}: {name}: no such photo")
        return exists[name]

    for line, row in _rows(path):
        try:
            query, positive = str(row["query"]), str(row["positive"])
        except KeyError as error:
            raise PhotoSetError(f"{path}, line {line}: {error} is missing") from None
        others = row.get("negatives")
        if others is None:
            others = [row[key] for key in row if str(key).startswith("negative") and row[key]]
        if not isinstance(others, list):
            raise PhotoSetError(f"{path}, line {line}: negatives must be a list")
        if not (there(query) & there(positive)):
            continue
        pairs.append((number(query), number(positive)))
        negatives.append([number(str(name)) for name in others if there(str(name))])
    if not pairs:
        raise PhotoSetError(f"{path}: no usable pair{_first(skipped)}")
    width = max(len(row) for row in negatives)
    table = np.full((len(pairs), width), -1, np.int64)
    for i, found in enumerate(negatives):
        table[i, : len(found)] = found
    array = np.asarray(pairs, np.int64)
    return PhotoSet(
        f"pairs:{path.name}",
        tuple(numbers),
        components(len(numbers), array),
        pairs=array,
        negatives=table,
        skipped=tuple(skipped),
    )


def labels_file(path: AnyPath, root: AnyPath | None = None) -> PhotoSet:
    """A CSV with the columns ``photo`` and ``label``; rows whose photo does not exist are skipped and named."""
    path = Path(path)
    home = Path(root) if root is not None else path.parent
    photos, labels, skipped = [], [], []
    for line, row in _rows(path):
        if not row.get("photo") or not row.get("label"):
            raise PhotoSetError(f"{path}, line {line}: needs a photo and a label")
        if (home / str(row["photo"])).is_file():
            photos.append(home / str(row["photo"]))
            labels.append(str(row["label"]))
        else:
            skipped.append(f"{path.name}: {row['photo']}: no such photo")
    if not photos:
        raise PhotoSetError(f"{path}: names no photo that exists{_first(skipped)}")
    return from_labels(f"labels:{path.name}", photos, labels, skipped=tuple(skipped))


def landmark_photo(folder: Path, name: str) -> Path:
    """Where Google Landmarks keeps the photo ``abcdef...``: ``a/b/c/abcdef....jpg`` below ``folder``."""
    return folder / name[0] / name[1] / name[2] / f"{name}.jpg"


def google_landmarks(path: AnyPath, root: AnyPath | None = None) -> PhotoSet:
    """Google Landmarks v2: ``train.csv`` (id, url, landmark_id) or ``train_clean.csv`` (landmark_id, images).

    Photos lie below ``root`` (:func:`landmark_photo`), by default ``train`` beside the file. Those that are not on this
    machine are skipped and counted: a part of the set may be used.
    """
    path = Path(path)
    home = Path(root) if root is not None else path.parent / "train"
    photos, labels, missing = [], [], 0
    for line, row in _rows(path):
        if "images" in row and "landmark_id" in row:
            names = str(row["images"]).split()
        elif "id" in row and "landmark_id" in row:
            names = [str(row["id"])]
        else:
            raise PhotoSetError(f"{path}, line {line}: not a training list of Google Landmarks")
        for name in names:
            photo = landmark_photo(home, name)
            if photo.is_file():
                photos.append(photo)
                labels.append(str(row["landmark_id"]))
            else:
                missing += 1
    if not photos:
        raise PhotoSetError(f"{path}: none of its {missing} photos is below {home}")
    skipped = (f"{path.name}: {missing} photos are not below {home}",) if missing else ()
    return from_labels(f"landmarks:{path.name}", photos, labels, skipped=skipped)


def retrieval_sfm(data: dict[str, Any], root: AnyPath, name: str, part: str = "train") -> PhotoSet:
    """retrieval-SfM-30k/120k as distributed: ``cids``, ``cluster``, ``qidxs``, ``pidxs`` of ``part``.

    ``val`` holds clusters of its own for validation. The lists that whitening is learned from (``...-whiten.pkl``) have
    neither parts nor clusters: photos that are linked by matching pairs form one. Photo ``cid`` lies in
    ``ROOT/<last 2>/<2 before>/<2 before those>/cid``; photos that are not on this machine are left out with the pairs
    they belong to.
    """
    try:
        table = data if "cids" in data else data[part]
        cids = list(table["cids"])
        pairs = np.stack([np.asarray(table["qidxs"]), np.asarray(table["pidxs"])], 1).astype(np.int64)
        inside = not len(pairs) or 0 <= pairs.min() <= pairs.max() < len(cids)
        if "cluster" in table or table is not data:
            clusters = np.asarray(table["cluster"], np.int64)
        else:
            clusters = components(len(cids), pairs) if inside else np.zeros(0, np.int64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise PhotoSetError(f"{name}: not a retrieval-SfM list: {error!r} in part {part!r}") from None
    if clusters.shape != (len(cids),) or not inside:
        raise PhotoSetError(f"{name}: damaged: its tables differ in length")
    home = Path(root)
    names = [str(c) for c in cids]
    if any("\0" in cid or "/" in cid for cid in names):
        raise PhotoSetError(f"{name}: damaged: a photo's name holds / or NUL")
    photos = tuple(home / c[-2:] / c[-4:-2] / c[-6:-4] / c for c in names)
    there = np.array([photo.is_file() for photo in photos], bool)
    if not there.any():
        raise PhotoSetError(f"{name}: none of its {len(photos)} photos is below {home}")
    missing = int((~there).sum())
    skipped = (f"{name}: {missing} photos are not below {home}",) if missing else ()
    shown = f"sfm:{name}" if part == "train" else f"sfm:{name}, {part}"
    return PhotoSet(shown, photos, clusters, pairs=pairs, skipped=skipped).keep(there)


def retrieval_sfm_file(path: AnyPath, part: str = "train") -> PhotoSet:
    """:func:`retrieval_sfm` of a list's own ``.pkl``, whose photos are in ``ims`` beside it; no code in it is run."""
    path = Path(path)
    try:
        data = read_pickle(path)
    except OSError as error:
        raise PhotoSetError(f"{path}: cannot be read ({error.strerror or error})") from None
    return retrieval_sfm(data, path.parent / "ims", path.stem, part)


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(line number, row) of a CSV with a header or of JSON lines."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise PhotoSetError(f"{path}: no such file") from None
    except UnicodeDecodeError:
        raise PhotoSetError(f"{path}: not a text file in UTF-8") from None
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        for line, content in enumerate(text.splitlines(), 1):
            if not content.strip():
                continue
            try:
                row = json.loads(content)
            except json.JSONDecodeError as error:
                raise PhotoSetError(f"{path}, line {line}: not JSON: {error}") from None
            if not isinstance(row, dict):
                raise PhotoSetError(f"{path}, line {line}: not a JSON object")
            yield line, row
        return
    yield from enumerate(csv.DictReader(text.splitlines()), 2)


def _first(skipped: Sequence[str]) -> str:
    return f" ({skipped[0]})" if skipped else ""
