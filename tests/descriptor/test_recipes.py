"""Every recipe that is shipped can be read, and says what it is."""

import pytest

from reseen.descriptor import Recipe, list_recipes, read_recipe
from reseen.errors import RecipeError
from reseen.heads import HEADS
from reseen.projections import PROJECTIONS


@pytest.mark.parametrize("name", list_recipes())
def test_shipped_recipes_are_sound(name):
    recipe = read_recipe(name)
    assert recipe.name == name and recipe.summary
    assert recipe.head["kind"] in HEADS
    assert all(step["kind"] in PROJECTIONS for step in recipe.projection)
    assert Recipe.from_dict(recipe.to_dict()) == recipe


def test_mistakes_are_named(tmp_path):
    good = read_recipe("rmac-lite0").to_dict()
    for change, message in [
        ({"images": {"longest": 5, "exact": [4, 3]}}, "either"),
        ({"images": {"longest": 5, "crop": "round"}}, "round"),
        ({"images": {"longest": 5, "aspect": 2.0}}, "aspect"),
        ({"images": {"longst": 5}}, "longst"),
        ({"heads": {}}, "heads"),
        ({"head": {}}, "kind"),
        ({"scales": {"factors": [1, 2], "weights": [1]}}, "differ"),
    ]:
        with pytest.raises(RecipeError, match=message):
            Recipe.from_dict({**good, **change})
    with pytest.raises(RecipeError, match="'backbone' is missing"):
        Recipe.from_dict({"name": "x", "images": {"longest": 5}, "head": {"kind": "mac"}})
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(RecipeError, match="not a TOML file"):
        read_recipe(tmp_path / "bad.toml")
