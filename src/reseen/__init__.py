"""reseen: find every photo of the same thing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from reseen.errors import ReseenError

if TYPE_CHECKING:
    from reseen.collections import Collection
    from reseen.descriptor import Descriptor, load

__all__ = ["Collection", "Descriptor", "ReseenError", "__version__", "load"]
__version__ = "0.1.0"

_HOMES = {
    "Collection": "reseen.collections",
    "Descriptor": "reseen.descriptor",
    "load": "reseen.descriptor",
}


def __getattr__(name: str) -> Any:
    """The public names, imported when first used: ``import reseen`` alone stays light."""
    if name not in _HOMES:
        raise AttributeError(f"module 'reseen' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
