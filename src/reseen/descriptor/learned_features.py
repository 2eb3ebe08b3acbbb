"""Learned local features: kornia's networks, or any network that gives what they give.

Nothing else in reseen needs kornia: ``pip install 'reseen[learned]'``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.backbones.weights import fill, read_tensors
from reseen.local_features import LocalFeatures

MULTIPLE = 16
"""Photos are padded on the right and below to a multiple of it, which DISK's and other U-shaped networks need."""


@dataclass(frozen=True)
class LearnedFeatures:
    """A network of local features in the place of SIFT.

    Args:
        network: of RGB ``(1, 3, H, W)`` in 0..1 (or grey, ``(1, 1, H, W)``). It gives either a list with one object
            that has ``keypoints (n, 2)``, ``descriptors (n, d)`` and scores ``(n,)`` (kornia's DISK and ALIKED), or
            local affine frames ``(1, n, 2, 3)``, responses ``(1, n)`` and descriptors ``(1, n, d)`` (kornia's
            LocalFeature).
        name: says the network and its weights.
        side: photos are reduced to it on their longest side.
        limit: the best so many keypoints are kept.
        grey: the network looks at grey photos.
    """

    network: nn.Module
    name: str
    side: int = 640
    limit: int = 600
    grey: bool = False

    @classmethod
    def from_name(cls, name: str) -> LearnedFeatures:
        """See :meth:`Extractor.from_name` and :func:`load_learned`."""
        kind, _, file = name.partition(":")
        if not file:
            raise ValueError(name)
        return load_learned(kind, file)

    def extract(self, pixels: NDArray[np.uint8], size: tuple[int, int] | None = None) -> LocalFeatures:
        """Features of upright RGB ``uint8 (H, W, 3)``; frames only where the network gives them."""
        height, width = pixels.shape[:2]
        full = size or (width, height)
        factor = min(1.0, self.side / max(height, width))
        target = (max(1, round(width * factor)), max(1, round(height * factor)))
        small = cv2.resize(pixels, target, interpolation=cv2.INTER_AREA) if factor < 1 else pixels
        if self.grey:
            small = cv2.cvtColor(np.ascontiguousarray(small), cv2.COLOR_RGB2GRAY)[..., None]
        right, below = -small.shape[1] % MULTIPLE, -small.shape[0] % MULTIPLE
        padded = np.pad(small, ((0, below), (0, right), (0, 0)))
        photo = torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 255
        with torch.inference_mode():
            points, frames, descriptors, scores = _read(self.network.eval()(photo))
        inside = (points[:, 0] < small.shape[1]) & (points[:, 1] < small.shape[0])
        best = np.argsort(-np.where(inside, scores, -np.inf), kind="stable")[: min(self.limit, int(inside.sum()))]
        centre = np.array([small.shape[1], small.shape[0]], np.float32) / 2
        largest = np.abs(descriptors[best]).max(1, keepdims=True) if len(best) else np.ones((0, 1), np.float32)
        codes = np.rint(descriptors[best] / np.maximum(largest, 1e-12) * 127).astype(np.int16) + 128
        return LocalFeatures(
            (points[best] - centre).astype(np.float16),
            codes.astype(np.uint8),
            full,
            max(small.shape[:2]) / max(full),
            None if frames is None else frames[best],
            zero=128,
        )


def _read(found: Any) -> tuple[NDArray[Any], NDArray[np.uint8] | None, NDArray[Any], NDArray[Any]]:
    """Places ``(n, 2)``, frames or None, descriptors ``(n, d)`` and scores ``(n,)`` of what a network gave."""
    if isinstance(found, tuple):
        affine, responses, descriptors = (part[0].float().numpy() for part in found)
        shapes, scores = affine[..., :2], responses.reshape(-1)
        octaves = 8 * np.log2(np.maximum(np.abs(np.linalg.det(shapes)), 1.0))
        direction = np.arctan2(shapes[:, 1, 0], shapes[:, 0, 0]) * 128 / np.pi
        frames = np.stack([np.rint(direction) % 256, np.clip(np.rint(octaves), 0, 255)], 1).astype(np.uint8)
        return affine[..., 2] + 0.5, frames, descriptors, scores
    (one,) = found
    scores = next(v for k, v in vars(one).items() if k.endswith("scores") and isinstance(v, Tensor))
    return one.keypoints.float().numpy() + 0.5, None, one.descriptors.float().numpy(), scores.float().numpy()


def load_learned(kind: str, file: str | os.PathLike[str]) -> LearnedFeatures:
    """Kornia's ``disk`` or ``aliked`` with weights from a file (safetensors, or torch's with tensors only).

    Raises:
        WeightsMissing: the file is not there or of another network.
        UntrustedFile: the file holds more than tensors.
    """
    from kornia.feature import ALIKED, DISK

    path = os.path.abspath(file)  # noqa: PTH100 - links are kept
    network: nn.Module = DISK() if kind == "disk" else ALIKED()
    tensors = read_tensors(path)
    fill(network, {name.removeprefix("extractor."): value for name, value in tensors.items()}, path)
    return LearnedFeatures(network, f"{kind}:{path}")
