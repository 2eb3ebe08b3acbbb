"""Descriptors by name, from files and from saved folders."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from reseen.backbones import Backbone, architecture, create_backbone, read_tensors
from reseen.descriptor.descriptor import Descriptor
from reseen.descriptor.recipes import Recipe, read_recipe, recipe_path
from reseen.descriptor.runtime.engines import EngineName, Precision, is_compiled
from reseen.descriptor.runtime.network import KnownNetwork, matters
from reseen.descriptor.runtime.threads import share_threads
from reseen.errors import RecipeError, WeightsMissing
from reseen.heads import create_head
from reseen.projections import Projection, create_projection


def load(
    name: str | os.PathLike[str],
    *,
    weights: str | os.PathLike[str] | None = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    device: str | torch.device | None = None,
) -> Descriptor:
    """A descriptor by its recipe's name, from a ``.toml`` file, or from a folder that ``save`` wrote.

    Args:
        name: e.g. ``"default"``; :func:`list_recipes` names them.
        weights: instead of the recipe's backbone weights: ``hub``, ``random``, or a local file.
        engine, precision, device: see :class:`Descriptor`.

    Raises:
        RecipeError: no such recipe or folder, or bad settings. WeightsMissing: it says how to get them.
    """
    folder = Path(name)
    if folder.is_dir():
        try:
            recipe = Recipe.from_dict(json.loads((folder / "settings.json").read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise RecipeError(f"{folder}: not a saved descriptor (settings.json is missing)") from None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise RecipeError(f"{folder / 'settings.json'}: damaged ({error})") from None
        home = folder
    else:
        recipe, home = read_recipe(name), recipe_path(name).parent
    learned = read_tensors(home / recipe.learned) if recipe.learned else {}
    return assemble(recipe, learned, weights=weights, engine=engine, precision=precision, device=device)


def assemble(
    recipe: Recipe,
    learned: Mapping[str, Tensor],
    *,
    weights: str | os.PathLike[str] | None = None,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    device: str | torch.device | None = None,
) -> Descriptor:
    """A descriptor from its settings and learned tensors (``backbone.*``, ``head.*``, ``projection.*``)."""
    parts: dict[str, dict[str, Tensor]] = {"backbone": {}, "head": {}, "projection": {}}
    for key, tensor in learned.items():
        part, _, rest = key.partition(".")
        if part not in parts:
            raise RecipeError(f"recipe {recipe.name!r}: unknown tensor {key!r} among the learned ones")
        parts[part][rest] = tensor.float() if tensor.is_floating_point() and part != "projection" else tensor
    settings = recipe.backbone
    own_weights = bool(parts["backbone"]) and weights is None
    source = None if own_weights else weights if weights is not None else settings.weights
    if source is None and not own_weights:
        raise WeightsMissing(f"recipe {recipe.name!r} names no weights; give a local file (--weights FILE)")
    asked: dict[str, Any] = {"engine": engine, "precision": precision, "device": device}

    @cache
    def make() -> Backbone:
        made = create_backbone(settings.name, settings.layers, source, seed=settings.seed)
        if own_weights:
            _restore(made, parts["backbone"], recipe.name)
        return made

    backbone: Backbone | KnownNetwork
    if own_weights and (compiled := _compiled(recipe, parts["backbone"], make, asked)):
        backbone, channels = compiled
    else:
        backbone = make()
        channels = backbone.channels
    options = {key: value for key, value in recipe.head.items() if key != "kind"}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        head = create_head(recipe.head["kind"], channels, **options)
    if parts["head"]:
        if (recipe.rules or 1) < head.rules:
            raise RecipeError(
                f"{recipe.name!r} was fitted by older rules of head {recipe.head['kind']!r} ({recipe.rules or 1}, now "
                f"{head.rules}; the changelog says what changed), and its vectors would not compare: fit it again with "
                f"`reseen fit {recipe.name} PHOTOS --to FOLDER`, and index into a new collection"
            )
        _restore(head, parts["head"], recipe.name)
    projection = unfitted_projection(recipe)
    if projection is not None and parts["projection"]:
        projection.load_state({key: tensor.numpy() for key, tensor in parts["projection"].items()})
    return Descriptor(recipe, backbone, head.eval(), projection, **asked)


def _compiled(
    recipe: Recipe, tensors: Mapping[str, Tensor], make: Callable[[], Backbone], asked: Mapping[str, Any]
) -> tuple[KnownNetwork, tuple[int, ...]] | None:
    """A recipe's network with its channels, left unmade, where an earlier process made and compiled it."""
    name, layers = recipe.backbone.name, tuple(recipe.backbone.layers)
    channels = architecture(name).channels(layers)
    arrays = {key: tensor.numpy() for key, tensor in tensors.items() if matters(key)}
    network = KnownNetwork(name, layers, arrays, make)
    if channels is None or not is_compiled(network, **asked, threads=share_threads()[0]):
        return None
    return network, channels


def unfitted_projection(recipe: Recipe) -> Projection | None:
    """The recipe's projection before anything is learned; None when it has none."""
    steps = [
        create_projection(step["kind"], **{key: value for key, value in step.items() if key != "kind"})
        for step in recipe.projection
    ]
    if not steps:
        return None
    return steps[0] if len(steps) == 1 else create_projection("chain", steps=steps)


def _restore(module: torch.nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    try:
        result = module.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip()
        raise RecipeError(f"recipe {name!r}: its weights do not fit its settings ({first})") from None
    missing = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or result.unexpected_keys:
        first = (missing + list(result.unexpected_keys))[0]
        raise RecipeError(f"recipe {name!r}: its weights do not fit its settings (first at {first!r})")
