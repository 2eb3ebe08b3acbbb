"""What is asked: decoded once, and asked once for its vector, its maps and its local features."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from reseen.encoder import Encoder
from reseen.errors import PhotoRejected
from reseen.images import Photo, PhotoLike, display, load_photo
from reseen.local_features import Extractor, LocalFeatures
from reseen.types import Box, FeatureMaps, Vectors

T = TypeVar("T")


class Query:
    """A photo, or the part of it in a box; a photo of the collection, by its id; or a vector.

    Whatever is needed of it is made when it is first needed, and kept: pixels, vector, maps, local features.

    Args:
        asked: a photo (see ``reseen.images.PhotoLike``), an id, or a vector ``(dim,)`` of floats.
        box: ``(x0, y0, x1, y1)`` in pixels of the upright photo.
        name: display text; by default the path, or ``<photo>`` or ``<vector>``.
        crop: what the box means, instead of the descriptor's rule.
        vector: ``(dim,)``, where it is known already.
        features: local features of the whole photo, where they are known already.

    Attributes:
        id: of a photo that the collection is to look up; else None.
        path: display text of the photo's file; else None.
    """

    def __init__(
        self,
        asked: PhotoLike | int | Vectors,
        box: Box | None = None,
        *,
        name: str | None = None,
        crop: str | None = None,
        vector: Vectors | None = None,
        features: LocalFeatures | None = None,
    ) -> None:
        self.id: int | None = None
        self.path: str | None = None
        self._source: PhotoLike | None = None
        self._kept: dict[tuple[str, ...], Any] = {}
        self._vector, self._features = vector, features
        self.box, self.crop = box, crop
        self._side = 0
        shown = "<photo>"
        if isinstance(asked, int | np.integer):
            self.id = operator.index(asked)
            shown = f"photo {self.id}"
        elif isinstance(asked, np.ndarray) and asked.ndim == 1 and asked.dtype.kind == "f":
            self._vector = np.asarray(asked, np.float32)
            shown = "<vector>"
        else:
            self._source = cast(PhotoLike, asked)
            if isinstance(asked, str | os.PathLike):
                shown = self.path = display(asked)
        self.name = name if name is not None else shown

    @property
    def has_vector(self) -> bool:
        """Whether its vector is known, so that no encoder is needed."""
        return self._vector is not None

    @property
    def has_pixels(self) -> bool:
        """Whether there is a photo to look at."""
        return self._source is not None

    @property
    def has_features(self) -> bool:
        """Whether local features are known, or can be found in the photo."""
        return self._features is not None or self.has_pixels

    def found(self, name: str, photo: PhotoLike | None, vector: Vectors, features: LocalFeatures | None) -> Query:
        """The same question, once a collection has found its id: name, file, vector and local features of that photo.

        Raises:
            PhotoRejected: there is a box, and no file that it could be cut from.
        """
        if self.box is None:
            asked = photo if photo is not None else vector
            return Query(asked, name=name, vector=vector, features=features)
        if photo is None:
            raise PhotoRejected(name, "a box needs the photo, and the collection keeps its vector only")
        return Query(photo, self.box, name=name, crop=self.crop, features=features)

    def whole(self) -> Query:
        """The same photo without the box."""
        if self.box is None:
            return self
        return Query(self.photo(), name=self.name, features=self._features)

    def looked_at(self, side: int) -> None:
        """Say before it is decoded that someone will look at ``side`` pixels of its longest side."""
        self._side = max(self._side, side)

    def photo(self, side: int = 0) -> Photo:
        """The pixels, with ``side`` of them along the longest side where the photo has as many; decoded once.

        Raises:
            PhotoRejected: they cannot be read, or there are none.
        """
        source = self._source
        if source is None:
            raise PhotoRejected(self.name, "there is no photo to look at, only its vector")
        self.looked_at(side)
        # a box may need all the pixels of its part
        return self._once(("photo",), lambda: load_photo(source, at_least=None if self.box else self._side))

    def vector(self, encoder: Encoder | None = None) -> Vectors:
        """The unit vector ``(dim,)`` of the photo, or of the part of it in the box; a known one needs no encoder."""
        if self._vector is not None:
            return self._vector
        if encoder is None:
            raise ValueError("the vector of a photo needs an encoder")
        return self._once(
            ("vector", encoder.fingerprint),
            lambda: encoder.encode([self.photo(encoder.side)], [self.box], crop=self.crop)[0],
        )

    def maps(self, encoder: Encoder) -> FeatureMaps:
        """Feature maps ``(C, h, w)`` of each layer, cut to the box."""
        return self._once(
            ("maps", encoder.fingerprint),
            lambda: encoder.photo_maps(self.photo(encoder.side), self.box, crop=self.crop),
        )

    def features(self, extractor: Extractor | None = None) -> LocalFeatures:
        """Local features of the whole photo; known ones need no extractor."""
        if self._features is not None:
            return self._features
        if extractor is None:
            raise ValueError("the local features of a photo need an extractor")

        def extract() -> LocalFeatures:
            photo = self.photo(extractor.side)
            return extractor.extract(photo.pixels, photo.size)

        return self._once(("features", extractor.name), extract)

    def _once(self, what: tuple[str, ...], make: Callable[[], T]) -> T:
        if what not in self._kept:
            self._kept[what] = make()
        return cast(T, self._kept[what])
