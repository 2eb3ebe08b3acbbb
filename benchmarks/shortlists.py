"""Vectors, local features and shortlists of a set, kept in a cache folder. For the re-ranking benchmarks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reseen.descriptor import Recipe, assemble, read_recipe
from reseen.images import load_photo
from reseen.projections import create_projection
from reseen.search.local import LocalFeatures, RootSift

SETS = ("smvs-dvd", "smvs-landmarks", "paris-sub", "landmarks-web")


@dataclass(frozen=True)
class PhotoSet:
    """One set: vectors are whitened and of unit length, features are RootSIFT; truth as row numbers."""

    name: str
    paths: list[Path]
    vectors: NDArray[np.float32]
    features: list[LocalFeatures]
    query_paths: list[Path]
    boxes: list[tuple[float, float, float, float] | None]
    queries: NDArray[np.float32]
    query_features: list[LocalFeatures]
    positives: list[set[int]]
    junk: list[set[int]]

    def ranking(self, query: int) -> NDArray[np.int64]:
        """Every row of the database, best first, junk included."""
        return np.argsort(-(self.vectors @ self.queries[query]), kind="stable")


def _encode(
    paths: Sequence[Path], boxes: Sequence[tuple[float, float, float, float] | None], side: int, cache: Path
) -> tuple[NDArray[np.float32], list[LocalFeatures]]:
    """Raw R-MAC vectors and features of photos, computed once."""
    if not cache.is_file():
        recipe = read_recipe("rmac-lite0").to_dict()
        recipe["images"]["longest"] = side
        descriptor = assemble(Recipe.from_dict(recipe), {})
        vectors = descriptor.encode(paths, boxes=boxes, project=False)
        sift = RootSift()
        blobs = []
        for path in paths:
            photo = load_photo(path, at_least=sift.side)
            blobs.append(np.frombuffer(sift.extract(photo.pixels, photo.size).to_bytes(), np.uint8))
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, vectors=vectors, ends=np.cumsum([len(b) for b in blobs]), blobs=np.concatenate(blobs))
    with np.load(cache, allow_pickle=False) as kept:
        parts = np.split(kept["blobs"], kept["ends"][:-1])
        return kept["vectors"], [LocalFeatures.from_bytes(part.tobytes()) for part in parts]


def read_sets(names: Sequence[str], photos: Path, cache: Path, side: int = 512) -> list[PhotoSet]:
    """Sets by name; the whitening (PCA, 256 dimensions, half power) is learned on the distractors alone."""
    unrelated = sorted((photos / "distractors").rglob("*.jpg"))
    learned, _ = _encode(unrelated, [None] * len(unrelated), side, cache / f"distractors-{side}.npz")
    whitening = create_projection("pca", dim=256, power=0.5).fit(learned)
    found = []
    for name in names:
        manifest = json.loads((photos / name / "manifest.json").read_text())
        paths = [photos / name / path for path in manifest["database"]]
        rows = {path: row for row, path in enumerate(manifest["database"])}
        queries = manifest["queries"]
        boxes = [tuple(q["box"]) if q.get("box") else None for q in queries]
        query_paths = [photos / name / q["image"] for q in queries]
        raw, features = _encode(paths, [None] * len(paths), side, cache / f"{name}-{side}-database.npz")
        asked, query_features = _encode(query_paths, boxes, side, cache / f"{name}-{side}-queries.npz")
        found.append(
            PhotoSet(
                name,
                paths,
                whitening.transform(raw),
                features,
                query_paths,
                boxes,
                whitening.transform(asked),
                query_features,
                [{rows[p] for p in q["positives"]} for q in queries],
                [{rows[p] for p in q["junk"] if p in rows} for q in queries],
            )
        )
    return found
