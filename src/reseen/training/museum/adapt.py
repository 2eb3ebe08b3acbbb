"""Tune a collection's descriptor to its own photos, in minutes, and keep the result only where it gains.

Virtual photos of the references stand for visitors' photos. A whitening is learned that tells references apart and
does not see what changes from one photo of a reference to the next (Lw, siaMAC Section 3.3); or a recipe of the museum
paper is trained. When the result names held-out virtual photos better than the descriptor did, descriptor and
vectors are replaced in one version.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from reseen import schema
from reseen.collections import Collection, Row
from reseen.collections.gallery import Gallery, couples
from reseen.descriptor import Descriptor, Recipe
from reseen.descriptor.recipes import read_recipe
from reseen.errors import CollectionError
from reseen.evaluation.truth import read_truth
from reseen.identify.calibration import Calibration, keep, learn, with_and_without
from reseen.images import PhotoLike
from reseen.projections import Chain, Projection, create_projection
from reseen.scenes.studio import How, Studio, Wish
from reseen.training.museum.stages import Progress, train_instances
from reseen.types import Pixels, Rows, Values, Vectors

Stage = Literal["encode", "try", "learn", "train"]

HELD_OUT = 1_000_000
"""First draw of the virtual photos that show the gain."""
WIDEST = 4096
"""Dimensions up to which the whitening reads the head's vectors themselves, else what the projection made of them."""
SHARE = 0.25
"""Of the time that learning gets, however long the rest takes."""
NEXT_TO_NOTHING = 1e-9


class Event(NamedTuple):
    """Where an adaptation is: seconds spent and allowed, photos done of a stage's total."""

    stage: Stage
    spent: float
    allowed: float
    done: int
    total: int


class Score(NamedTuple):
    """Share of photos named rightly, mean of 1 / rank of the right instance, and how many photos."""

    precision: float
    reciprocal_rank: float
    photos: int

    @classmethod
    def of(cls, ranks: Values) -> Score:
        """From 1 / rank of each photo."""
        return cls(float((ranks == 1).mean()), float(ranks.mean()), len(ranks))


@dataclass(frozen=True)
class AdaptSettings:
    """How a descriptor is adapted.

    Attributes:
        minutes: for everything; where there is time to spare it ends earlier.
        each: virtual photos of each reference to learn from.
        most: virtual photos in all.
        held_out: virtual photos that show the gain and decide whether the result is kept; half are painted visits.
        shrinkage: of the whitening.
        seed: of every choice.
    """

    minutes: float = 10.0
    each: int = 24
    most: int = 4000
    held_out: int = 200
    shrinkage: float = 0.6
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"minutes = {self.minutes} must be above 0")


@dataclass(frozen=True)
class Adaptation:
    """What an adaptation did.

    Attributes:
        adapted: whether the collection has a new descriptor.
        before, after: :class:`Score` of the descriptor as it was and of the one that was learned, on ``virtual``
            photos that took no part in learning, and on ``real`` photos when some were given.
        learned_from: virtual photos; with a museum recipe, references.
        seconds: in all.
        calibration: of the new descriptor.
    """

    adapted: bool
    before: Mapping[str, Score]
    after: Mapping[str, Score]
    learned_from: int
    seconds: float
    calibration: Calibration | None = None

    def to_json(self) -> schema.Adapted:
        """Plain values."""
        return {
            "adapted": self.adapted,
            "before": _plain(self.before),
            "after": _plain(self.after),
            "learned_from": self.learned_from,
            "seconds": round(self.seconds, 1),
            "threshold": self.calibration.threshold if self.calibration else None,
        }


def _plain(scores: Mapping[str, Score]) -> dict[str, schema.Score]:
    return {
        name: {"precision": score.precision, "reciprocal_rank": score.reciprocal_rank, "photos": score.photos}
        for name, score in scores.items()
    }


def adapt(
    collection: Collection,
    *,
    minutes: float = 10.0,
    validate: str | Path | None = None,
    recipe: str | Recipe | None = None,
    save: str | Path | None = None,
    settings: AdaptSettings | None = None,
    force: bool = False,
    progress: Callable[[Event], None] | None = None,
) -> Adaptation:
    """Tune a collection's descriptor to its photos; see :class:`AdaptSettings` and :class:`Adaptation`.

    The collection changes at the end, in one version that holds the new descriptor and all new vectors (the
    calibration follows in the next); an interruption before leaves it as it was.

    Args:
        collection: all of its photos must be files that can still be read.
        minutes: for everything. Where encoding alone takes longer, learning still gets a quarter of it.
        validate: a benchmark's manifest (or what ``reseen evaluate`` takes) of real photos of its objects; they
            are scored on and take no other part.
        recipe: of the museum paper (``museum-lite0``, say): train its region descriptor on the references instead;
            its epochs decide how long that takes.
        save: folder for the learned descriptor, whether or not the collection takes it.
        settings: instead of the defaults with ``minutes``.
        force: let one file stand under two labels.
        progress: called with every :class:`Event`.

    Raises:
        CollectionError: photos that cannot be read again, or one instance only. BenchmarkError: of ``validate``.
        RecipeError, WeightsMissing, TrainingError: of ``recipe``.
    """
    if isinstance(recipe, str):
        recipe = read_recipe(recipe)
    return _Run(collection, settings or AdaptSettings(minutes=minutes), recipe, save, validate, force, progress).run()


