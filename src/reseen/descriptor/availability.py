"""What a recipe needs before it can be used, found out without loading a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from reseen.descriptor.recipes import Recipe, read_recipe, recipe_path
from reseen.heads.selective import Selective
from reseen.projections import create_projection


def describe(name: str) -> dict[str, Any]:
    """``{"name", "summary", "dim", "needs", "available"}``; ``dim`` is None where it is not written in the recipe."""
    recipe = read_recipe(name)
    learned = recipe.learned is not None and (recipe_path(name).parent / recipe.learned).is_file()
    needs = []
    available = True
    if recipe.backbone.weights == "hub" and not learned:
        available = _on_this_machine(recipe)
        needs.append(f"hub weights of {recipe.backbone.name}")
    elif recipe.backbone.weights is None and not learned:
        available = False
        needs.append("weights: train it, or give a file")
    if not learned and _learns(recipe):
        available = False
        needs.append("photos to learn from (reseen fit)")
    return {
        "name": name,
        "summary": recipe.summary,
        "dim": _dim(recipe),
        "needs": ", ".join(needs) or "nothing",
        "available": available,
    }


def _learns(recipe: Recipe) -> bool:
    steps = [create_projection(s["kind"], **{k: v for k, v in s.items() if k != "kind"}) for s in recipe.projection]
    head = recipe.head["kind"] in ("selective", "fisher", "netvlad") or recipe.head.get("local")
    return bool(head) or any(not step.fitted for step in steps)


def _dim(recipe: Recipe) -> int | None:
    """The last dimension that the recipe names, or the channels of the bundled network's layer."""
    for table in (*reversed(recipe.projection), recipe.head):
        for key in ("dim", "fc", "local"):
            if table.get(key):
                return int(table[key])
    if recipe.head["kind"] == "selective":
        size = Selective.size(**{key: value for key, value in recipe.head.items() if key != "kind"})
        return size - sum(int(step.get("dropped", 0)) for step in recipe.projection)
    channels = {"head": 1280, "blocks.6": 320}
    if recipe.backbone.name == "efficientnet-lite0" and len(recipe.backbone.layers) == 1:
        return channels.get(recipe.backbone.layers[0])
    return None


def _on_this_machine(recipe: Recipe) -> bool:
    """Whether a hub's cache holds the weights; asks the disk only."""
    import os

    from reseen.backbones.registry import RESNETS

    hub = Path(os.environ.get("HF_HUB_CACHE") or Path.home() / ".cache/huggingface/hub")
    torch_home = Path(os.environ.get("TORCH_HOME") or Path.home() / ".cache/torch") / "hub" / "checkpoints"
    model = RESNETS.get(recipe.backbone.name, recipe.backbone.name.removeprefix("timm:"))
    return any(hub.glob(f"models--timm--{model}*")) or any(torch_home.glob(f"{recipe.backbone.name}-*.pth"))
