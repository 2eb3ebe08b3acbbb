"""A recipe on another descriptor's network: fine-tuned features for any head (selective features, Table 6)."""

from __future__ import annotations

from dataclasses import replace

from reseen.descriptor.descriptor import Descriptor
from reseen.descriptor.loading import assemble
from reseen.descriptor.recipes import Recipe
from reseen.errors import RecipeError


def borrow_network(recipe: Recipe, donor: Descriptor) -> Descriptor:
    """The recipe with the network of ``donor``; what its head and projection learn from photos is to be fitted.

    Raises:
        RecipeError: the two have different networks, or the donor's stops before the layers that the recipe reads.
    """
    if recipe.backbone.name != donor.backbone.name:
        raise RecipeError(
            f"{donor.name!r} has a network {donor.backbone.name!r}, {recipe.name!r} needs {recipe.backbone.name!r}"
        )
    name = f"{recipe.name}+{donor.name}"
    own = assemble(replace(recipe, name=name, learned=None), {}, weights="random")
    lent = donor.backbone.state_dict()
    wanted = own.backbone.state_dict()
    if not wanted.keys() <= lent.keys():
        read, last = ", ".join(recipe.backbone.layers), donor.backbone.layers[-1].name
        raise RecipeError(f"{recipe.name!r} reads {read}, but the network of {donor.name!r} ends at {last}")
    own.backbone.load_state_dict({key: lent[key] for key in wanted})
    return own
