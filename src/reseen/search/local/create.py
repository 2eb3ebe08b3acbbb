"""Extractors of local features by name."""

from __future__ import annotations

import re
from collections.abc import Callable

from reseen.errors import ReseenError
from reseen.local_features import Extractor
from reseen.search.local.sift import RootSift

_SIFT = re.compile(r"sift-(\d+)-(\d+)-([\d.]+)-([\d.]+)-(\d+)")


def create_extractor(text: str, learned: Callable[[str], Extractor] | None = None) -> Extractor:
    """An extractor from ``sift``, or from the name of one.

    Args:
        text: the name.
        learned: makes those that need a network (:meth:`reseen.encoder.Encoder.local`).

    Raises:
        ReseenError: it is not known. WeightsMissing: a package or a file is not there.
    """
    if text == "sift":
        return RootSift()
    if settings := _SIFT.fullmatch(text):
        side, limit, contrast, equalise, cell = settings.groups()
        return RootSift(int(side), int(limit), float(contrast), float(equalise), int(cell))
    if learned is None:
        raise ReseenError(f"local features {text!r} are not known; use sift")
    return learned(text)
