"""Descriptors: recipes, and what they make of photos."""

from __future__ import annotations

from typing import TYPE_CHECKING

from reseen.lazy import lazily

if TYPE_CHECKING:
    from reseen.descriptor.descriptor import Descriptor, Maps
    from reseen.descriptor.loading import assemble, load
    from reseen.descriptor.recipes import Recipe, list_recipes, read_recipe
    from reseen.encoder import Encoded

__all__ = ["Descriptor", "Encoded", "Maps", "Recipe", "assemble", "list_recipes", "load", "read_recipe"]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Descriptor": "reseen.descriptor.descriptor",
        "Encoded": "reseen.encoder",
        "Maps": "reseen.descriptor.descriptor",
        "Recipe": "reseen.descriptor.recipes",
        "assemble": "reseen.descriptor.loading",
        "list_recipes": "reseen.descriptor.recipes",
        "load": "reseen.descriptor.loading",
        "read_recipe": "reseen.descriptor.recipes",
    },
)
