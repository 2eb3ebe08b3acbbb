"""Selective deep convolutional features: mask, local PCA, embedding, aggregation (Section 4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from reseen.errors import NotFitted, RecipeError, ReseenError
from reseen.heads.base import Head
from reseen.heads.codebooks import reservoir
from reseen.heads.pooling import Signed
from reseen.heads.selective.aggregation import Aggregation, aggregate
from reseen.heads.selective.embeddings import EMBEDDINGS, Whitened
from reseen.heads.selective.local import LocalPCA
from reseen.heads.selective.masks import max_mask, select, sift_mask, sift_points, sum_mask

Mask = Literal["none", "sift", "sum", "max"]


def published_unit(embedding: str, aggregation: Aggregation) -> bool:
    """Whether published code makes whitened embedded features unit length before it aggregates them."""
    return not (embedding == "temb" and aggregation in ("sum", "average"))


class Selective(Head):
    """Local features of one layer that a mask selects, embedded one by one and aggregated.

    Args:
        channels: of the one layer read.
        d: dimensions that the local PCA keeps.
        k: centroids, or Gaussians of ``fv``.
        mask: ``max``, ``sum``, ``sift`` or ``none``.
        embedding: ``temb``, ``faemb`` (``faemb-eq7`` as its equation is printed), ``fv`` or ``vlad``.
        aggregation: ``democratic``, ``sum``, ``average`` or ``max``.
        unit: whether whitened embedded features (``temb``, ``faemb``) are made unit length before they are aggregated;
            by default as published: all but those of ``temb`` under ``sum`` and ``average``.
        signed: ``clamp`` sets a signed layer's negatives to 0 before everything, ``keep`` leaves them.
        contrast: threshold of the ``sift`` mask's detector (see :func:`sift_points`).
        maxpool: a 2 x 2 max pool of stride 2 first (Figure 5's layers).
        sample: the most local features that ``fit`` keeps.
        fc: a trainable linear layer afterwards.
    """

    kind = "selective"
    learned: Tensor

    @classmethod
    def learns(cls, settings: Mapping[str, Any]) -> bool:
        """Always."""
        return True

    def __init__(
        self,
        channels: Sequence[int],
        *,
        d: int = 64,
        k: int = 66,
        mask: Mask = "max",
        embedding: str = "temb",
        aggregation: Aggregation = "democratic",
        unit: bool | None = None,
        signed: Signed = "clamp",
        contrast: float = 0.008,
        maxpool: bool = False,
        sample: int = 100_000,
        fc: int | None = None,
    ) -> None:
        super().__init__(
            channels, fc=fc, d=d, k=k, mask=mask, embedding=embedding, aggregation=aggregation, signed=signed,
            contrast=contrast, maxpool=maxpool, sample=sample, **({} if unit is None else {"unit": unit}),
        )  # fmt: skip
        for value, known in (
            (mask, get_args(Mask)), (embedding, EMBEDDINGS), (aggregation, get_args(Aggregation)),
            (signed, get_args(Signed)),
        ):  # fmt: skip
            if value not in known:
                raise RecipeError(f"head 'selective' does not know {value!r}; use one of {', '.join(known)}")
        self.mask, self.aggregation, self.signed = mask, aggregation, signed
        self.maxpool, self.sample = maxpool, sample
        self.pca = LocalPCA(self.channels[0], d)
        self.embedding = EMBEDDINGS[embedding](d, k)
        if isinstance(self.embedding, Whitened):
            self.embedding.unit = published_unit(embedding, aggregation) if unit is None else unit
        elif unit is not None:
            raise RecipeError(f"`unit` is of temb and faemb; embedding {embedding!r} is not whitened")
        self.register_buffer("learned", torch.tensor(False))
        if mask == "sift":
            self.photo_task = partial(sift_points, contrast=contrast)
        self._add_fc()

    @property
    def rules(self) -> int:
        """2 since the leading dimensions are dropped after the rotation and keypoints rounded as in Eq. 1."""
        return 2 if isinstance(self.embedding, Whitened) or self.mask == "sift" else 1

    @classmethod
    def raw_dim_of(cls, settings: Mapping[str, Any], channels: Sequence[int]) -> int:
        """Dimensions of the embedding; Tables 2 and 4 count those that ``rn`` leaves (its ``dropped``)."""
        return EMBEDDINGS[settings["embedding"]].size(settings["d"], settings["k"])

    @property
    def fitted(self) -> bool:
        """False before :meth:`fit`."""
        return bool(self.learned)

    def valid_from(self, tasks: Sequence[Any], grid: tuple[int, int], size: tuple[int, int]) -> Tensor | None:
        """Cells of the SIFT keypoints; None for the other masks."""
        return sift_mask(tasks, grid, size) if self.mask == "sift" else None

    def local_features(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Selected features ``(B, n, C)`` before the PCA, and their validity ``(B, n)``."""
        x = maps[0].float()
        if x.shape[1] != self.channels[0]:
            raise ReseenError(f"this head was made for {self.channels[0]} channels, the map has {x.shape[1]}")
        if self.signed == "clamp":
            x = x.clamp_min(0)
        keep = valid.to(x.device) if valid is not None else None
        if self.maxpool and min(x.shape[-2:]) > 1:
            x = nn.functional.max_pool2d(x, 2)
            keep = nn.functional.max_pool2d(keep.float(), 2) > 0 if keep is not None else None
        if self.mask == "sum":
            keep = sum_mask(x, keep, signed=self.signed)
        elif self.mask == "max":
            keep = max_mask(x, keep, signed=self.signed)
        return select(x, keep)

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, raw_dim)``; NotFitted before :meth:`fit`."""
        if not self.fitted:
            raise NotFitted("head 'selective' has no codebook yet: fit the descriptor on photos first")
        x, kept = self.local_features(maps, valid)
        return aggregate(self.embedding(self.pca(x)), self.aggregation, kept)

    @torch.no_grad()
    def fit(self, maps: Iterable[tuple[Sequence[Tensor], Tensor | None]], *, seed: int = 0) -> Selective:
        """Learn PCA, then codebook, from a seeded uniform sample of at most ``sample`` selected features."""

        def selected() -> Iterator[Tensor]:
            for batch, valid in maps:
                x, kept = self.local_features(batch, valid)
                yield x[kept]

        x = reservoir(selected(), self.sample, seed).to(self.pca.mean.device)
        self.pca.fit(x)
        self.embedding.fit(torch.cat([self.pca(block) for block in torch.split(x, 8192)]), seed)
        self.learned.fill_(True)
        return self
