"""Training photos as the network sees them: decoded, augmented or made in threads, repeatable."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from reseen.errors import PhotoRejected
from reseen.images import Photo, ResizeRule, display, load_photo, ordered_map, prepare
from reseen.photosets import PhotoSet
from reseen.scenes.camera import relight
from reseen.scenes.studio import Manner, Studio, Wish
from reseen.training.settings import Views
from reseen.types import Pixels

Kind = Literal["plain", "augmented", "mild", "virtual"]
log = logging.getLogger(__name__)


class View(NamedTuple):
    """One way to see a photo: its number, how, and which draw of the random changes."""

    photo: int
    kind: Kind = "plain"
    draw: int = 0


class ViewReader:
    """Makes views; the same view is the same pixels in any thread, order or run.

    Photos that cannot be read are kept in :attr:`rejected` (number -> reason) and never stop a batch.

    Args:
        data: the training set.
        settings: how photos are seen.
        rule: resize rule of plain and augmented views.
        seed: of all random changes.
        workers: decoding threads.
    """

    def __init__(self, data: PhotoSet, settings: Views, rule: ResizeRule, *, seed: int = 0, workers: int = 1) -> None:
        self.data, self.settings, self.rule = data, settings, rule
        self.seed, self.workers = seed, workers
        self.rejected: dict[int, str] = {}
        manner = Manner(size=settings.virtual, side=2 * max(settings.virtual), behind="references")
        self.studio = Studio(data.photos, manner, seed=seed)

    def read(self, view: View) -> Pixels | None:
        """``uint8 (H, W, 3)``; None for a photo that cannot be used."""
        if view.photo in self.rejected:
            return None
        if view.kind in ("mild", "virtual"):
            pixels = self.studio.make(Wish(view.photo, view.kind, view.draw + 1))
            if pixels is None:
                self._reject(view.photo, self.studio.rejected[view.photo])
            return pixels
        zoom = max(1.0, self.settings.scale[1]) / self.settings.crop[0]
        try:
            photo = load_photo(self.data.photos[view.photo], at_least=int(np.ceil(self.rule.longest_side * zoom)))
        except PhotoRejected as error:
            self._reject(view.photo, error.reason)
            return None
        if view.kind == "augmented":
            return self._augmented(photo, np.random.default_rng((self.seed, 1, view.photo, view.draw + 1)))
        return prepare(photo, self.rule)

    def _reject(self, photo: int, reason: str) -> None:
        if photo not in self.rejected:
            log.warning("%s: left out of training (%s)", display(self.data.photos[photo]), reason)
        self.rejected[photo] = reason

    def stream(self, views: Iterable[View]) -> Iterator[Pixels | None]:
        """:meth:`read` of each view, in order, some ahead, in threads."""
        return ordered_map(self.read, views, workers=self.workers, lookahead=8 * self.workers)

    def shapes(self, views: Sequence[View]) -> Iterator[tuple[list[int], NDArray[np.uint8]]]:
        """Views in groups of one size, ``(places in views, pixels (B, H, W, 3))``; unusable ones are left out."""
        waiting: dict[tuple[int, ...], tuple[list[int], list[Pixels]]] = {}
        for place, pixels in enumerate(self.stream(views)):
            if pixels is None:
                continue
            places, group = waiting.setdefault(pixels.shape, ([], []))
            places.append(place)
            group.append(pixels)
            if len(group) == 16:
                del waiting[pixels.shape]
                yield places, np.stack(group)
        for places, group in waiting.values():
            yield places, np.stack(group)

    def _augmented(self, photo: Photo, random: np.random.Generator) -> Pixels:
        s = self.settings
        width, height = photo.size
        share = random.uniform(*s.crop)
        x, y = random.uniform(0, width * (1 - share)), random.uniform(0, height * (1 - share))
        box = None if share == 1 else (x, y, x + width * share, y + height * share)
        pixels = prepare(photo, self.rule, box, "tight", float(random.uniform(*s.scale)))
        if random.random() < s.flip:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
        if s.light > 0:
            limits = (1 - s.light, 1 + s.light)
            pixels = relight(pixels, random, gradient=s.light, cast=s.light / 2, exposure=limits, gamma=limits)
        return pixels

    def real(self, photo: int, draw: int) -> View:
        """How a photo itself is seen in training: changed at random when the settings say so."""
        s = self.settings
        changes = s.flip > 0 or s.light > 0 or s.crop != (1.0, 1.0) or s.scale != (1.0, 1.0)
        return View(photo, "augmented", draw) if changes else View(photo)
