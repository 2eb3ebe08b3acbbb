"""The classical baseline: a bag of visual words of SIFT features, weighted by tf-idf (Sivic and Zisserman, 2003)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from reseen.local_features import LocalFeatures
from reseen.search.vocabulary import Vocabulary, default_vocabulary
from reseen.types import Vectors

NAME = "bow-sift"


@dataclass(frozen=True)
class Images:
    """How photos are seen; a box keeps the features inside it."""

    crop: str = "activations"


@dataclass(frozen=True)
class Settings:
    """What a protocol card says of it."""

    images: Images = field(default_factory=Images)
    source: str = "words: distractors and views-train; idf: the database"

    def to_dict(self) -> dict[str, Any]:
        """As of a recipe."""
        return {
            "images": {"longest": 640},
            "scales": {},
            "backbone": {"name": "RootSIFT", "layers": []},
            "head": {"kind": "bag of words"},
            "projection": [],
        }


class BagOfWords:
    """Stands where a descriptor does in an evaluation; its vectors are as long as the vocabulary.

    Hamming embedding and weak geometry are the inverted file's (``--first local``), verification is re-ranking's.
    """

    name = NAME

    def __init__(self, vocabulary: Vocabulary | None = None) -> None:
        self.vocabulary = vocabulary or default_vocabulary()
        self.dim = len(self.vocabulary)
        self.fingerprint = hashlib.sha256(f"{NAME} {self.vocabulary.digest}".encode()).hexdigest()
        self.runtime = {"engine": "opencv and faiss", "precision": "float32", "device": "cpu"}
        self.recipe = Settings()

    def vectors(self, database: Sequence[LocalFeatures], queries: Sequence[LocalFeatures]) -> tuple[Vectors, Vectors]:
        """Unit vectors ``(n, k)`` and ``(q, k)`` of ``tf idf``, ``idf = log(n / photos with the word)``.

        A photo without features gets a vector of equal values: it is like all others, and near none.
        """
        counts = [np.stack([self._counts(one) for one in part]) for part in (database, queries) if part]
        idf = np.log(len(database) / np.maximum((counts[0] > 0).sum(0), 1)).astype(np.float32)
        found = [_unit(values * idf) for values in counts]
        return found[0], found[1] if queries else np.zeros((0, self.dim), np.float32)

    def _counts(self, features: LocalFeatures) -> Vectors:
        words = self.vocabulary.nearest(self.vocabulary.describe(features))[:, 0]
        return np.bincount(words, minlength=self.dim).astype(np.float32)


def _unit(values: Vectors) -> Vectors:
    values[~values.any(1)] = 1.0
    return np.asarray(values / np.linalg.norm(values, axis=1, keepdims=True), np.float32)
