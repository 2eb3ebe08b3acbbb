"""Indexes: from what is asked to the ids of the nearest."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from reseen.errors import ReseenError
from reseen.search.index.base import NOTHING, Allowed, Index
from reseen.types import Ids

__all__ = ["INDEXES", "NOTHING", "Allowed", "Index", "create_index", "index_class", "open_index"]

INDEXES = {"exact": "reseen.search.index.exact:ExactIndex"}
"""Every kind of index, and its class, which is imported when it is first used."""


def index_class(kind: str) -> type[Index]:
    """The class of a kind of index; ReseenError when there is none such."""
    if kind not in INDEXES:
        raise ReseenError(f"index {kind!r} is not known; the known ones are {', '.join(sorted(INDEXES))}")
    module, _, name = INDEXES[kind].partition(":")
    found: type[Index] = getattr(importlib.import_module(module), name)
    return found


def create_index(kind: str, ids: Ids, items: Any) -> Index:
    """An index of photos ``(n,)``, by their vectors ``(n, d)`` or their local features, whichever it takes."""
    return index_class(kind).of(ids, items)


def open_index(kind: str, folder: Path) -> Index:
    """An index that was saved."""
    return index_class(kind).open(folder)
