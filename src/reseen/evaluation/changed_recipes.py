"""Recipes with a setting changed from the command line."""

from __future__ import annotations

import os
from dataclasses import replace

from reseen.descriptor import Descriptor, load
from reseen.descriptor.recipes import Scales
from reseen.errors import BenchmarkError


def open_recipe(
    name: str | os.PathLike[str],
    *,
    size: int | None = None,
    scales: str | None = None,
    weights: str | None = None,
    precision: str = "auto",
) -> Descriptor:
    """A descriptor by name, its sizes changed; the changes enter its name and its fingerprint.

    Args:
        name: recipe or saved descriptor.
        size: longest side of photos; the shortest for a recipe that sets that one, its ``aspect`` is kept.
        scales: factors, separated by commas.
        weights: of the backbone, instead of the recipe's.
        precision: ``auto``, ``float32`` or ``bfloat16``.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise BenchmarkError(f"precision {precision!r} is not auto, float32 or bfloat16")
    descriptor = load(name, weights=weights, precision=precision)  # type: ignore[arg-type]
    recipe = descriptor.recipe
    called = recipe.name
    if size is not None:
        images = recipe.images
        changed = {"shortest": size} if images.shortest is not None else {"longest": size, "exact": None}
        recipe = replace(recipe, images=replace(images, **changed))
        called += f"@{size}"
    if scales is not None:
        try:
            factors = tuple(float(part) for part in scales.split(","))
        except ValueError:
            raise BenchmarkError(f"scales {scales!r} are not numbers separated by commas") from None
        recipe = replace(recipe, scales=Scales(factors, (), recipe.scales.power))
        called += f" x{scales}"
    if recipe is descriptor.recipe:
        return descriptor
    return descriptor.replace(recipe=replace(recipe, name=called))
