"""Labels from a CSV, and the photos that its rows mean."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reseen.errors import CollectionError
from reseen.images import display

PathLike = str | bytes | os.PathLike[str] | os.PathLike[bytes]


def read_labels(path: PathLike) -> dict[str, str]:
    """Labels by absolute path (:func:`os.fsdecode` of its bytes) from a CSV with the columns ``path`` and ``label``.

    Paths are relative to the file. An empty label means that the photo has none.

    Raises:
        CollectionError: the file cannot be read, a row has no path, or two rows give one path two labels; rows are
            named by the number of their line.
    """
    file = os.fsdecode(os.path.abspath(path))
    said = display(file)
    labels: dict[str, str] = {}
    lines: dict[str, int] = {}
    try:
        with open(file, newline="", encoding="utf-8-sig", errors="surrogateescape") as text:  # names may be no UTF-8
            reader = csv.DictReader(text)
            if not {"path", "label"} <= set(reader.fieldnames or ()):
                raise CollectionError(f"{said}: needs a header with the columns path and label")
            for row in reader:
                where = f"{said}, line {reader.line_num}"
                if not (row["path"] or "").strip():
                    raise CollectionError(f"{where}: has no path")
                photo, label = os.path.abspath(os.path.join(os.path.dirname(file), row["path"])), row["label"] or ""
                require_text(label, where)
                if labels.setdefault(photo, label) != label:
                    raise CollectionError(f"{where}: line {lines[photo]} gives {row['path']!r} another label")
                lines.setdefault(photo, reader.line_num)
    except OSError as error:
        raise CollectionError(f"{said}: cannot be read ({error.strerror})") from None
    except csv.Error as error:
        raise CollectionError(f"{said}: not a CSV file ({error})") from None
    return labels


def require_text(text: str, where: str) -> None:
    """CollectionError when a label or a name is no text that can be kept."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise CollectionError(f"{where}: {display(os.fsencode(text))!r} is no UTF-8 text") from None


@dataclass(frozen=True)
class Joined:
    """Labels and the photos that they are for.

    Attributes:
        labels: by path.
        unknown: rows that mean no photo, as text.
        ambiguous: rows that mean several photos, and so none, as text.
    """

    labels: dict[bytes, str]
    unknown: list[str]
    ambiguous: list[str]


def join(labels: Mapping[PathLike, str] | Mapping[str, str], paths: Iterable[bytes]) -> Joined:
    """The photos that labels mean: those of the same path, byte by byte, or else the only one that is shown so."""
    by_path: dict[bytes, str] = {}
    by_name: dict[str, list[bytes]] = {}
    known = set(paths)
    unknown: list[str] = []
    ambiguous: list[str] = []
    for given, label in labels.items():
        path = os.path.abspath(os.fsencode(given))
        if path in known:
            by_path[path] = label
            continue
        if not by_name:
            for photo in known:
                by_name.setdefault(display(photo), []).append(photo)
        name = display(path) if display(path) in by_name else os.fsdecode(given)
        found = by_name.get(name, [])
        if len(found) == 1:
            by_path.setdefault(found[0], label)
        else:
            (ambiguous if found else unknown).append(display(path))
    return Joined(by_path, unknown, ambiguous)
