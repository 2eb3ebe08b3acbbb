"""Which local features a collection keeps beside its vectors."""

from __future__ import annotations

from collections.abc import Callable

from reseen.errors import CollectionError, ReseenError, WeightsMissing
from reseen.images import Photo
from reseen.local_features import Extractor
from reseen.search.local import create_extractor


def full_name(local: str) -> str:
    """Name and settings of local features, or ``none``: what is kept, so that later defaults change no collection.

    Raises:
        CollectionError: they are not known. WeightsMissing: the file or the package that they need is not there.
    """
    try:
        return local if local == "none" else create_extractor(local).name
    except WeightsMissing:
        raise
    except ReseenError as error:
        raise CollectionError(f"{error}, or none") from None


def extraction(extractor: Extractor) -> Callable[[Photo], bytes]:
    """What makes the bytes of a photo's local features."""
    return lambda photo: extractor.extract(photo.pixels, photo.size).to_bytes()
