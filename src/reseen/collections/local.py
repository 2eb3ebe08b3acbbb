"""Which local features a collection keeps beside its vectors."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from reseen.errors import CollectionError, ReseenError, WeightsMissing
from reseen.images import Photo
from reseen.search.local import Extractor, create_extractor


@lru_cache(4)
def extractor(local: str) -> Extractor:
    """What makes a photo's local features, by its name."""
    return create_extractor(local)


def full_name(local: str) -> str:
    """Name and settings of local features, or ``none``: what is kept, so that later defaults change no collection.

    Raises:
        CollectionError: they are not known. WeightsMissing: the file or the package that they need is not there.
    """
    try:
        return local if local == "none" else extractor(local).name
    except WeightsMissing:
        raise
    except ReseenError as error:
        raise CollectionError(f"{error}, or none") from None


def extraction(local: str) -> Callable[[Photo], bytes] | None:
    """What makes the bytes of a photo's local features, None for ``none``."""
    if local == "none":
        return None
    chosen = extractor(local)
    return lambda photo: chosen.extract(photo.pixels, photo.size).to_bytes()
