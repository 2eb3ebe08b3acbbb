"""Make a small collection with the release that is installed, for every later one to open.

    python tests/data/make_collection.py tests/data/collection-0.1

Six painted photos of three works, labelled, with local features in ``local/`` and without in ``plain/``; both are
calibrated, and hold a blob and several versions. The network is one block with random weights, to stay small.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import reseen
from reseen.collections import Collection
from reseen.descriptor import Recipe, assemble
from reseen.scenes import paint

RECIPE = {
    "name": "small",
    "images": {"longest": 96},
    "backbone": {"name": "efficientnet-lite0", "layers": ["blocks.0"], "weights": "random"},
    "head": {"kind": "rmac"},
}


def write_photos(folder: Path) -> None:
    """Two photos of each of three painted works, in a folder per work, and a photo to ask with."""
    for work in range(3):
        pixels = paint(work, longest=120).pixels
        for photo, cut in enumerate((pixels, pixels[8:, :-12])):
            file = folder / f"work {work}" / f"{work}-{photo}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.ascontiguousarray(cut)).save(file, quality=85)
    Image.fromarray(np.ascontiguousarray(paint(1, longest=120).pixels[4:-4, 6:])).save(folder.parent / "query.jpg")


def make(folder: Path, photos: Path, local: str) -> None:
    """A collection of the photos at ``folder``."""
    collection = Collection.create(folder, assemble(Recipe.from_dict(RECIPE), {}, engine="torch"), local=local)
    collection.add(photos, label_from_folder=True)
    collection.put_blob("note", b"kept by 0.1")
    extra = photos / "work 0" / "0-1.jpg"
    collection.remove(extra)
    collection.add(extra, label_from_folder=True)
    verb = ["-c", "from reseen.cli.main import main; main()", "calibrate", str(folder), "--trials", "12", "--quiet"]
    subprocess.run([sys.executable, *verb], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("to", type=Path, help="a folder that does not exist")
    to = parser.parse_args().to.resolve()
    to.mkdir(parents=True)
    write_photos(to / "photos")
    for local in ("sift", "none"):
        make(to / {"sift": "local", "none": "plain"}[local], to / "photos", local)
    collection = Collection.open(to / "local")
    (hits,) = [collection.search(to / "query.jpg", k=6, rerank="none")]
    ids, vectors = collection.vectors()
    expected = {
        "release": reseen.__version__,
        "fingerprint": collection.fingerprint,
        "hits": [{"id": str(hit.id), "label": hit.label, "score": round(hit.score, 4)} for hit in hits],
        "first_vector": {"id": str(ids[0]), "values": [round(float(value), 5) for value in vectors[0]]},
    }
    (to / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
