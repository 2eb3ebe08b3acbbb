"""Parts in wholes: whether the first stage finds the photo that a detail was cut from, by the detail's area.

    python -m research.parts --photos DATA --cache CACHE --to FOLDER

The test set is made from the development photos, seeded, and kept in FOLDER: ``detail``: a square-ish part of a photo
of the database, 2 to 25 % of its area, turned by up to 20 degrees, scaled by 0.6 to 1.6, and compressed (JPEG 60 to
90); it asks for the whole. ``small``: a photo of the database pasted small (2 to 25 % of the area) and turned into
one of ``distractors`` that is not in the collection; no box is given. All development sets and the rest of
``distractors`` are the collection. Prints the share of queries whose first hit, and whose first 50, are
right, before verification, and the first hit after it.
"""

from __future__ import annotations

import argparse
import io
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps
from research.groups import ALL

import reseen
from reseen.collections.first_stage import fused
from reseen.evaluation import VectorCache, load_benchmarks
from reseen.evaluation.rerank import FeatureCache
from reseen.images import walk
from reseen.search.geometry import verify
from reseen.search.geometry.probability import default_calibration
from reseen.search.index.exact import ExactIndex
from reseen.search.index.inverted import InvertedFile

AREAS = (0.02, 0.05, 0.10, 0.25)
HOSTS = 60
"""Distractors that small photos are pasted into."""
DEPTH = 50


def opened(photo: Path) -> Image.Image:
    with Image.open(photo) as found:
        return ImageOps.exif_transpose(found).convert("RGB")


def compressed(picture: Image.Image, rng: np.random.Generator) -> bytes:
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=int(rng.integers(60, 90)))
    return data.getvalue()


def detail(photo: Path, area: float, rng: np.random.Generator) -> bytes:
    """A part of a photo that covers ``area`` of it, turned about its middle and scaled."""
    picture = opened(photo)
    w, h = picture.size
    aspect = rng.uniform(0.75, 1.33)
    cw, ch = min(w, np.sqrt(area * w * h * aspect)), min(h, np.sqrt(area * w * h / aspect))
    x, y = rng.uniform(cw / 2, w - cw / 2), rng.uniform(ch / 2, h - ch / 2)
    turned = picture.rotate(rng.uniform(-20, 20), Image.Resampling.BICUBIC, center=(x, y))
    part = turned.crop((int(x - cw / 2), int(y - ch / 2), int(x + cw / 2), int(y + ch / 2)))
    scale = rng.uniform(0.6, 1.6)
    return compressed(part.resize((max(24, int(part.width * scale)), max(24, int(part.height * scale)))), rng)


def small(photo: Path, host: Path, area: float, rng: np.random.Generator) -> bytes:
    """A photo pasted into another, of which it covers ``area``."""
    picture, scene = opened(photo), opened(host)
    scene = scene.resize((1024, max(1, round(1024 * scene.height / scene.width))))
    scale = np.sqrt(area * scene.width * scene.height / (picture.width * picture.height))
    scale = min(scale, 0.9 * scene.width / picture.width, 0.9 * scene.height / picture.height)
    picture = picture.resize((max(8, int(picture.width * scale)), max(8, int(picture.height * scale))))
    turned = picture.convert("RGBA").rotate(rng.uniform(-20, 20), Image.Resampling.BICUBIC, expand=True)
    place = [int(rng.integers(0, max(1, room))) for room in np.subtract(scene.size, turned.size)]
    scene.paste(turned, (place[0], place[1]), turned)
    return compressed(scene, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
    parser.add_argument("--cache", type=Path, required=True, help="folder for vectors and local features")
    parser.add_argument("--to", type=Path, required=True, help="folder for the test set")
    parser.add_argument("--each", type=int, default=40, help="queries of a kind and an area")
    given = parser.parse_args()
    descriptor, cache = reseen.load("default"), VectorCache(given.cache)
    local = FeatureCache(cache)
    benchmarks = [load_benchmarks(given.photos / name)[0] for name in ALL]
    others = [Path(item.path.decode()) for item in walk([given.photos / "distractors"]) if not item.ignored]
    hosts, others = others[:HOSTS], others[HOSTS:]
    photos = list(dict.fromkeys([*(photo for b in benchmarks for photo in b.database), *others]))
    items = local.read(photos)
    rich = [row for row, features in enumerate(items) if len(features) >= 200]
    rng = np.random.default_rng(0)
    asked: list[tuple[str, float, int, Path]] = []
    given.to.mkdir(parents=True, exist_ok=True)
    for kind in ("detail", "small"):
        for area in AREAS:
            for number, row in enumerate(rng.choice(rich, given.each, replace=False).tolist()):
                one = np.random.default_rng([len(kind), int(1000 * area), number])
                file = given.to / f"{kind}-{area:.2f}-{number:03d}.jpg"
                if kind == "detail":
                    file.write_bytes(detail(photos[row], area, one))
                else:
                    file.write_bytes(small(photos[row], hosts[number % HOSTS], area, one))
                asked.append((kind, area, row, file))
    ids = np.arange(len(photos))
    exact = ExactIndex.of(ids, cache.encode(descriptor, photos).vectors)
    words = InvertedFile.of(ids, items)
    files = [file for *_, file in asked]
    vectors = cache.encode(descriptor, files).vectors
    calibration = default_calibration()
    right: dict[tuple[str, float], list[list[bool]]] = defaultdict(list)
    for (kind, area, wanted, _), vector, features in zip(asked, vectors, local.read(files), strict=True):
        near = exact.search(vector[None], DEPTH)[0][0].tolist()
        said = [row for row in words.search([features], DEPTH)[0][0].tolist() if row >= 0]
        said += [row for row in near if row not in said][: DEPTH - len(said)]
        both = fused([near, said], DEPTH)
        checked = verify(features, [items[row] for row in both])
        surest = max(zip(checked, both, strict=True), key=lambda one: calibration.log_evidence_of(one[0]))[1]
        line = [found for listed in (near, said, both) for found in (listed[0] == wanted, wanted in listed)]
        right[kind, area].append([*line, surest == wanted])
    print(f"{len(photos)} photos, {given.each} queries a line\n")
    print(
        "| query | area | global: first, among 50 | local: first, among 50 | both: first, among 50 | verified first |"
    )
    print("|---|---|---|---|---|---|")
    for (kind, area), lines in right.items():
        share = [f"{value:.0f}" for value in 100 * np.mean(lines, axis=0)]
        cells = [", ".join(share[i : i + 2]) for i in (0, 2, 4)]
        print(f"| {kind} | {100 * area:.0f} % | " + " | ".join(cells) + f" | {share[6]} |")


if __name__ == "__main__":
    main()
