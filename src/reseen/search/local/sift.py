"""RootSIFT (Arandjelovic and Zisserman, 2012), quantised to a byte a dimension."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from reseen.search.local.base import LocalFeatures


@dataclass(frozen=True)
class RootSift:
    """SIFT of the photo at ``side`` pixels on its longest side, the ``limit`` strongest keypoints.

    Args:
        side: the photo is reduced to it, never enlarged.
        limit: at most so many keypoints are kept, by the detector's response.
        contrast: the detector's contrast threshold; lower than SIFT's 0.04, for dark photos.
    """

    side: int = 640
    limit: int = 600
    contrast: float = 0.02

    @property
    def name(self) -> str:
        """Name and settings, such as ``sift-640-600-0.02``."""
        return f"sift-{self.side}-{self.limit}-{self.contrast:g}"

    def extract(self, pixels: NDArray[np.uint8], size: tuple[int, int] | None = None) -> LocalFeatures:
        """Features of upright RGB ``uint8 (H, W, 3)``; a photo without keypoints gives none."""
        height, width = pixels.shape[:2]
        full = size or (width, height)
        grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
        factor = min(1.0, self.side / max(height, width))
        if factor < 1:
            target = (max(1, round(width * factor)), max(1, round(height * factor)))
            grey = cv2.resize(grey, target, interpolation=cv2.INTER_AREA)
        detector = cv2.SIFT.create(nfeatures=self.limit, contrastThreshold=self.contrast)
        keypoints, descriptors = detector.detectAndCompute(grey, None)
        scale = max(grey.shape) / max(full)
        if descriptors is None or not len(keypoints):
            return LocalFeatures(np.zeros((0, 2), np.float16), np.zeros((0, 128), np.uint8), full, scale)
        order = np.argsort([-k.response for k in keypoints], kind="stable")[: self.limit]
        xy = np.array([k.pt for k in keypoints], np.float32)[order] + 0.5
        root = np.sqrt(descriptors[order] / np.maximum(descriptors[order].sum(1, keepdims=True), 1e-9))
        codes = np.minimum(np.rint(root * 512), 255).astype(np.uint8)
        centre = np.array([grey.shape[1], grey.shape[0]], np.float32) / 2
        return LocalFeatures((xy - centre).astype(np.float16), codes, full, scale)
