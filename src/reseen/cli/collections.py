"""The collection that a verb was given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reseen.cli import console

if TYPE_CHECKING:
    from reseen.collections import Collection


def opened(path: str) -> Collection:
    """The collection at ``path``; what is damaged is said on stderr."""
    from reseen.collections import Collection

    collection = Collection.open(path)
    for damage in collection.damage:
        console.note(f"damaged: {damage}; reading version {collection.version}")
    return collection
