"""Every recipe that is shipped can be read, and says what it is."""

import pytest
import torch

from reseen.descriptor import Recipe, list_recipes, read_recipe
from reseen.descriptor.availability import describe
from reseen.errors import RecipeError
from reseen.heads import create_head
from reseen.heads.selective import EMBEDDINGS
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
        ("projection", [{"kind": "rn", "dropped": -1}], "dropped = -1"),
        ("rules", "2", "rules = '2'"),
        ("projection", [{"kind": "pca", "dim": 10**9}], r"\[projection\] dim = 1000000000"),
    ],
)
def test_settings_outside_their_range_are_refused(section, settings, message):
    good = read_recipe("rmac-lite0").to_dict()
    with pytest.raises(RecipeError, match=message):
        Recipe.from_dict({**good, section: settings})


@pytest.mark.parametrize("name", ["512", "1024", "2048", "4096", "8064", "lite0"])
def test_selective_recipes_drop_after_the_rotation_and_have_the_sizes_of_table_4(name):
    recipe = read_recipe(f"selective-{name}")
    head, rotation = recipe.head, recipe.projection[0]
    assert [step["kind"] for step in recipe.projection] == ["rn", "power"]
    assert rotation["dropped"] == EMBEDDINGS[head["embedding"]].dropped(head["d"]) == 128
    assert head["k"] * head["d"] - rotation["dropped"] == (1024 if name == "lite0" else int(name))
    assert describe(f"selective-{name}")["dim"] == head["k"] * head["d"] - 128


@pytest.mark.parametrize("name", [n for n in list_recipes() if read_recipe(n).images.exact])
def test_recipes_of_remap_and_its_comparisons_keep_activations_inside_the_box(name):
    assert read_recipe(name).images.crop == "activations"


@pytest.mark.parametrize("network", ["vgg16", "resnet101", "resnext101"])
def test_remap_passes_its_concatenation_on_as_it_is(network):
    assert read_recipe(f"remap-{network}").head["normalise"] is False


@pytest.mark.parametrize("name", [n for n in list_recipes() if "lite0" not in n and not n.startswith("museum")])
def test_full_size_recipes_learn_from_all_their_photos_and_pairs(name):
    assert not {"fit_photos", "fit_pairs"} & set(read_recipe(name).training)


@pytest.mark.parametrize(
    ("name", "kind", "dim", "projection"),
    [
        ("mac-vgg16", "mac", 512, ["pca"]),
        ("rmac-vgg16", "rmac", 512, []),
        ("rmac-alexnet", "rmac", 256, []),
        ("siarmac-vgg16", "rmac", None, ["lw"]),
        ("siarmac-alexnet", "rmac", None, ["lw"]),
        ("spoc-vgg16", "spoc", 256, ["pca"]),
        ("crow-vgg16", "crow", 512, ["pca"]),
    ],
)
def test_rows_of_siamacs_table_2(name, kind, dim, projection):
    recipe = read_recipe(name)
    assert recipe.head["kind"] == kind and describe(name)["dim"] == dim
    assert [step["kind"] for step in recipe.projection] == projection
    assert recipe.images.longest == 1024
    if kind == "rmac":
        assert recipe.head["levels"] == 3 and recipe.head["whole"]


@pytest.mark.parametrize(
    ("row", "changes", "layers", "trained"),
    [
        ("RMAC", {"weighting": "ones", "train_alpha": False, "fc": 2048}, 1, False),
        ("RMAC+SGD", {"weighting": "ones", "train_alpha": True, "fc": 2048}, 1, True),
        ("KLW", {"weighting": "kl", "train_alpha": True, "fc": 2048}, 1, True),
        ("MLA", {"weighting": "ones", "train_alpha": False}, 2, False),
    ],
)
def test_rows_of_remaps_tables_3_and_4_are_changes_of_its_recipe(row, changes, layers, trained):
    head = {**read_recipe("remap-resnext101").head, **changes}
    with torch.device("meta"):
        made = create_head(head.pop("kind"), [2048] * layers, **head)
    assert made.raw_dim == 2048 * layers == made.dim
    assert made.alpha.requires_grad == trained and made.weighting == changes["weighting"] and not made.normalise