@dataclass(frozen=True)
class _Seen:
    """What a descriptor's network sees: its head's vectors.

    Attributes:
        photos: of the collection ``(n, d)``, those of the gallery first.
        virtual: of held-out virtual photos ``(v, d)``; shown: the rows of the gallery that they show ``(v,)``.
        real: of real photos ``(r, d)``.
    """

    photos: Vectors
    virtual: Vectors
    shown: Rows
    real: Vectors


class _Run:
    """One call of :func:`adapt`."""

    def __init__(
        self,
        collection: Collection,
        settings: AdaptSettings,
        recipe: Recipe | None,
        save: str | Path | None,
        validate: str | Path | None,
        force: bool,
        progress: Callable[[Event], None] | None,
    ) -> None:
        self.started = time.monotonic()
        self.allowed = 60 * settings.minutes
        self.collection, self.settings, self.progress = collection, settings, progress
        self.recipe, self.save = recipe, save
        encoder = collection.encoder
        if not isinstance(encoder, Descriptor):
            raise CollectionError(f"{collection.folder}: its vectors are not made by a descriptor that can be tuned")
        self.old = encoder
        self.gallery = Gallery.of(collection, force=force)
        if len(self.gallery) < 2:
            raise CollectionError(
                f"{collection.folder}: shows one instance only ({self.gallery.names[0]}): there is nothing to tell it "
                "from; add photos of other objects"
            )
        named = {row.id for row in self.gallery.rows}
        self.others = [row for row in collection.photos() if row.id not in named]
        require_files([*self.gallery.rows, *self.others])
        asked = read_truth(validate, self.gallery) if validate else []
        self.real = [item for item in asked if item.instance >= 0]
        self.studio = Studio(self.gallery.paths, seed=settings.seed)

    def run(self) -> Adaptation:
        """Everything, in order."""
        seen = self._see(self.old)
        after_learning = seen
        if self.recipe is None:
            new, learned_from = self._whitened(seen)
        else:
            new, learned_from = self._trained(self.recipe), len(self.gallery.rows)
            after_learning = self._see(new, len(seen.shown))
        if self.save is not None:
            new.save(self.save)
        before, after = self._ranks(self.old, seen), self._ranks(new, after_learning)
        gain = after["virtual"] - before["virtual"]
        adapted = bool(gain.mean() > standard_error(gain))
        calibration = self._replace(new, after_learning) if adapted else None
        return Adaptation(adapted, _scores(before), _scores(after), learned_from, self._spent(), calibration)

    def _spent(self) -> float:
        return time.monotonic() - self.started

    def _tell(self, stage: Stage, done: int, total: int) -> None:
        if self.progress is not None:
            self.progress(Event(stage, self._spent(), self.allowed, done, total))

    # -- photos ------------------------------------------------------------------------------------

    def _see(self, descriptor: Descriptor, held_out: int | None = None) -> _Seen:
        """The collection, held-out virtual photos (the same for every descriptor) and real ones."""
        files: list[PhotoLike] = [os.fsdecode(row.path) for row in (*self.gallery.rows, *self.others)]
        photos = descriptor.encode(files, project=False, progress=lambda *at: self._tell("encode", *at))
        asked: list[PhotoLike] = [item.photo for item in self.real]
        real = descriptor.encode(asked, [item.box for item in self.real], project=False)
        seconds = SHARE * self.allowed if held_out is None else math.inf
        hows: tuple[How, ...] = ("virtual", "visit")
        virtual, shown = self._virtual("try", descriptor, held_out or self.settings.held_out, HELD_OUT, hows, seconds)
        return _Seen(photos, virtual, shown, real)

    def _virtual(
        self, stage: Stage, descriptor: Descriptor, most: int, first: int, hows: Sequence[How], seconds: float
    ) -> tuple[Vectors, Rows]:
        """The head's vectors of virtual photos of all references in turn, as many as there is time for, and their rows.

        Raises:
            CollectionError: there was no time for any.
        """
        end = time.monotonic() + seconds
        count = len(self.gallery.rows)
        rng = np.random.default_rng((self.settings.seed, first))
        order = np.concatenate([rng.permutation(count) for _ in range(math.ceil(most / count))])[:most]
        wishes = [Wish(row, hows[i % len(hows)], first + i) for i, row in enumerate(order.tolist())]
        rows: list[int] = []

        def in_time() -> Iterator[Pixels]:
            for wish, pixels in self.studio.stream(wishes):
                if rows and time.monotonic() > end:
                    return
                rows.append(wish.row)
                yield pixels

        raw: list[Vectors] = []
        for item in descriptor.stream(in_time(), project=False):
            assert item.vector is not None  # pixels made here are never rejected
            raw.append(item.vector)
            self._tell(stage, len(raw), most)
        if not raw:
            reason = next(iter(self.studio.rejected.values()))
            raise CollectionError(f"{self.collection.folder}: none of its photos can be read again: {reason}")
        return np.stack(raw), np.array(rows, np.int64)

    # -- learning ----------------------------------------------------------------------------------

    def _whitened(self, seen: _Seen) -> tuple[Descriptor, int]:
        """The descriptor with a whitening learned from references and virtual photos, and how many of these.

        Matching pairs are a virtual photo and its reference, and two references of one instance.
        """
        count = len(self.gallery.rows)
        left = max(self.allowed - self._spent(), SHARE * self.allowed)
        most = min(self.settings.most, self.settings.each * count)
        virtual, shown = self._virtual("learn", self.old, most, 0, ("virtual",), left)
        vectors = np.concatenate([seen.photos[:count], virtual])
        pairs = np.concatenate([np.stack([shown, count + np.arange(len(shown))], 1), couples(self.gallery.instance)])
        steps: tuple[Mapping[str, Any], ...] = ()
        kept: list[Projection] = []
        if self.old.projection is not None and vectors.shape[1] > WIDEST:
            steps, kept = self.old.recipe.projection, [self.old.projection]
            vectors = self.old.projection.transform(vectors)
        options = {"dim": min(self.old.dim, vectors.shape[1]), "shrinkage": self.settings.shrinkage}
        whitening = create_projection("lw", **options).fit(vectors, pairs)
        recipe = replace(
            self.old.recipe,
            name=adapted_name(self.old.name),
            projection=(*steps, {"kind": "lw", **options}),
            learned=None,
        )
        projection = Chain([*kept, whitening]) if kept else whitening
        return self.old.replace(recipe=recipe, projection=projection), len(shown)

    def _trained(self, recipe: Recipe) -> Descriptor:
        """The region descriptor of a museum recipe, trained on the references."""

        def watch(at: Progress) -> None:
            self._tell("train", at.done, at.total)

        trained = train_instances(recipe, self.gallery, siamese=False, seed=self.settings.seed, watch=watch)
        assert trained.regions is not None
        return trained.regions

    def _ranks(self, descriptor: Descriptor, seen: _Seen) -> dict[str, Values]:
        """1 / rank of the right instance of each photo."""
        instance = self.gallery.instance
        references = descriptor.project(seen.photos[: len(instance)])
        asked = {"virtual": (seen.virtual, instance[seen.shown])}
        if self.real:
            asked["real"] = seen.real, np.array([item.instance for item in self.real], np.int64)
        return {
            name: reciprocal_ranks(self.gallery.scores(descriptor.project(raw) @ references.T), right)
            for name, (raw, right) in asked.items()
        }

    # -- the result --------------------------------------------------------------------------------

    def _replace(self, descriptor: Descriptor, seen: _Seen) -> Calibration:
        """Swap the descriptor and all vectors in one version, then keep the calibration that belongs to them."""
        vectors = descriptor.project(seen.photos)
        gallery = replace(self.gallery, vectors=vectors[: len(self.gallery.rows)])
        scores = gallery.scores(gallery.similarities(descriptor.project(seen.virtual)))
        trials = list(with_and_without(scores, gallery.instance[seen.shown]))
        calibration = learn(trials, gallery, descriptor.fingerprint)
        ids = np.array([row.id for row in (*self.gallery.rows, *self.others)], np.int64)
        order = np.argsort(ids)
        self.collection.replace_descriptor(descriptor, ids[order], vectors[order])
        keep(self.collection, calibration)
        return calibration


