"""Every recipe that is shipped can be read, and says what it is."""

import pytest

from reseen.descriptor import Recipe, list_recipes, read_recipe
from reseen.errors import RecipeError
from reseen.registry import HEADS, PROJECTIONS


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
        ({"images": {"longest": 50, "exact": [40, 30]}}, "either"),
        ({"images": {"longest": 50, "crop": "round"}}, "round"),
        ({"images": {"longest": 50, "aspect": 2.0}}, "aspect"),
        ({"images": {"longst": 5}}, "longst"),
        ({"heads": {}}, "heads"),
        ({"head": {}}, "kind"),
        ({"scales": {"factors": [1, 2], "weights": [1]}}, "differ"),
    ]:
        with pytest.raises(RecipeError, match=message):
            Recipe.from_dict({**good, **change})
    with pytest.raises(RecipeError, match="'backbone' is missing"):
        Recipe.from_dict({"name": "x", "images": {"longest": 50}, "head": {"kind": "mac"}})
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(RecipeError, match="not a TOML file"):
        read_recipe(tmp_path / "bad.toml")


@pytest.mark.parametrize(
    ("section", "settings", "message"),
    [
        ("images", {"longest": 0}, r"\[images\] longest = 0 is not a whole number from 32 to 8192"),
        ("images", {"longest": -5}, "longest = -5"),
        ("images", {"longest": "1024"}, "longest = '1024'"),
        ("images", {"longest": 512.5}, "longest = 512.5"),
        ("images", {"longest": True}, "longest = True"),
        ("images", {"exact": [60000, 60000]}, "exact = 60000"),
        ("images", {"exact": [1024]}, "width, height"),
        ("images", {"exact": 1024}, "width, height"),
        ("images", {"shortest": 448, "aspect": 0.5}, "aspect = 0.5"),
        ("images", {"shortest": 448, "aspect": float("nan")}, "aspect = nan"),
        ("scales", {"factors": [0]}, "factors = 0"),
        ("scales", {"factors": [1, 100]}, "factors = 100"),
        ("scales", {"factors": [1.0] * 100}, "1 to 16 factors"),
        ("scales", {"power": "max"}, "power = 'max'"),
        ("head", {"kind": "rmac", "levels": 1000}, r"\[head\] levels = 1000"),
        ("head", {"kind": "rmac", "local": -1}, "local = -1"),
        ("projection", [{"kind": "pca", "dim": 10**9}], r"\[projection\] dim = 1000000000"),
    ],
)
def test_settings_outside_their_range_are_refused(section, settings, message):
    good = read_recipe("rmac-lite0").to_dict()
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict({**good, section: settings})
