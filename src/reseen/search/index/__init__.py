"""Indexes: from what is asked to the ids of the nearest."""

from __future__ import annotations

from typing import Any

from reseen.registry import INDEXES
from reseen.search.index.base import NOTHING, Allowed, Index
from reseen.types import Ids

__all__ = ["NOTHING", "Allowed", "Index", "create_index", "index_class"]


def index_class(kind: str) -> type[Index]:
    """The class of a kind of index; RecipeError when there is none such."""
    found: type[Index] = INDEXES.find(kind)
    return found


def create_index(kind: str, ids: Ids, items: Any) -> Index:
    """An index of photos ``(n,)``, by their vectors ``(n, d)`` or their local features, whichever it takes."""
    return index_class(kind).of(ids, items)
