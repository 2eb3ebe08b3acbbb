"""A recipe whose sizes are changed from the command line."""

import json

import pytest

from reseen.descriptor.recipes import ImageSettings
from reseen.evaluation.changed_recipes import open_recipe


@pytest.mark.parametrize(
    ("images", "changed"),
    [
        ({"longest": 96}, ImageSettings(longest=64)),
        ({"exact": [96, 80], "crop": "tight"}, ImageSettings(longest=64, crop="tight")),
        ({"shortest": 96, "aspect": 3.0}, ImageSettings(shortest=64, aspect=3.0)),
    ],
)
def test_a_size_is_of_the_side_that_the_recipe_sets(make, tmp_path, images, changed):
    make(images=images).save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "settings.json").read_text())["images"].items() >= images.items()
    smaller = open_recipe(tmp_path / "saved", size=64)
    assert smaller.recipe.images == changed
    assert smaller.name == "tiny@64"
