"""A recipe on another descriptor's network: the same maps, whatever the donor's head; what does not fit is named."""

from dataclasses import replace

import pytest

from reseen.descriptor import Recipe
from reseen.descriptor.donor import borrow_network
from reseen.errors import RecipeError

NETWORK = {"name": "timm:resnet10t", "layers": ["layer3"], "weights": "random"}


@pytest.fixture
def recipe():
    """MAC of an earlier layer than the donor's, its weights in a file that is not there."""
    table = {"name": "mine", "images": {"longest": 64}, "backbone": NETWORK, "head": {"kind": "mac"}}
    return replace(Recipe.from_dict(table), learned="gone.safetensors")


def test_the_donors_weights_give_the_maps(recipe, make, files):
    donor = make(name="donor", backbone={**NETWORK, "layers": ["layer3", "layer4"], "seed": 7}, head={"kind": "remap"})
    own = borrow_network(recipe, donor)
    assert own.name == "mine+donor" and own.recipe.images == recipe.images
    state = donor.backbone.state_dict()
    assert all(value.equal(state[key]) for key, value in own.backbone.state_dict().items())
    assert own.encode(files[:1]).shape == (1, own.dim) and own.fingerprint != donor.fingerprint


def test_networks_that_do_not_fit_are_named(recipe, make):
    other = make(name="other", backbone={**NETWORK, "name": "timm:resnet18"}, head={"kind": "mac"})
    with pytest.raises(RecipeError, match="'other' has a network 'timm:resnet18', 'mine' needs 'timm:resnet10t'"):
        borrow_network(recipe, other)
