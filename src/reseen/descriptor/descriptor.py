"""A descriptor: backbone, head and projection, from photos to unit vectors."""

from __future__ import annotations

import copy
import hashlib
import itertools
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.backbones import Backbone
from reseen.descriptor.pipeline import Mapped, Plan, Prepared, cells_inside, prepared_photos, run_batches
from reseen.descriptor.recipes import Recipe
from reseen.descriptor.runtime.engines import Engine, EngineName, Precision, make_engine, pick_engine
from reseen.descriptor.runtime.network import KnownNetwork, hash_tensors, state_of
from reseen.descriptor.runtime.threads import network_threads, share_threads
from reseen.encoder import Encoded, Task
from reseen.errors import NotFitted, PhotoRejected, RecipeError
from reseen.heads import Head
from reseen.images import PREPROCESSING_VERSION, PhotoLike, placed
from reseen.projections import Projection
from reseen.projections.moments import indexable
from reseen.types import Box, Cells, FeatureMaps, Pairs, Progress, Vectors


@dataclass(frozen=True)
class Maps:
    """Feature maps of one photo at scale 1: ``(C, h, w)`` float32 per layer, cut to the box where there is one."""

    index: int
    maps: list[Tensor]
    size: tuple[int, int]
    pixels_size: tuple[int, int]
    valid: Tensor | None = None
    rejected: PhotoRejected | None = None


Item = TypeVar("Item", Encoded, Maps)


