"""The collection that a verb was given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from reseen.cli import console

if TYPE_CHECKING:
    from reseen.collections import Collection


Wait = Annotated[float, typer.Option("--wait", min=0, help="Seconds to wait while another process writes to it.")]


def opened(path: str, *, wait_s: float = 10.0, quiet: bool = False) -> Collection:
    """The collection at ``path``; what is damaged, and who is waited for, is said on stderr."""
    from reseen.collections import Collection

    collection = Collection.open(path)
    for damage in collection.damage:
        console.note(f"damaged: {damage}; reading version {collection.version}")
    return patient(collection, wait_s, quiet=quiet)


def patient(collection: Collection, wait_s: float, *, quiet: bool = False) -> Collection:
    """The collection, whose changes wait for another writer and say so on stderr."""
    collection.wait_s = wait_s
    collection.waiting = None if quiet else console.note
    return collection
