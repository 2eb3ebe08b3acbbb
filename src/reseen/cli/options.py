"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Benchmarks = Annotated[
    list[str],
    typer.Argument(help="Manifests or their folders, or name:folder (docs/evaluation.md).", metavar="BENCHMARK..."),
]
Recipes = Annotated[
    list[str] | None,
    typer.Option("--recipe", "-r", help="Recipe or saved descriptor; repeat for more (default: default)."),
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
    str | None, typer.Option("--weights", help="Backbone weights instead of the recipe's: hub, a file.")
]
Precision = Annotated[str, typer.Option("--precision", help="auto, float32 or bfloat16.")]
Cache = Annotated[Path | None, typer.Option("--cache", help="Folder of kept vectors (default: RESEEN_CACHE).")]
LEARNING_SETS = (
    "KIND:PATH: folders:DIR (a folder per class), virtual:DIR (unlabelled photos, matched with virtual photos of "
    "themselves), folders+virtual:DIR (both), photos:DIR (none match), pairs:FILE, labels:FILE, landmarks:train.csv, "
    "sfm:FILE.pkl, colmap:DIR; or a benchmark."
)
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