def _scores(ranks: Mapping[str, Values]) -> dict[str, Score]:
    return {name: Score.of(found) for name, found in ranks.items()}


def require_files(rows: Sequence[Row]) -> None:
    """CollectionError when photos cannot be read again, which new vectors need."""
    gone = [row for row in rows if not row.path or not Path(os.fsdecode(row.path)).is_file()]
    if gone:
        raise CollectionError(
            f"{len(gone)} of {len(rows)} photos cannot be read again, the first is {gone[0].name}: a new descriptor "
            "needs every photo; bring the files back, or `reseen remove` what is gone"
        )


def adapted_name(name: str) -> str:
    """What an adapted descriptor is called."""
    return f"{name.removesuffix('-adapted')}-adapted"


def reciprocal_ranks(scores: Vectors, right: Rows) -> Values:
    """1 / rank of the ``right (q,)`` instance by scores ``(q, I)``; one that ties with it counts as before it."""
    before = (scores >= scores[np.arange(len(scores)), right][:, None]).sum(1) - 1
    return np.asarray(1 / (1 + before), np.float64)


def standard_error(differences: Values) -> float:
    """Of their mean; next to nothing for fewer than two."""
    if len(differences) < 2:
        return NEXT_TO_NOTHING
    return float(differences.std(ddof=1) / np.sqrt(len(differences))) + NEXT_TO_NOTHING
