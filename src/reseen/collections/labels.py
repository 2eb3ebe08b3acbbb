"""Labels from a CSV."""

from __future__ import annotations

import csv
import os
from pathlib import Path

from reseen.errors import CollectionError
from reseen.images import display


def read_labels(path: str | os.PathLike[str]) -> dict[str, str]:
    """Labels by absolute path from a CSV with a header naming ``path`` and ``label``; paths relative to the file."""
    file = Path(path)
    try:
        with file.open(newline="", encoding="utf-8-sig") as lines:
            reader = csv.DictReader(lines)
            if not {"path", "label"} <= set(reader.fieldnames or ()):
                raise CollectionError(f"{file}: needs a header with the columns path and label")
            return {display(os.path.abspath(file.parent / row["path"])): row["label"] for row in reader}
    except OSError as error:
        raise CollectionError(f"{file}: cannot be read ({error.strerror})") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise CollectionError(f"{file}: not a CSV file ({error})") from None
