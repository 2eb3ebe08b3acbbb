"""Extractors by name."""

from __future__ import annotations

import re

from reseen.errors import ReseenError
from reseen.search.local.base import Extractor
from reseen.search.local.sift import RootSift

LEARNED = ("disk", "aliked")
_SIFT = re.compile(r"sift-(\d+)-(\d+)-([\d.]+)-([\d.]+)-(\d+)")


def create_extractor(text: str) -> Extractor:
    """An extractor from ``sift``, ``disk:FILE`` or ``aliked:FILE``, or from the name of one.

    The learned ones are kornia's networks with weights from a file, and need kornia.

    Raises:
        ReseenError: it is not known. WeightsMissing: kornia or the file is not there.
    """
    if text == "sift":
        return RootSift()
    if settings := _SIFT.fullmatch(text):
        side, limit, contrast, equalise, cell = settings.groups()
        return RootSift(int(side), int(limit), float(contrast), float(equalise), int(cell))
    kind, _, file = text.partition(":")
    if kind in LEARNED and file:
        from reseen.search.local.learned import load_learned

        return load_learned(kind, file)
    known = ", ".join(["sift", *(f"{name}:FILE" for name in LEARNED)])
    raise ReseenError(f"local features {text!r} are not known; use {known}")
