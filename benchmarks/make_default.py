"""Make what ships as the ``default`` descriptor: learn the backbone, then the whitening.

    python benchmarks/make_default.py whiten --photos ../shared/data [--backbone RUN/network.safetensors]

``whiten`` learns the recipe's projection on the reference photos of every set (queries take no part) and writes
``src/reseen/recipes/default.safetensors``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file

from reseen.descriptor import Recipe, assemble
from reseen.descriptor.recipes import read_recipe, recipe_path


def references(photos: Path) -> list[Path]:
    """Database photos of every set, and the unrelated photos."""
    found = sorted((photos / "distractors").glob("*.jpg"))
    for manifest in sorted(photos.glob("*/manifest.json")):
        found += [manifest.parent / name for name in json.loads(manifest.read_text())["database"]]
    return found


def whiten(photos: Path, backbone: Path | None) -> Path:
    """Learn the projection of ``default`` and write its tensors beside the recipe."""
    recipe = read_recipe("default").to_dict()
    recipe.pop("learned", None)
    if backbone is not None:
        recipe["backbone"]["weights"] = str(backbone)
    descriptor = assemble(Recipe.from_dict(recipe), {}, engine="torch", precision="float32")
    fitted = descriptor.fit(references(photos))
    tensors = {}
    for name, value in fitted.tensors().items():
        if name.startswith("projection."):
            tensors[name] = np.ascontiguousarray(value)
        elif backbone is not None:
            tensors[name] = np.ascontiguousarray(value.astype(np.float16) if value.dtype.kind == "f" else value)
    path = recipe_path("default").with_suffix(".safetensors")
    save_file(tensors, path)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("whiten")
    verb.add_argument("--photos", type=Path, required=True)
    verb.add_argument("--backbone", type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    print(whiten(args.photos, args.backbone))


if __name__ == "__main__":
    main()
