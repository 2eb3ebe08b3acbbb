"""Reconstructions of COLMAP as photo sets: cameras, points, and which photo sees which (siaMAC, Section 4.1)."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from reseen.errors import PhotoSetError
from reseen.photosets.photo_set import Geometry, PhotoSet, join_geometry

AnyPath = str | os.PathLike[str]

FILES = ("images.bin", "images.txt")
"""One of them is in the folder of a model, binary or text."""


@dataclass(frozen=True)
class Reconstruction:
    """One model: what its n registered photos see.

    Attributes:
        photos: their names, relative to the folder of photos.
        centres: ``(n, 3)`` camera centres.
        visible: ``(n, points)`` bool, which photo observes which 3D point.
        scales: ``(n,)`` size at which each photo sees the scene: its focal length, in shares of its longest side, over
            the median depth of the points that it observes. Photos are trained on at one size, whatever theirs is.
    """

    photos: tuple[str, ...]
    centres: NDArray[np.float64]
    visible: csr_array
    scales: NDArray[np.float64]


def read_reconstruction(folder: AnyPath) -> Reconstruction:
    """A model of COLMAP, binary or text; photos without a pose, or that see no point, are left out.

    Raises:
        PhotoSetError: pycolmap is not installed, or the folder holds no model that can be read.
    """
    try:
        import pycolmap
    except ImportError as error:
        raise PhotoSetError(f"reading COLMAP's models needs pycolmap: pip install 'reseen[mine]' ({error})") from None
    folder = Path(folder)
    try:
        if (folder / "images.bin").is_file():
            _check_complete(folder)
        model = pycolmap.Reconstruction(str(folder))
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise PhotoSetError(f"{folder}: not a model of COLMAP that can be read ({first[:200]})") from None
    numbers = {point: column for column, point in enumerate(sorted(model.points3D))}
    places = np.array([model.points3D[point].xyz for point in numbers], np.float64).reshape(-1, 3)
    photos, centres, scales, columns = [], [], [], []
    for image in sorted((i for i in model.images.values() if i.has_pose), key=lambda image: image.name):
        seen = np.unique([numbers[p.point3D_id] for p in image.get_observation_points2D()]).astype(np.int64)
        pose = image.cam_from_world().matrix()
        depths = places[seen] @ pose[2, :3] + pose[2, 3]
        ahead = depths[depths > 0]
        if not len(ahead):
            continue
        camera = model.cameras[image.camera_id]
        focal = camera.mean_focal_length() / max(camera.width, camera.height)
        photos.append(str(image.name))
        centres.append(np.asarray(image.projection_center(), np.float64))
        scales.append(focal / float(np.median(ahead)))
        columns.append(seen)
    if not photos:
        raise PhotoSetError(f"{folder}: no photo of the model has a pose and sees a point")
    rows = np.repeat(np.arange(len(columns)), [len(seen) for seen in columns])
    entries = (np.ones(len(rows), bool), (rows, np.concatenate(columns)))
    visible = csr_array(entries, shape=(len(photos), len(numbers)))
    return Reconstruction(tuple(photos), np.stack(centres), visible, np.array(scales))


def _check_complete(folder: Path) -> None:
    """ValueError for a binary model that was cut off, which COLMAP's reader would read on and on.

    Images and points are walked from record to record; of the other files the number of records must fit their size.
    """
    sizes = {"cameras.bin": 40, "frames.bin": 68, "rigs.bin": 8, "images.bin": 73, "points3D.bin": 51}
    for name, least in sizes.items():
        path = folder / name
        if not path.is_file():  # models of older versions have no frames and rigs
            continue
        data = path.read_bytes()
        if len(data) < 8 or struct.unpack_from("<Q", data)[0] * least > len(data) - 8:
            raise ValueError(f"{name} is cut off")
        if name in ("images.bin", "points3D.bin"):
            place = 8
            for _ in range(struct.unpack_from("<Q", data)[0]):
                # id, pose and camera, then a name; or id, place, colour and error
                fixed = data.index(b"\0", place + 64) + 1 if name == "images.bin" else place + 43
                (count,) = struct.unpack_from("<Q", data, fixed)
                place = fixed + 8 + count * (24 if name == "images.bin" else 8)
                if place > len(data):
                    raise ValueError(f"{name} is cut off")


def reconstructions(folder: AnyPath, photos: AnyPath | None = None) -> PhotoSet:
    """A photo set of the models in a folder: each is a cluster, and positives follow from its geometry.

    ``folder`` is a model, or holds one in each of its folders (``0``, ``1``, ..., as COLMAP's mapper writes them, or
    ``NAME/sparse/0``). Photos are below ``photos``, by default ``images`` beside the model or in ``folder``. A photo of
    several models stays in the one with most photos, so that clusters do not overlap; photos that are not on this
    machine are left out and counted.

    Raises:
        PhotoSetError: pycolmap is missing, there is no model, a model is damaged, or none of its photos is here.
    """
    folder = Path(folder)
    found = models_in(folder)
    if not found:
        raise PhotoSetError(f"{folder}: there is no model of COLMAP in it (a folder with {' or '.join(FILES)})")
    read = [(path, read_reconstruction(path)) for path in found]
    read.sort(key=lambda item: -len(item[1].photos))
    taken: set[Path] = set()
    paths: list[Path] = []
    clusters: list[int] = []
    parts: list[Geometry] = []
    twice = missing = 0
    for number, (path, model) in enumerate(read):
        home = Path(photos) if photos is not None else photo_folder(path, folder)
        files = [home / name for name in model.photos]
        kept = []
        for row, file in enumerate(files):
            if file in taken:
                twice += 1
            elif not file.is_file():
                missing += 1
            else:
                kept.append(row)
        taken.update(files[row] for row in kept)
        paths += [files[row] for row in kept]
        clusters += [number] * len(kept)
        parts.append(Geometry(model.centres[kept], csr_array(model.visible[kept]), model.scales[kept]))
    if not paths:
        raise PhotoSetError(f"{folder}: none of the {missing} photos of its models is here; say where photos are")
    skipped = []
    if missing:
        skipped.append(f"{folder.name}: {missing} photos of its models are not here")
    if twice:
        skipped.append(f"{folder.name}: {twice} photos are in another, larger model too")
    return PhotoSet(
        f"colmap:{folder.name}",
        tuple(paths),
        np.array(clusters, np.int64),
        geometry=join_geometry(parts),
        skipped=tuple(skipped),
    )


def models_in(folder: Path) -> list[Path]:
    """The folder itself where it is a model, else the models below it, in the order of their names."""
    if any((folder / name).is_file() for name in FILES):
        return [folder]
    return sorted({file.parent for name in FILES for file in folder.glob(f"**/{name}")})


def photo_folder(model: Path, top: Path) -> Path:
    """``images`` in the model's folder or in the nearest one above it, no higher than beside ``top``."""
    for place in (model, *model.parents):
        if (place / "images").is_dir():
            return place / "images"
        if place == top.parent:
            break
    return top / "images"
