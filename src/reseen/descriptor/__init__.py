"""Descriptors: recipes, and what they make of photos."""

from reseen.descriptor.descriptor import Descriptor, Encoded, Maps
from reseen.descriptor.loading import assemble, load
from reseen.descriptor.recipes import Recipe, list_recipes, read_recipe

__all__ = ["Descriptor", "Encoded", "Maps", "Recipe", "assemble", "list_recipes", "load", "read_recipe"]
