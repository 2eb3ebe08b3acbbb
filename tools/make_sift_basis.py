"""Learn the 64 principal components in which SIFT features are kept, and write them into the package.

    python -m tools.make_sift_basis --photos DATA

Learned on ``distractors`` and on virtual photos of painted canvases, none of which anything is scored on. Collections
hold codes of this basis: a new one needs a new name (:mod:`reseen.search.local.compact`).
"""

from __future__ import annotations

import argparse
from importlib.resources import files
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from reseen.images import load_photo, ordered_map, walk
from reseen.scenes import paint, virtual_photo
from reseen.search.local import RootSift
from reseen.search.local.compact import Basis
from reseen.types import Pixels, Vectors

PAINTED = 100
"""Virtual photos."""
EACH = 100
"""Descriptors of each photo."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    given = parser.parse_args()
    extractor = RootSift(compact=False)

    def descriptors(photo: bytes | Pixels) -> Vectors:
        pixels = load_photo(photo, at_least=extractor.side).pixels if isinstance(photo, bytes) else photo
        found = extractor.extract(pixels).vectors()
        return found[np.random.default_rng(len(found)).permutation(len(found))[:EACH]]

    read = [Path(item.path.decode()).read_bytes() for item in walk([given.photos / "distractors"]) if not item.ignored]
    canvases = [paint(number).pixels for number in range(PAINTED)]
    painted = [virtual_photo(pixels, np.random.default_rng(number)).pixels for number, pixels in enumerate(canvases)]
    every = np.concatenate([*ordered_map(descriptors, [*read, *painted], workers=2)])
    basis = Basis.learn(every)
    kept = ((every - basis.mean) @ basis.axes.T).var(0).sum() / every.var(0).sum()
    largest = np.abs((every - basis.mean) @ basis.axes.T).max()
    to = Path(str(files("reseen.search.local").joinpath("sift-pca64.safetensors")))
    save_file({"mean": basis.mean, "axes": basis.axes}, to)
    print(f"{len(every)} descriptors, {kept:.1%} of the variance, largest component {largest:.2f}: {to}")


if __name__ == "__main__":
    main()
