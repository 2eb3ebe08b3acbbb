"""``reseen fit``: learn what a recipe needs from photos, without training the network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reseen import schema
from reseen.cli import console, options

if TYPE_CHECKING:
    from reseen.descriptor import Descriptor
    from reseen.errors import PhotoRejected
    from reseen.photosets import PhotoSet


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(fit)


def fit(
    recipe: Annotated[str, typer.Argument(help="Recipe, .toml file or saved descriptor.")],
    to: options.To,
    photos: Annotated[
        list[str] | None, typer.Argument(help="Photos and folders of photos to learn from: any, unlabelled.")
    ] = None,
    pairs: Annotated[
        list[str] | None,
        typer.Option(help=f"Photos with matching pairs, for lw and lda; repeat. {options.LEARNING_SETS}"),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(help="Recipe or saved descriptor whose network is used instead: a fine-tuned one, say."),
    ] = None,
    weights: options.Weights = None,
    most: Annotated[int, typer.Option(min=1, help="Photos to learn from at most, drawn at random.")] = 5000,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Learn a recipe's codebooks and projection from photos, or from matching pairs of them.

    Nothing is trained by gradients (`reseen train` does that).

    Learn from photos other than those that will be evaluated. The collection's own photos are fine for its own use.
    """
    if network is not None and weights is not None:
        raise typer.BadParameter("--network and --weights exclude each other", param_hint="--network")
    options.descriptor_folder(to)
    if not photos and not pairs:
        raise typer.BadParameter("name photos to learn from, or --pairs", param_hint="PHOTOS")
    descriptor = opened(recipe, network, weights, paired=bool(pairs))
    unpaired, found = sample(photos, most, seed) if photos else ([], 0)
    material = matching(pairs or [])
    chosen = [*map(str, material.photos), *unpaired]
    found += len(material.photos)
    refused: dict[int, PhotoRejected] = {}
    with console.progress("learning", quiet=quiet or as_json) as step:
        fitted = descriptor.fit(
            chosen,
            material.matching if len(material.matching) else None,
            seed=seed,
            progress=step,
            rejected=refused.__setitem__,
        )
    sources = [*(Path(path).name for path in photos or []), *([material.name] if material.photos else [])]
    learned = f"learned on {len(chosen) - len(refused)} photos of {', '.join(sources)}"
    source = "; ".join(filter(None, (fitted.recipe.source, learned)))
    fitted = fitted.replace(recipe=replace(fitted.recipe, source=source))
    fitted.save(to)
    reasons = [refused[index] for index in sorted(refused)]
    if as_json:
        report: schema.Fitted = {
            "descriptor": str(to.resolve()),
            "fingerprint": fitted.fingerprint,
            "dim": fitted.dim,
            "found": found,
            "photos": len(chosen) - len(refused),
            "rejected": [{"path": error.path, "reason": error.reason} for error in reasons],
        }
        console.emit(report)
    elif not quiet:
        for error in reasons:
            console.note(f"rejected {error}")
        console.note(
            f"learned from {len(chosen) - len(refused)} of {found} photos; {fitted.dim} dimensions in {to} "
            "(use it like a recipe's name)"
        )


def matching(specs: list[str]) -> PhotoSet:
    """Photos, whole, and their matching pairs, of all the sets together; PhotoSetError when no two match."""
    from reseen.errors import PhotoSetError
    from reseen.evaluation import VectorCache
    from reseen.evaluation.learning_sets import read_learning_set, with_virtual_photos
    from reseen.photosets import join

    found = with_virtual_photos(join([read_learning_set(spec) for spec in specs]), VectorCache())
    if specs and not len(found.matching):
        raise PhotoSetError(f"{found.name}: no two photos match; in folders:DIR each class is a folder of DIR")
    return found


def opened(recipe: str, network: str | None, weights: str | None, *, paired: bool) -> Descriptor:
    """The recipe's descriptor, on another's network where one is named; RecipeError when it cannot be fitted."""
    from reseen.descriptor import load
    from reseen.descriptor.donor import borrow_network
    from reseen.errors import RecipeError

    if network is None:
        descriptor = load(recipe, weights=weights)
    else:
        descriptor = borrow_network(load(recipe, weights="random").recipe, load(network))
    projection = descriptor.projection
    if projection is not None and "pairs" in projection.needs and not paired:
        raise RecipeError(
            f"{recipe}: its projection learns from matching pairs; name some with --pairs, or use `reseen train`"
        )
    if descriptor.head.fitted and projection is None:
        raise RecipeError(f"{recipe}: there is nothing to learn from photos; use it as it is")
    return descriptor


def sample(photos: list[str], most: int, seed: int) -> tuple[list[str], int]:
    """At most ``most`` photos of files and folders in their order, and how many there are."""
    import os
    import random

    from reseen.errors import PhotoRejected
    from reseen.images import walk

    found = [os.fsdecode(item.path) for item in walk(photos) if not item.ignored]
    if not found:
        raise PhotoRejected(", ".join(photos), "there are no photos here")
    if len(found) <= most:
        return found, len(found)
    chosen = sorted(random.Random(seed).sample(range(len(found)), most))
    return [found[i] for i in chosen], len(found)
