"""Which local features a collection keeps beside its vectors."""

from __future__ import annotations

from collections.abc import Callable

from reseen.errors import CollectionError
from reseen.images import Photo
from reseen.search.local import RootSift


def extractor(local: str) -> Callable[[Photo], bytes] | None:
    """What makes the bytes of a photo's local features, None for ``none``; CollectionError when it is not known."""
    if local == "none":
        return None
    if local != "sift":
        raise CollectionError(f"local features {local!r} are not known; use none or sift")
    sift = RootSift()
    return lambda photo: sift.extract(photo.pixels, photo.size).to_bytes()
