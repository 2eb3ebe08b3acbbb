"""Feature maps of photos at one size, kept on disk, so that every experiment shares one pass of the network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

import reseen
from reseen.backbones import create_backbone
from reseen.descriptor import Descriptor, Recipe
from reseen.evaluation import load_benchmarks
from reseen.evaluation.benchmarks.benchmark import Query, photos_in
from reseen.heads import Head
from reseen.heads.selective import sift_mask, sift_points
from reseen.types import Box

LITE0 = ("head", "blocks.6", "blocks.5", "blocks.4", "blocks.3")
SCORED = ("smvs-dvd", "smvs-landmarks", "paris-sub")


class Taps(Head):
    """No head at all: layers as they are, and the cells of SIFT keypoints on the grid of the first."""

    photo_task = staticmethod(sift_points)
    raw_dim = 0

    def valid_from(self, tasks: Sequence[Any], grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
        return sift_mask(tasks, grid, size)


def tapped(network: str, side: int, layers: Sequence[str] = LITE0) -> Descriptor:
    """A network at ``side`` pixels: ``bundled`` or ``default`` (Lite0's weights), else VGG16 with those weights."""
    name = "efficientnet-lite0" if network in ("bundled", "default") else "vgg16"
    backbone = create_backbone(name, layers, None if network == "default" else network)
    if network == "default":
        backbone.load_state_dict(reseen.load("default").backbone.state_dict())
    settings = {"name": name, "layers": list(layers)}
    recipe = Recipe.from_dict(
        {"name": network, "images": {"longest": side}, "backbone": settings, "head": {"kind": "mac"}}
    )
    return Descriptor(recipe, backbone, Taps(backbone.channels))


@dataclass(frozen=True)
class Part:
    """Photos that are read together; ``queries`` has their truth where they are queries."""

    name: str
    photos: tuple[Path, ...]
    boxes: tuple[Box | None, ...]
    queries: tuple[Query, ...] = ()


def spread(photos: Sequence[Path], most: int) -> tuple[Path, ...]:
    """At most so many, evenly."""
    return tuple(photos[i] for i in np.unique(np.linspace(0, len(photos) - 1, most).astype(int)))


def learning(folder: Path, most: int) -> Part:
    """Photos to learn from, half of ``distractors`` and half of ``landmarks-web``: of nothing that is scored."""
    photos: list[Path] = []
    for name in ("distractors", "landmarks-web/db"):
        photos += spread(photos_in([folder / name]), most // 2)
    return Part(f"learn-{most}", tuple(photos), (None,) * len(photos))


def scored(folder: Path, name: str, most: int) -> tuple[Part, Part]:
    """Database and queries of one set, at most ``most`` queries."""
    (benchmark,) = load_benchmarks(folder / name)
    kept = np.unique(np.linspace(0, len(benchmark.queries) - 1, most).astype(int))
    queries = tuple(benchmark.queries[i] for i in kept)
    database = Part(f"{name}-database", benchmark.database, (None,) * len(benchmark.database))
    return database, Part(
        f"{name}-queries-{len(queries)}", tuple(q.photo for q in queries), tuple(q.box for q in queries), queries
    )


@dataclass(frozen=True)
class MapCache:
    """Maps of a network at one size under ``folder``, a file a photo, float16."""

    folder: Path
    network: str
    side: int
    layers: tuple[str, ...] = LITE0

    def _file(self, part: Part, index: int) -> Path:
        name = hashlib.sha256(f"{part.photos[index].resolve()} {part.boxes[index]}".encode()).hexdigest()[:32]
        return self.folder / f"{self.network.replace('/', '_')}-{self.side}" / f"{name}.safetensors"

    def fill(self, part: Part) -> None:
        """Pass the photos that are not there yet through the network."""
        missing = [i for i in range(len(part.photos)) if not self._file(part, i).is_file()]
        if not missing:
            return
        self._file(part, 0).parent.mkdir(parents=True, exist_ok=True)
        descriptor = tapped(self.network, self.side, self.layers)
        for item in descriptor.maps([part.photos[i] for i in missing], [part.boxes[i] for i in missing]):
            if item.rejected is not None:
                raise item.rejected
            maps = {name: m.half().contiguous() for name, m in zip(self.layers, item.maps, strict=True)}
            assert item.valid is not None
            file = self._file(part, missing[item.index])
            save_file({**maps, "sift": item.valid}, file.with_suffix(".part"))
            file.with_suffix(".part").rename(file)

    def read(self, part: Part, layer: str) -> Iterator[tuple[Tensor, Tensor]]:
        """Map ``(1, C, h, w)`` float32 and SIFT mask ``(1, h', w')`` of each photo, in order."""
        self.fill(part)
        for i in range(len(part.photos)):
            with safe_open(self._file(part, i), "pt") as file:
                yield file.get_tensor(layer).float()[None], file.get_tensor("sift")[None]
