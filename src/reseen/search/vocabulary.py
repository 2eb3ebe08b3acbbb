"""Visual words: what local features are called, and the signature of what a word leaves of each."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from reseen.errors import NotFitted, ReseenError
from reseen.local_features import LocalFeatures
from reseen.search.local import compact
from reseen.types import Rows, Vectors

SIGNATURE_BITS = 64
_FIELDS = {"mean", "axes", "words", "cuts"}


@dataclass(frozen=True)
class Vocabulary:
    """A vocabulary of k words for descriptors of one kind.

    A descriptor x ``(D,)`` becomes ``y = axes (x - mean)`` (PCA to d dimensions); its word is the nearest of
    ``words``, and its signature says for each of 64 directions whether ``y`` lies above the median ``cuts`` of the
    features of that word (Hamming embedding; Jegou, Douze and Schmid, 2008). The directions are the first
    64 axes: the PCA is rotated at random, so that each carries as much.

    Attributes:
        kind: of the descriptors: their extractor's name with its settings, or the first part of it (``sift``), which
            stands for every setting.
        mean: ``(D,)`` float32. axes: ``(d, D)`` float32 orthonormal rows, d at least 64.
        words: ``(k, d)`` float32.
        cuts: ``(k, 64)`` float32.
    """

    kind: str
    mean: Vectors
    axes: Vectors
    words: Vectors
    cuts: Vectors

    def __post_init__(self) -> None:
        k, d = self.words.shape
        if self.axes.shape != (d, len(self.mean)) or self.cuts.shape != (k, SIGNATURE_BITS) or d < SIGNATURE_BITS:
            raise ReseenError(f"not a vocabulary: words {self.words.shape}, axes {self.axes.shape}, {self.cuts.shape}")

    def __len__(self) -> int:
        return len(self.words)

    def fits(self, local: str) -> bool:
        """Whether it is of the features of an extractor, by the extractor's name with its settings."""
        return local == self.kind or local.startswith(f"{self.kind}-")

    @cached_property
    def digest(self) -> str:
        """Tells one vocabulary from another."""
        return hashlib.sha256(self.to_bytes()).hexdigest()[:16]

    @cached_property
    def _quantiser(self) -> Any:
        """The nearest words: exact for a few thousand of them, by a graph for more."""
        d = self.words.shape[1]
        index: Any = faiss.IndexFlatL2(d) if len(self) <= 2048 else faiss.IndexHNSWFlat(d, 16)
        if len(self) > 2048:
            index.hnsw.efConstruction = 80
            index.hnsw.efSearch = 24
        index.add(np.ascontiguousarray(self.words, np.float32))
        return index

    def describe(self, features: LocalFeatures) -> Vectors:
        """Features in the vocabulary's space, ``(n, d)`` float32.

        Raises:
            ReseenError: they are of another kind than those it was learned from.
        """
        x = features.vectors()
        if self.kind == "sift" and x.shape[1] == compact.DIM and len(self.mean) == 128:
            x = compact.shipped_basis().expand(features.codes)
        if x.shape[1] != len(self.mean):
            raise ReseenError(
                f"the vocabulary is of {self.kind} features of {len(self.mean)} dimensions, not {x.shape[1]}: "
                "make one of such features with `reseen vocabulary`"
            )
        return np.asarray((x - self.mean) @ self.axes.T, np.float32)

    def nearest(self, described: Vectors, count: int = 1) -> Rows:
        """The ``count`` nearest words of each feature, ``(n, count)`` int64, nearest first."""
        if not len(described):
            return np.zeros((0, count), np.int64)
        return np.asarray(self._quantiser.search(np.ascontiguousarray(described), count)[1], np.int64)

    def signatures(self, described: Vectors, words: Rows) -> NDArray[np.uint64]:
        """Signatures ``(n,)`` of features under the words ``(n,)``."""
        above = described[:, :SIGNATURE_BITS] > self.cuts[words]
        packed = np.packbits(above, axis=1, bitorder="little")
        return np.ascontiguousarray(packed).view("<u8").ravel()

    @classmethod
    def learn(
        cls, photos: Iterable[LocalFeatures], size: int = 8192, *, kind: str = "sift", dim: int = 64, seed: int = 0
    ) -> Vocabulary:
        """Words of the features of photos: PCA, k-means (FAISS), and the medians of each word.

        Args:
            photos: what to learn from; their features are held in memory.
            size: words.
            kind: of the features.
            dim: dimensions kept, at least 64.
            seed: of the rotation and of k-means.

        Raises:
            NotFitted: there are fewer than ten features a word.
        """
        stacked = [photo.vectors() for photo in photos]
        x = np.concatenate(stacked) if stacked else np.zeros((0, 1), np.float32)
        if len(x) < 10 * size:
            raise NotFitted(f"{len(x)} local features are too few for {size} words: give ten or more for each")
        mean = x.mean(0)
        _, _, directions = np.linalg.svd(np.cov((x[:: max(1, len(x) // 200_000)] - mean).T), hermitian=True)
        turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))
        axes = np.asarray(turn @ directions[:dim], np.float32)
        y = np.asarray((x - mean) @ axes.T, np.float32)
        kmeans: Any = faiss.Kmeans(dim, size, niter=10, seed=seed + 1, max_points_per_centroid=48)
        kmeans.train(y)
        words = kmeans.centroids.reshape(size, dim).astype(np.float16).astype(np.float32)
        found = cls(kind, mean.astype(np.float32), axes, words, np.zeros((size, SIGNATURE_BITS), np.float32))
        own = found.nearest(y)[:, 0]
        order = np.argsort(own, kind="stable")
        starts = np.searchsorted(own[order], np.arange(size + 1))
        cuts = words[:, :SIGNATURE_BITS].copy()
        for word in range(size):
            rows = order[starts[word] : starts[word + 1]]
            if len(rows) >= 8:
                cuts[word] = np.median(y[rows, :SIGNATURE_BITS], axis=0)
        return cls(kind, found.mean, axes, words, cuts.astype(np.float16).astype(np.float32))

    def to_bytes(self) -> bytes:
        """A safetensors file; words and medians in half precision."""
        small = {"words": self.words.astype(np.float16), "cuts": self.cuts.astype(np.float16)}
        return save({"mean": self.mean, "axes": self.axes, **small}, {"kind": self.kind})

    @classmethod
    def from_bytes(cls, data: bytes) -> Vocabulary:
        """The inverse of :meth:`to_bytes`; ReseenError for anything else."""
        try:
            tensors = load(data)
            kind = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]["kind"]
        except (SafetensorError, ValueError, KeyError) as error:
            raise ReseenError(f"not a vocabulary ({error})") from None
        if tensors.keys() != _FIELDS:
            raise ReseenError("not a vocabulary: it holds other tensors")
        return cls(kind, **{name: np.asarray(tensor, np.float32) for name, tensor in tensors.items()})

    def save(self, file: str | os.PathLike[str]) -> None:
        """Write :meth:`to_bytes`."""
        Path(file).write_bytes(self.to_bytes())

    @classmethod
    def read(cls, file: str | os.PathLike[str]) -> Vocabulary:
        """What :meth:`save` wrote; ReseenError says what is wrong with it."""
        try:
            return cls.from_bytes(Path(file).read_bytes())
        except OSError as error:
            raise ReseenError(f"{file}: cannot be read ({error.strerror or error})") from None
        except ReseenError as error:
            raise ReseenError(f"{file}: {error}") from None


@cache
def default_vocabulary() -> Vocabulary:
    """The one that is shipped, of SIFT features (``tools/make_vocabulary.py`` learns it)."""
    return Vocabulary.from_bytes(files("reseen.search").joinpath("vocabulary.safetensors").read_bytes())