class Descriptor:
    """From photos to vectors whose inner product tells how alike what they show is.

    Args:
        recipe: the settings.
        backbone, head, projection: the parts; a backbone that is only known is made when it is needed; a projection
            that is None leaves the head's vectors.
        engine, precision, device: what runs the network; ``auto`` is what this machine is good at. They
            are no part of the fingerprint: see :attr:`runtime`.
    """

    def __init__(
        self,
        recipe: Recipe,
        backbone: Backbone | KnownNetwork,
        head: Head,
        projection: Projection | None = None,
        *,
        engine: EngineName = "auto",
        precision: Precision = "auto",
        device: str | torch.device | None = None,
    ) -> None:
        self.recipe, self.head, self.projection = recipe, head, projection
        self._network = backbone
        self._asked: dict[str, Any] = {"engine": engine, "precision": precision, "device": device}
        self._heads: dict[torch.device, Head] = {}

    # -- what it is ----------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.recipe.name

    @property
    def backbone(self) -> Backbone:
        """The network, made now where it was only known so far."""
        if isinstance(self._network, KnownNetwork):
            self._network = self._network.make()
        return self._network

    @property
    def dim(self) -> int:
        """Dimensions of its vectors."""
        return self.head.dim if self.projection is None else self.projection.dim_out(self.head.dim)

    @property
    def side(self) -> int:
        """Pixels of the longest side at which photos are looked at."""
        return Plan(self.recipe.images.rule, "", self.recipe.scales.factors).at_least

    @property
    def gives(self) -> frozenset[Literal["maps"]]:
        """Everything that an encoder can give."""
        return frozenset({"maps"})

    @property
    def fitted(self) -> bool:
        """Whether everything it learns from photos has been learned."""
        return self.head.fitted and (self.projection is None or self.projection.fitted)

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of the settings vectors depend on, the tensors, and the version of the preprocessing.

        Two descriptors of one fingerprint give the same vectors, up to the engine's rounding.
        """
        digest = hashlib.sha256()
        settings = {"preprocessing": PREPROCESSING_VERSION, **self.recipe.vector_settings()}
        if self.head.rules > 1:
            settings["rules"] = self.head.rules
        digest.update(json.dumps(settings, sort_keys=True).encode())
        hash_tensors(digest, self.tensors())
        return digest.hexdigest()

    @property
    def runtime(self) -> dict[str, str]:
        """Engine, precision and device that :meth:`encode` uses, e.g. for the key of a cache."""
        engine, precision, device = pick_engine(self._network, **self._asked)
        return {"engine": engine, "precision": precision, "device": str(device)}

    @cached_property
    def _engine(self) -> Engine:
        return make_engine(self._network, **self._asked, threads=share_threads()[0])

    def head_on(self, device: str | torch.device) -> Head:
        """The head, to run on a device: itself where it is there already, else a copy that is kept."""
        device = torch.device(device)
        here = next(itertools.chain(self.head.parameters(), self.head.buffers()), torch.empty(0, device=device)).device
        if not self.head.training and here == device:
            return self.head
        if device not in self._heads:
            self._heads[device] = copy.deepcopy(self.head).to(device).eval()
        return self._heads[device]

    def tensors(self) -> dict[str, NDArray[Any]]:
        """Every weight and learned value by name: ``backbone.*``, ``head.*``, ``projection.*``."""
        network = self._network
        parts = {
            "backbone": network.tensors if isinstance(network, KnownNetwork) else state_of(network),
            "head": state_of(self.head),
            "projection": {} if self.projection is None else self.projection.state(),
        }
        return {f"{part}.{name}": value for part, state in parts.items() for name, value in state.items()}

    def replace(self, **changes: Any) -> Descriptor:
        """A copy with other parts or runtime: ``recipe, backbone, head, projection, engine, precision, device``."""
        parts = {
            "recipe": self.recipe,
            "backbone": self._network,
            "head": self.head,
            "projection": self.projection,
            **self._asked,
            **changes,
        }
        return Descriptor(**parts)

    # -- photos to vectors ---------------------------------------------------------------------------

    def encode(
        self,
        photos: Sequence[PhotoLike] | PhotoLike,
        boxes: Sequence[Box | None] | None = None,
        batch_size: int | None = None,
        device: str | torch.device | None = None,
        workers: int | None = None,
        *,
        crop: str | None = None,
        project: bool = True,
        progress: Progress | None = None,
    ) -> Vectors:
        """Vectors of photos: float32 ``(n, dim)``, rows of unit length; a blank photo's row may be zero.

        Args:
            photos: paths, encoded bytes, PIL images or ``uint8 (H, W[, 3])`` arrays.
            boxes: one ``(x0, y0, x1, y1)`` or None per photo, in pixels of the upright photo.
            batch_size: photos per batch; by default what suits their size. It does not change the vectors.
            device: overrides the descriptor's own.
            workers: decoding threads; by default torch's and these together fill the cores.
            crop: what a box means, instead of the recipe's rule: ``relative``, ``tight``, ``padded`` or
                ``activations``.
            project: False leaves the head's vectors ``(n, head.dim)``, multi-scale included.
            progress: called with (done, all).

        Raises:
            PhotoRejected: a photo cannot be used (:meth:`stream` goes on instead). NotFitted: see :meth:`fit`.
        """
        listed = _listed(photos)
        width = self.dim if project else self.head.dim
        vectors = np.zeros((len(listed), width), np.float32)
        stream = self.stream(listed, boxes, batch_size, device, workers, crop=crop, project=project, progress=progress)
        for item in stream:
            if item.rejected is not None:
                raise item.rejected
            vectors[item.index] = item.vector
        return vectors

    def stream(
        self,
        photos: Iterable[PhotoLike],
        boxes: Iterable[Box | None] | None = None,
        batch_size: int | None = None,
        device: str | torch.device | None = None,
        workers: int | None = None,
        *,
        crop: str | None = None,
        project: bool = True,
        tasks: Mapping[str, Task] | None = None,
        at_least: int = 0,
        progress: Progress | None = None,
    ) -> Iterator[Encoded]:
        """Like :meth:`encode`, one photo at a time, in order, in flat memory; bad photos come with their reason.

        ``tasks`` run on each decoded ``Photo`` in the decoding threads, which keep ``at_least`` pixels of its longest
        side for them; a PhotoRejected there rejects the photo.
        """
        if project:
            self._require_fitted()
        elif not self.head.fitted:
            raise NotFitted(self._advice())
        total = len(photos) if isinstance(photos, Sequence) else 0
        plan = self._plan(crop, self.recipe.scales.factors, tasks, at_least)
        scales = len(plan.factors)
        rows: dict[int, list[Vectors | None]] = {}
        photos_seen: dict[int, Prepared] = {}
        following = 0
        threads, decode_threads = share_threads(workers)
        for item in self._run(photos, boxes, plan, batch_size, device, threads, decode_threads):
            if isinstance(item, Prepared):
                photos_seen[item.index] = item
                rows[item.index] = [None] * scales
            else:
                with network_threads(threads):
                    vectors = self._pooled(item, photos_seen)
                for mapped, vector in zip(item, vectors, strict=True):
                    rows[mapped.index][mapped.scale] = vector
            while following in photos_seen and (
                photos_seen[following].rejected is not None or all(v is not None for v in rows[following])
            ):
                photo = photos_seen.pop(following)
                found = [v for v in rows.pop(following) if v is not None]
                final: Vectors | None = None
                if photo.rejected is None:
                    raw = self._combine(np.stack(found))
                    final = self.project(raw[None])[0] if project else raw
                yield Encoded(following, final, photo.size, photo.rejected, photo.tasks)
                following += 1
                if progress is not None:
                    progress(following, total)

    def maps(
        self,
        photos: Iterable[PhotoLike],
        boxes: Iterable[Box | None] | None = None,
        *,
        crop: str | None = None,
        batch_size: int | None = None,
        device: str | torch.device | None = None,
        workers: int | None = None,
    ) -> Iterator[Maps]:
        """Feature maps of each photo at scale 1, on the CPU, in order; bad photos come with their reason."""
        plan = self._plan(crop, (1.0,))
        ready: dict[int, Maps] = {}
        photos_seen: dict[int, Prepared] = {}
        following = 0
        for item in self._run(photos, boxes, plan, batch_size, device, *share_threads(workers)):
            if isinstance(item, Prepared):
                photos_seen[item.index] = item
                if item.rejected is not None:
                    ready[item.index] = Maps(item.index, [], item.size, (0, 0), rejected=item.rejected)
            else:
                for mapped in item:
                    photo = photos_seen.pop(mapped.index)
                    maps, valid = self._cut(mapped, photo)
                    ready[mapped.index] = Maps(
                        mapped.index,
                        [m[0].cpu() for m in maps],
                        photo.size,
                        mapped.pixels_size,
                        valid[0].cpu() if valid is not None else None,
                    )
            while following in ready:
                yield ready.pop(following)
                following += 1

    def photo_maps(self, photo: PhotoLike, box: Box | None = None, *, crop: str | None = None) -> FeatureMaps:
        """Feature maps ``(C, h, w)`` of each layer at scale 1 of one photo, or of the part of it in ``box``.

        Raises:
            PhotoRejected: the photo cannot be used.
        """
        item = next(iter(self.maps([photo], [box], crop=crop)))
        if item.rejected is not None:
            raise item.rejected
        return tuple(np.asarray(m.numpy(), np.float32) for m in item.maps)

    def shown(self, size: tuple[float, float]) -> Box:
        """The part of its maps, in shares of their sides, that a photo of ``size`` (W, H) lies in."""
        (left, top, right, bottom), (width, height) = placed(self.recipe.images.rule, size)
        return left / width, top / height, right / width, bottom / height

    def pool_parts(self, maps: FeatureMaps, parts: Sequence[Cells]) -> Vectors:
        """Unit vectors ``(n, dim)`` of parts ``(x0, y0, x1, y1)`` of a photo's maps, in cells of the first layer's.

        Parts of equal size are pooled together.
        """
        head = self.head_on("cpu")
        layers = [torch.from_numpy(m) for m in maps]
        grid = (int(layers[0].shape[-2]), int(layers[0].shape[-1]))
        pieces = [[_part(layer, cells, grid) for layer in layers] for cells in parts]
        by_size: dict[tuple[torch.Size, ...], list[int]] = {}
        for i, cut in enumerate(pieces):
            by_size.setdefault(tuple(piece.shape for piece in cut), []).append(i)
        raw = np.zeros((len(parts), self.head.dim), np.float32)
        with torch.inference_mode():
            for rows in by_size.values():
                raw[rows] = head([torch.stack(layer) for layer in zip(*(pieces[i] for i in rows), strict=True)]).numpy()
        return self.project(raw)

    def project(self, raw: Vectors) -> Vectors:
        """The head's vectors ``(n, head.dim)`` -> final vectors ``(n, dim)``."""
        return raw if self.projection is None else self.projection.transform(raw)

    def _plan(
        self,
        crop: str | None,
        factors: tuple[float, ...],
        tasks: Mapping[str, Task] | None = None,
        at_least: int = 0,
    ) -> Plan:
        images = self.recipe.images
        crop = crop or images.crop
        field = 0
        if crop == "padded":
            known = [layer.receptive_field for layer in self.backbone.layers]
            if None in known:
                raise RecipeError(f"the receptive field of {self.backbone.name!r} is not known: no padded boxes")
            field = max(size for size in known if size is not None)
        return Plan(images.rule, crop, factors, tasks or {}, self.head.photo_task, field, at_least)

    def _run(
        self,
        photos: Iterable[PhotoLike],
        boxes: Iterable[Box | None] | None,
        plan: Plan,
        batch_size: int | None,
        device: str | torch.device | None,
        threads: int,
        decode_threads: int,
    ) -> Iterator[Prepared | list[Mapped]]:
        if device is None:
            engine = self._engine
        else:
            engine = make_engine(self._network, **{**self._asked, "device": device}, threads=share_threads()[0])
        every: Iterable[Box | None] = itertools.repeat(None)
        if boxes is not None:
            photos, every = list(photos), list(boxes)
            if len(photos) != len(every):
                raise ValueError(f"{len(photos)} photos but {len(every)} boxes: give one, or None, per photo")
        return run_batches(prepared_photos(photos, every, plan, decode_threads), engine, batch_size, threads)

    def _cut(self, mapped: Mapped, photo: Prepared) -> tuple[list[Tensor], Tensor | None]:
        """The maps of one input inside the photo's window, and the cells that the head's mask keeps."""
        maps = mapped.maps
        grid = (int(maps[0].shape[-2]), int(maps[0].shape[-1]))
        valid = None
        if mapped.pixel_result is not None:
            valid = self.head.valid_from([mapped.pixel_result], grid, mapped.pixels_size)
        if photo.window is None:
            return maps, valid
        cut = []
        for m in maps:
            x0, y0, x1, y1 = cells_inside(photo.window, (int(m.shape[-2]), int(m.shape[-1])))
            cut.append(m[..., y0:y1, x0:x1])
        if valid is not None:
            x0, y0, x1, y1 = cells_inside(photo.window, grid)
            valid = valid[..., y0:y1, x0:x1]
        return cut, valid

    def _pooled(self, batch: list[Mapped], photos: Mapping[int, Prepared]) -> list[Vectors]:
        """The head's vector ``(d,)`` of each input; inputs of one size without windows are pooled together."""
        device = batch[0].maps[0].device
        head = self.head_on(device)
        with torch.inference_mode():
            if all(photos[m.index].window is None for m in batch):
                maps = [torch.cat(layer) for layer in zip(*(m.maps for m in batch), strict=True)]
                grid = (int(maps[0].shape[-2]), int(maps[0].shape[-1]))
                results = [m.pixel_result for m in batch]
                valid = None
                if results[0] is not None:
                    valid = head.valid_from(results, grid, batch[0].pixels_size)
                    valid = valid.to(device) if valid is not None else None
                return list(head(maps, valid).cpu().numpy())
            vectors = []
            for mapped in batch:
                maps, valid = self._cut(mapped, photos[mapped.index])
                vectors.append(head(maps, valid.to(device) if valid is not None else None).cpu().numpy()[0])
            return vectors

    def _combine(self, rows: Vectors) -> Vectors:
        """Vectors of each scale ``(S, d)`` -> ``(d,)`` of unit length (see ``Scales``)."""
        scales = self.recipe.scales
        power = float(self.head.p.detach()) if scales.power == "gem" else float(scales.power)  # type: ignore[operator]
        weights = np.asarray(scales.weights or (1.0,) * len(rows), np.float32)[:, None]
        if len(rows) == 1:
            mean = rows[0]
        elif power == 1:
            mean = (weights * rows).sum(0) / weights.sum()
        else:
            mean = ((weights * np.maximum(rows, 0) ** power).sum(0) / weights.sum()) ** (1 / power)
        return np.asarray(mean / max(float(np.linalg.norm(mean)), 1e-12), np.float32)

    # -- learning and keeping ------------------------------------------------------------------------

    def fit(
        self,
        photos: Sequence[PhotoLike],
        pairs: Pairs | None = None,
        *,
        seed: int = 0,
        progress: Progress | None = None,
        rejected: Callable[[int, PhotoRejected], None] | None = None,
    ) -> Descriptor:
        """A copy whose head (codebooks) and projection are learned from ``photos``; bad photos are left out.

        Memory holds the sample of local features that the head keeps; the photos' vectors lie in a temporary file.

        Args:
            photos: what to learn from.
            pairs: ``(m, 2)`` rows of ``photos`` that show the same thing, for projections that need them.
            seed: of samples and codebooks.
            progress: called with (done, all), from 0 again for the projection.
            rejected: called with the place and the reason of a photo that cannot be used, once per pass.

        Raises:
            NotFitted: the photos that can be used are too few.
        """
        seen = len(photos)

        def usable(stream: Iterable[Item]) -> Iterator[Item]:
            for item in stream:
                if item.rejected is None:
                    yield item
                elif rejected is not None:
                    rejected(item.index, item.rejected)
                if progress is not None:
                    progress(item.index + 1, seen)

        head = copy.deepcopy(self.head)
        if not head.fitted:
            maps = usable(self.maps(photos))
            head.fit(
                (([m[None] for m in item.maps], item.valid[None] if item.valid is not None else None) for item in maps),
                seed=seed,
            )
        fitted = self.replace(head=head)
        if self.projection is None:
            return fitted
        kept: list[int] = []

        def rows() -> Iterator[Vectors]:
            for item in usable(fitted.stream(photos, project=False)):
                assert item.vector is not None
                kept.append(item.index)
                yield item.vector[None]

        stream = rows()
        first = next(stream, None)
        if first is None:
            raise NotFitted("no photo could be used to learn from")
        vectors = indexable(itertools.chain([first], stream))
        if pairs is not None:
            position = {index: row for row, index in enumerate(kept)}
            usable_pairs = [[position[a], position[b]] for a, b in pairs.tolist() if a in position and b in position]
            pairs = np.asarray(usable_pairs, np.int64).reshape(-1, 2)
        projection = copy.deepcopy(self.projection).fit(vectors, pairs)
        return fitted.replace(projection=projection)

    def save(self, folder: str | os.PathLike[str], *, dtype: str = "float32") -> Path:
        """Write ``settings.json`` and ``weights.safetensors``; returns the folder.

        ``dtype="float16"`` halves the file; what is loaded from it then has another fingerprint.
        """
        from safetensors.numpy import save

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {}
        for name, value in self.tensors().items():
            small = dtype == "float16" and value.dtype.kind == "f" and not name.startswith("projection.")
            tensors[name] = np.ascontiguousarray(value.astype(np.float16) if small else value)
        (folder / "weights.safetensors").write_bytes(save(tensors))  # save_file would hide it from other users
        recipe = replace(
            self.recipe,
            learned="weights.safetensors",
            backbone=replace(self.recipe.backbone, weights=None),
            rules=self.head.rules if self.head.rules > 1 else None,
        )
        settings = json.dumps(recipe.to_dict(), indent=2, ensure_ascii=False)
        (folder / "settings.json").write_text(settings + "\n", encoding="utf-8")
        return folder

    def _require_fitted(self) -> None:
        if not self.fitted:
            raise NotFitted(self._advice())

    def _advice(self) -> str:
        return (
            f"recipe {self.name!r} has values to learn first: `reseen fit {self.name} PHOTOS --to FOLDER`, "
            "then use that folder as the recipe"
        )


def _part(maps: Tensor, cells: Cells, grid: tuple[int, int]) -> Tensor:
    """A part, in cells of a ``grid`` (h, w), of a layer ``(C, H, W)`` whose own grid may be finer or coarser."""
    down, across = maps.shape[-2] / grid[0], maps.shape[-1] / grid[1]
    x0, y0, x1, y1 = (round(v * s) for v, s in zip(cells, (across, down, across, down), strict=True))
    return maps[:, y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]


def _listed(photos: Sequence[PhotoLike] | PhotoLike) -> list[PhotoLike]:
    """A list of photos; one photo alone counts as a list of one."""
    return list(photos) if isinstance(photos, list | tuple) else [photos]  # type: ignore[list-item]
