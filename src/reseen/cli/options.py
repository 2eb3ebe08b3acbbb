"""Options that several verbs share, and the settings that their texts stand for."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from reseen.cli import console
from reseen.errors import RecipeError
from reseen.types import Box

CollectionFolder = Annotated[str, typer.Argument(help="A collection.")]
Benchmarks = Annotated[
    list[str],
    typer.Argument(help="Manifests or their folders, or name:folder (docs/evaluation.md).", metavar="BENCHMARK..."),
]
Recipes = Annotated[
    list[str] | None,
    typer.Option("--recipe", "-r", help="Recipe or saved descriptor; repeat for more. [default: default]"),
]
BoxRule = Annotated[
    str, typer.Option("--box", help="What query boxes mean: crop, relative, tight, padded, activations, whole.")
]
Size = Annotated[
    int | None,
    typer.Option("--size", min=32, help="Longest side of photos, or the shortest where the recipe sets that one."),
]
Scales = Annotated[str | None, typer.Option("--scales", help="Scales, instead of the recipe's, e.g. 1,0.7071,0.5.")]
Distractors = Annotated[
    list[Path] | None,
    typer.Option("--distractors", help="Folder of photos added to every database; repeat for more."),
]
Partial = Annotated[bool, typer.Option("--partial", help="Take sets whose counts are not the published ones.")]
Weights = Annotated[
    str | None, typer.Option("--weights", help="Backbone weights instead of the recipe's: hub, random, a file.")
]
Precision = Annotated[str, typer.Option("--precision", help="Of the network: auto, float32 or bfloat16.")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Folder of kept vectors. [default: RESEEN_CACHE]")]
LEARNING_SETS = (
    "KIND:PATH: folders:DIR (a folder per class), virtual:DIR (unlabelled photos, matched with virtual photos of "
    "themselves), folders+virtual:DIR (both), photos:DIR (none match), pairs:FILE, labels:FILE, landmarks:train.csv, "
    "sfm:FILE.pkl, colmap:DIR; or a benchmark."
)
AsJson = Annotated[bool, typer.Option("--json", help="For programs: one JSON object on stdout.")]
AsJsonLines = Annotated[bool, typer.Option("--json", help="For programs: one JSON object per photo and line.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", callback=console.hush, help="No progress, no report.")]
Boxes = Annotated[
    list[str] | None,
    typer.Option("--box", help="Part of the photo, X0,Y0,X1,Y1 in its pixels; given once for all, or once a photo."),
]
By = Annotated[
    str,
    typer.Option("--by", help="What names objects: neighbours, or the classifier that `adapt --recipe` has trained."),
]
Force = Annotated[bool, typer.Option("--force", help="Let the same photo stand under two labels.")]
To = Annotated[Path, typer.Option("--to", help="Folder for the descriptor; used like a recipe's name.")]


def boxes(texts: Sequence[str] | None, count: int) -> list[Box | None]:
    """The box of each of ``count`` photos: none, one for all, or one each, from ``X0,Y0,X1,Y1``."""
    found: list[Box | None] = []
    for text in texts or []:
        try:
            x0, y0, x1, y1 = (float(part) for part in text.split(","))
        except ValueError:
            raise typer.BadParameter(f"{text!r} is not X0,Y0,X1,Y1", param_hint="--box") from None
        found.append((x0, y0, x1, y1))
    if len(found) not in (0, 1, count):
        raise typer.BadParameter(f"{len(found)} boxes for {count} photos: give one, or one a photo", param_hint="--box")
    return found * count if len(found) == 1 else found or [None] * count


def one_of(option: str, text: str, *choices: str) -> None:
    """A usage error when the text of an option is none of its choices."""
    if text not in choices:
        known = " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
        raise typer.BadParameter(f"{text!r} is not {known}", param_hint=option)


def descriptor_folder(to: Path) -> None:
    """A usage error when ``--to`` holds something else than a descriptor, which is replaced."""
    if to.exists() and not (to.is_dir() and ((to / "settings.json").is_file() or not any(to.iterdir()))):
        raise typer.BadParameter(f"{to} holds something else; name a new folder", param_hint="--to")


def dimensions(text: str) -> int | None:
    """A number of dimensions; None for ``full``, all of them."""
    if text == "full":
        return None
    if not text.isdecimal():
        raise typer.BadParameter(f"{text!r} is neither a number nor full", param_hint="--dim")
    return int(text)


def changed(table: Mapping[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """A ``[training]`` table with ``a.b=value`` assignments (values as in TOML, else text) carried out."""
    result = {key: dict(value) if isinstance(value, dict) else value for key, value in table.items()}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{assignment!r} is not KEY=VALUE", param_hint="--set")
        try:
            value = tomllib.loads(f"x = {text}")["x"]
        except tomllib.TOMLDecodeError:
            value = text
        *path, last = key.split(".")
        place = result
        for part in path:
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise RecipeError(f"[training] {part!r} in {assignment!r} is not a table")
        place[last] = value
    return result
