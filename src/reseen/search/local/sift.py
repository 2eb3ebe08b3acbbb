"""RootSIFT (Arandjelovic and Zisserman, 2012), in 64 bytes or as it is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from reseen.errors import ReseenError
from reseen.local_features import LocalFeatures
from reseen.search.local.compact import DIM, ZERO, shipped_basis
from reseen.types import Vectors


@dataclass(frozen=True)
class RootSift:
    """SIFT of the photo at ``side`` pixels on its longest side, at most ``limit`` keypoints.

    Args:
        side: the photo is reduced to it, never enlarged.
        limit: at most so many keypoints are kept.
        contrast: the detector's contrast threshold; lower than SIFT's 0.04, for dark photos.
        equalise: clip limit of the local histogram equalisation (CLAHE) before it, for dark photos; 0 for none.
        cell: the strongest keypoint of every square of so many pixels is kept first, then the second strongest, so
            that one busy part of the photo does not take them all; 0 keeps the strongest of the photo.
        compact: keep 64 principal components instead of 128 dimensions (see :mod:`reseen.search.local.compact`).
    """

    side: int = 640
    limit: int = 560
    contrast: float = 0.01
    equalise: float = 3.0
    cell: int = 40
    compact: bool = True

    @classmethod
    def from_name(cls, name: str) -> RootSift:
        """See :meth:`Extractor.from_name`."""
        if name == "sift":
            return cls()
        found = re.fullmatch(r"sift-(\d+)-(\d+)-([\d.]+)-([\d.]+)-(\d+)(-pca64)?", name)
        if found is None:
            raise ValueError(name)
        side, limit, contrast, equalise, cell, compact = found.groups()
        return cls(int(side), int(limit), float(contrast), float(equalise), int(cell), compact is not None)

    @property
    def name(self) -> str:
        """Name and settings, such as ``sift-640-560-0.01-3-40-pca64``; without the last part where not compact."""
        settings = f"sift-{self.side}-{self.limit}-{self.contrast:g}-{self.equalise:g}-{self.cell}"
        return settings + "-pca64" * self.compact

    def extract(self, pixels: NDArray[np.uint8], size: tuple[int, int] | None = None) -> LocalFeatures:
        """Features of upright RGB ``uint8 (H, W, 3)``; a photo without keypoints gives none."""
        height, width = pixels.shape[:2]
        full = size or (width, height)
        grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
        factor = min(1.0, self.side / max(height, width))
        if factor < 1:
            target = (max(1, round(width * factor)), max(1, round(height * factor)))
            grey = cv2.resize(grey, target, interpolation=cv2.INTER_AREA)
        if self.equalise:
            grey = cv2.createCLAHE(self.equalise, (8, 8)).apply(grey)
        sift = cv2.SIFT.create(contrastThreshold=self.contrast)
        keypoints = self._chosen(sift.detect(grey, None))
        scale = max(grey.shape) / max(full)
        if not keypoints:
            codes, zero = self._encoded(np.zeros((0, 128), np.float32))
            return LocalFeatures(np.zeros((0, 2), np.float16), codes, full, scale, np.zeros((0, 2), np.uint8), zero)
        keypoints, descriptors = sift.compute(grey, keypoints)
        codes, zero = self._encoded(np.sqrt(descriptors / np.maximum(descriptors.sum(1, keepdims=True), 1e-9)))
        centre = np.array([grey.shape[1], grey.shape[0]], np.float32) / 2
        # OpenCV counts from the first pixel's centre, and places keypoints a quarter of a pixel too far
        points = np.array([k.pt for k in keypoints], np.float32) + 0.25 - centre
        frames = np.array([(k.angle * 256 / 360, 16 * np.log2(max(k.size, 1.0))) for k in keypoints], np.float32)
        direction, octaves = np.rint(frames[:, 0]) % 256, np.clip(np.rint(frames[:, 1]), 0, 255)
        return LocalFeatures(
            points.astype(np.float16), codes, full, scale, np.stack([direction, octaves], 1).astype(np.uint8), zero
        )

    def _encoded(self, root: Vectors) -> tuple[NDArray[np.uint8], int]:
        """Codes of unit descriptors ``(n, 128)``, and which of them is zero."""
        if self.compact:
            return shipped_basis().compress(root), ZERO
        return np.minimum(np.rint(root * 512), 255).astype(np.uint8), 0

    def _chosen(self, keypoints: Sequence[Any]) -> list[Any]:
        """The ``limit`` keypoints that are kept, best first."""
        strength = np.array([k.response for k in keypoints])
        order = np.argsort(-strength, kind="stable")
        if self.cell and len(keypoints):
            cells = np.array([k.pt for k in keypoints])[order] // self.cell
            _, cell = np.unique(cells, axis=0, return_inverse=True)
            by_cell = np.argsort(cell.ravel(), kind="stable")
            starts = np.flatnonzero(np.diff(cell.ravel()[by_cell], prepend=-1))
            place = np.empty(len(order), np.int64)
            place[by_cell] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
            order = order[np.argsort(place, kind="stable")]
        return [keypoints[i] for i in order[: self.limit]]


def mirrored(features: LocalFeatures) -> LocalFeatures:
    """The features that the photo would have as a mirror shows it, left and right swapped.

    A SIFT descriptor is a grid of 4 x 4 histograms of 8 directions along its keypoint's own; mirrored about it, the
    grid's rows and the directions change their order.

    Raises:
        ReseenError: they are no SIFT features.
    """
    compact = features.codes.shape[1] == DIM and features.zero == ZERO
    if features.frames is None or not (compact or features.codes.shape[1] == 128):
        raise ReseenError("only SIFT features can be mirrored")
    full: NDArray[Any] = shipped_basis().expand(features.codes) if compact else features.codes
    grid = full.reshape(-1, 4, 4, 8)[:, ::-1]
    turned: NDArray[Any] = np.take(grid, -np.arange(8) % 8, axis=3).reshape(-1, 128)
    codes = shipped_basis().compress(turned) if compact else turned
    direction = (128 - features.frames[:, 0].astype(np.int64)) % 256
    frames = np.stack([direction.astype(np.uint8), features.frames[:, 1]], 1)
    return replace(features, points=features.points * np.array([-1, 1], np.float16), codes=codes, frames=frames)
