"""What a recipe needs before it can be used, found out without making a network."""

from __future__ import annotations

from typing import Any

from reseen.backbones import architecture
from reseen.descriptor.loading import unfitted_projection
from reseen.descriptor.recipes import read_recipe, recipe_path
from reseen.errors import ReseenError
from reseen.registry import HEADS


def describe(name: str) -> dict[str, Any]:
    """``{"name", "summary", "dim", "needs", "available"}``; ``dim`` is None where the settings do not tell it.

    A recipe that cannot be read, or whose parts cannot be imported, is not available and needs what the error says.
    """
    found: dict[str, Any] = {"name": name, "summary": "", "dim": None, "needs": "", "available": False}
    try:
        return found | _described(name)
    except ReseenError as error:
        return found | {"needs": str(error)}


def _described(name: str) -> dict[str, Any]:
    recipe = read_recipe(name)
    learned = recipe.learned is not None and (recipe_path(name).parent / recipe.learned).is_file()
    network = architecture(recipe.backbone.name)
    needs = []
    available = True
    if recipe.backbone.weights == "hub" and not learned:
        available = network.downloaded()
        needs.append(f"hub weights of {recipe.backbone.name}")
    elif recipe.backbone.weights is None and not learned:
        available = False
        needs.append("weights: train it, or give a file")
    kind = recipe.head["kind"]
    head = HEADS.find(kind)
    settings = HEADS.settings(kind, recipe.head)
    projection = unfitted_projection(recipe)
    if not learned and (head.learns(settings) or (projection is not None and not projection.fitted)):
        available = False
        needs.append("photos to learn from (reseen fit)")
    dim = head.dim_of(settings, network.channels(recipe.backbone.layers) or ())
    return {
        "summary": recipe.summary,
        "dim": dim if projection is None else projection.dim_out(dim),
        "needs": ", ".join(needs) or "nothing",
        "available": available,
    }
