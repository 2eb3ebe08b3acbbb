"""The project's own format: a JSON manifest beside the photos."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from reseen.errors import BenchmarkError
from reseen.evaluation.benchmarks.benchmark import Benchmark, Query, make_benchmark, rows_of
from reseen.types import Box


def load(path: Path) -> Benchmark:
    """``{"name", "database", "queries": [{"image", "box", "positives", "junk"}], "unmatched"}``.

    Paths are relative to the manifest; ``box``, ``junk`` and ``unmatched`` are optional, unknown keys are ignored. A
    folder stands for the ``manifest.json`` in it.

    Raises:
        BenchmarkError: it cannot be read, is not such a manifest, or contradicts itself or the files.
    """
    if path.is_dir():
        path = path / "manifest.json"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BenchmarkError(f"{path}: cannot be read ({error.strerror or error})") from None
    except ValueError as error:
        raise BenchmarkError(f"{path}: not a JSON file ({error})") from None
    try:
        name = str(data.get("name") or path.parent.name)
        names = _texts(data["database"])
        row = {photo: i for i, photo in enumerate(names)}
        queries = [
            Query(
                path.parent / str(entry["image"]),
                rows_of(_texts(entry["positives"]), row, f"{path}: query {entry['image']!r}"),
                rows_of(_texts(entry.get("junk") or []), row, f"{path}: query {entry['image']!r}"),
                _box(entry.get("box")),
            )
            for entry in data["queries"]
        ]
        unmatched = tuple(path.parent / photo for photo in _texts(data.get("unmatched") or []))
    except KeyError as error:
        raise BenchmarkError(f"{path}: not a benchmark manifest, {error} is missing") from None
    except (TypeError, ValueError, AttributeError) as error:
        raise BenchmarkError(f"{path}: not a benchmark manifest ({error})") from None
    root = Path(os.path.abspath(path.parent))  # noqa: PTH100 - links are kept
    database = [path.parent / photo for photo in names]
    return make_benchmark(name, root, database, queries, unmatched=unmatched, truth_files=[path])


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError("a list of paths was expected")
    return value


def _box(value: Any) -> Box | None:
    if value is None:
        return None
    x0, y0, x1, y1 = (float(v) for v in value)
    return x0, y0, x1, y1
