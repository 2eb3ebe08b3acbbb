"""reseen: find every photo of the same thing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reseen.errors import ReseenError
from reseen.lazy import lazily

if TYPE_CHECKING:
    from reseen.collections import Collection
    from reseen.descriptor import Descriptor, load
    from reseen.search import Query

__all__ = ["Collection", "Descriptor", "Query", "ReseenError", "__version__", "load"]
__version__ = "0.1.0"

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Collection": "reseen.collections",
        "Descriptor": "reseen.descriptor",
        "Query": "reseen.search",
        "load": "reseen.descriptor",
    },
)
