"""Tune a collection's descriptor to its own photos, in minutes, and keep the result only where it gains.

Virtual photos of the references stand for visitors' photos. The backbone learns to tell each reference from all
others, its weights are averaged with those before, the projection is fitted anew, and what is best on held-out
photos replaces the descriptor in one version.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from reseen.backbones import Backbone
from reseen.collections import Collection, Row
from reseen.descriptor import Descriptor
from reseen.descriptor.allocator import tune_allocator
from reseen.errors import CollectionError
from reseen.images import PhotoLike
from reseen.instances.calibrate import Calibration, keep, learn, with_and_without
from reseen.instances.gallery import Gallery, Rows, Vectors
from reseen.instances.truth import read_truth
from reseen.instances.tuning import Batch, Tuning, averaged, batch, tune
from reseen.instances.virtual import How, Studio, Wish
from reseen.projections import Projection, create_projection

Values = NDArray[np.float64]
Stage = Literal["measure", "learn", "choose", "encode"]

CHOOSING, SHOWING, FITTING = 1_000_000, 2_000_000, 3_000_000
"""First draws of the virtual photos that choose the result, that show its gain, that the projection learns from."""
PER_SHARE = 1 / 8
"""Share of the time that one share of the weights may take to be tried."""
NEXT_TO_NOTHING = 1e-9


class Event(NamedTuple):
    """Where an adaptation is: seconds spent and allowed, photos done of a stage's total, the loss while learning."""

    stage: Stage
    spent: float
    allowed: float
    done: int = 0
    total: int = 0
    loss: float | None = None


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
        minutes: for everything, the new vectors included.
        tuning: of the backbone.
        shares: of the tuned weights in the averages that are tried.
        held_out: virtual photos that choose the result; as many others show its gain, and as many the
            projection learns from.
        seed: of every choice.
    """

    minutes: float = 10.0
    tuning: Tuning = field(default_factory=Tuning)
    shares: tuple[float, ...] = (0.5, 0.75, 1.0)
    held_out: int = 160
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.minutes > 0:
            raise ValueError(f"minutes = {self.minutes} must be above 0")


@dataclass(frozen=True)
class Adaptation:
    """What an adaptation did.

    Attributes:
        adapted: whether the collection has a new descriptor.
        before, after: :class:`Score` on ``virtual`` photos that took no part in learning or choosing, and on
            ``real`` photos when some were given.
        share: of the tuned weights in the result; 0 is the backbone as it was, perhaps with another projection.
        projection: how the result's projection was made: ``as before``, ``pca`` or ``lw``.
        steps: of learning. seconds: in all.
        calibration: of the new descriptor.
    """

    adapted: bool
    before: Mapping[str, Score]
    after: Mapping[str, Score]
    share: float
    projection: str
    steps: int
    seconds: float
    calibration: Calibration | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "adapted": self.adapted,
            "before": {name: found._asdict() for name, found in self.before.items()},
            "after": {name: found._asdict() for name, found in self.after.items()},
            "share": self.share,
            "projection": self.projection,
            "steps": self.steps,
            "seconds": round(self.seconds, 1),
            "threshold": self.calibration.threshold if self.calibration else None,
        }


def adapt(
    collection: Collection,
    *,
    minutes: float = 10.0,
    validate: str | Path | None = None,
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
        settings: instead of the defaults with ``minutes``.
        force: let one file stand under two labels.
        progress: called with every :class:`Event`.

    Raises:
        CollectionError: photos that cannot be read again, or one instance only. BenchmarkError: of ``validate``.
        TrainingError: the loss is not a number.
    """
    return _Run(collection, settings or AdaptSettings(minutes=minutes), validate, force, progress).run()


@dataclass(frozen=True)
class _Photos:
    """Virtual photos, made once: rows of the gallery that they show ``(m,)``, and JPEG files."""

    rows: Rows
    files: list[PhotoLike]


@dataclass(frozen=True)
class _Candidate:
    """A descriptor that may become the collection's, with its vectors of the tried references."""

    share: float
    projection: str
    descriptor: Descriptor
    references: Vectors
    choosing: Values
    showing: Values


class _Run:
    """One call of :func:`adapt`."""

    def __init__(
        self,
        collection: Collection,
        settings: AdaptSettings,
        validate: str | Path | None,
        force: bool,
        progress: Callable[[Event], None] | None,
    ) -> None:
        self.started = time.monotonic()
        self.allowed = 60 * settings.minutes
        self.collection, self.settings, self.progress = collection, settings, progress
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
        require_files(collection.photos())
        asked = read_truth(validate, self.gallery) if validate else []
        self.real = [item for item in asked if item.instance >= 0]
        self.threads = min(len(os.sched_getaffinity(0)), int(os.environ.get("OMP_NUM_THREADS") or 1024))
        self.studio = Studio(self.gallery.rows, seed=settings.seed, workers=max(1, self.threads // 2))
        self.rng = np.random.default_rng(settings.seed)
        tune_allocator()

    def run(self) -> Adaptation:
        """Everything, in order."""
        pace = self._pace()
        self._hold_out(pace)
        old = self._candidate(0.0, "as before", self.old, self.gallery.vectors[self.tried])
        before = self._scores(old, self.gallery.vectors)
        tuned, steps = self._tuned(pace)
        best = self._best([old, *self._candidates(tuned)])
        if best is old:
            return Adaptation(False, before, before, 0.0, "as before", steps, self._spent())
        vectors = self._all_vectors(best)
        after = self._scores(best, vectors)
        calibration = self._replace(best.descriptor, vectors)
        return Adaptation(True, before, after, best.share, best.projection, steps, self._spent(), calibration)

    def _spent(self) -> float:
        return time.monotonic() - self.started

    def _tell(self, stage: Stage, done: int = 0, total: int = 0, loss: float | None = None) -> None:
        if self.progress is not None:
            self.progress(Event(stage, self._spent(), self.allowed, done, total, loss))

    # -- holding out -------------------------------------------------------------------------------

    def _pace(self) -> float:
        """Seconds that the descriptor takes for a photo."""
        files = [path_of(row) for row in self.gallery.rows[:6]]
        self._tell("measure")
        self.old.encode(files[:1])
        start = time.monotonic()
        self.old.encode(files)
        return (time.monotonic() - start) / len(files)

    def _hold_out(self, pace: float) -> None:
        """Make the virtual photos that take no part in learning, as many as there is time for."""
        photos = int(PER_SHARE * self.allowed / pace)
        count = int(np.clip(photos // 5, 12, self.settings.held_out))
        order = self.rng.permutation(len(self.gallery.rows))
        rows = np.resize(order, count).tolist()
        half: tuple[How, How] = ("virtual", "visit")
        self.choosing = self._made([Wish(row, half[i % 2], CHOOSING + i) for i, row in enumerate(rows)])
        self.showing = self._made([Wish(row, half[i % 2], SHOWING + i) for i, row in enumerate(rows)])
        self.fitting = self._made([Wish(row, "virtual", FITTING + i) for i, row in enumerate(rows)])
        if not len(self.showing.rows):
            raise CollectionError(f"{self.collection.folder}: none of its photos can be read again")
        shown = np.unique(rows)
        others = np.setdiff1d(order, shown, assume_unique=True)
        self.tried = np.sort(np.concatenate([shown, others[: max(0, photos - 3 * count - len(shown))]]))

    def _made(self, wishes: Sequence[Wish]) -> _Photos:
        rows, files = [], list[PhotoLike]()
        for wish, pixels in self.studio.stream(wishes):
            data = io.BytesIO()
            Image.fromarray(pixels).save(data, "JPEG", quality=95)
            rows.append(wish.row)
            files.append(data.getvalue())
        return _Photos(np.array(rows, np.int64), files)

    # -- learning and choosing ---------------------------------------------------------------------

    def _tuned(self, pace: float) -> tuple[Backbone, int]:
        """The backbone after learning for the time that choosing and encoding leave."""
        each = len(self.tried) + len(self.choosing.files) + len(self.showing.files) + len(self.fitting.files)
        last = len(self.collection) - len(self.tried) + len(self.real) + len(self.showing.files)
        reserve = 1.15 * pace * ((1 + len(self.settings.shares)) * each + last)
        seconds = max(self.allowed - self._spent() - reserve, 0.25 * self.allowed)

        def photos(step: int) -> Batch:
            rows = np.arange(len(self.gallery.rows))
            return batch(self.studio, self.gallery.instance, rows, step, self.settings.tuning, self.settings.seed)

        return tune(
            self.old.backbone,
            photos,
            self.settings.tuning,
            seconds,
            workers=max(1, self.threads // 4),
            watch=lambda spent, loss: self._tell("learn", int(spent), int(seconds), loss),
        )

    def _candidates(self, tuned: Backbone) -> Iterator[_Candidate]:
        """Every average of the weights, with the projection as it was and with those fitted anew."""
        shares = (0.0, *self.settings.shares)
        for place, share in enumerate(shares):
            self._tell("choose", place, len(shares))
            backbone = averaged(self.old.backbone, tuned, share) if share else self.old.backbone
            plain = self.old.replace(backbone=backbone)
            raw = plain.encode([path_of(self.gallery.rows[i]) for i in self.tried], project=False)
            choosing, showing, fitting = (
                plain.encode(photos.files, project=False) for photos in (self.choosing, self.showing, self.fitting)
            )
            pairs = np.stack([np.searchsorted(self.tried, self.fitting.rows), len(raw) + np.arange(len(fitting))], 1)
            for name, steps, projection in self._projections(np.concatenate([raw, fitting]), pairs):
                recipe = replace(self.old.recipe, name=adapted_name(self.old.name), projection=steps, learned=None)
                made = plain.replace(recipe=recipe, projection=projection)
                yield self._candidate(share, name, made, *(made.project(v) for v in (raw, choosing, showing)))

    def _projections(
        self, raw: Vectors, pairs: Rows
    ) -> Iterator[tuple[str, tuple[Mapping[str, Any], ...], Projection | None]]:
        """(name, the recipe's steps, what was fitted) on references and virtual photos, matched by ``pairs``."""
        steps = self.old.recipe.projection
        yield "as before", steps, self.old.projection
        dim = min(self.old.dim, raw.shape[1])
        power = float(steps[0].get("power", 0.5)) if steps else 0.5
        for step in ({"dim": dim, "power": power, "shrinkage": 0.05}, {"dim": dim, "shrinkage": 0.3}):
            kind = "pca" if "power" in step else "lw"
            yield kind, ({"kind": kind, **step},), create_projection(kind, **step).fit(raw, pairs)

    def _candidate(
        self,
        share: float,
        projection: str,
        descriptor: Descriptor,
        references: Vectors,
        choosing: Vectors | None = None,
        showing: Vectors | None = None,
    ) -> _Candidate:
        choosing = descriptor.encode(self.choosing.files) if choosing is None else choosing
        showing = descriptor.encode(self.showing.files) if showing is None else showing
        instance = self.gallery.instance
        ranks = [
            reciprocal_ranks(vectors @ references.T, instance[self.tried], instance[photos.rows])
            for vectors, photos in ((choosing, self.choosing), (showing, self.showing))
        ]
        return _Candidate(share, projection, descriptor, references, *ranks)

    def _best(self, candidates: list[_Candidate]) -> _Candidate:
        """The candidate that names held-out photos best; among equals the first, which changes least.

        Equal is what lies no more than one standard error of the paired difference behind: virtual photos are
        not what visitors take, and weights near the old ones keep what those knew of real photos.
        """
        best = max(candidates, key=lambda candidate: candidate.choosing.mean())
        behind = [best.choosing - candidate.choosing for candidate in candidates]
        return next(c for c, gap in zip(candidates, behind, strict=True) if gap.mean() <= standard_error(gap))

    def _scores(self, candidate: _Candidate, references: Vectors) -> dict[str, Score]:
        """Scores for the report; ``references`` are the candidate's vectors of the whole gallery."""
        scores = {"virtual": Score.of(candidate.showing)}
        if self.real:
            photos: list[PhotoLike] = [item.photo for item in self.real]
            vectors = candidate.descriptor.encode(photos, [item.box for item in self.real])
            right = np.array([item.instance for item in self.real], np.int64)
            scores["real"] = Score.of(reciprocal_ranks(vectors @ references.T, self.gallery.instance, right))
        return scores

    # -- the result --------------------------------------------------------------------------------

    def _all_vectors(self, best: _Candidate) -> Vectors:
        """Vectors of the whole gallery; those that were tried are known."""
        vectors = np.zeros((len(self.gallery.rows), best.references.shape[1]), np.float32)
        vectors[self.tried] = best.references
        rest = np.setdiff1d(np.arange(len(vectors)), self.tried)
        if len(rest):
            files = [path_of(self.gallery.rows[i]) for i in rest]
            vectors[rest] = best.descriptor.encode(files, progress=lambda *at: self._tell("encode", *at))
        return vectors

    def _replace(self, descriptor: Descriptor, vectors: Vectors) -> Calibration:
        """Swap the descriptor and all vectors in one version, then keep the calibration that belongs to them."""
        by_id = {row.id: vector for row, vector in zip(self.gallery.rows, vectors, strict=True)}
        others = [row for row in self.collection.photos() if row.id not in by_id]
        if others:
            encoded = descriptor.encode([path_of(row) for row in others])
            by_id |= {row.id: vector for row, vector in zip(others, encoded, strict=True)}
        ids = np.array(sorted(by_id), np.int64)
        gallery = replace(self.gallery, vectors=vectors)
        scores = gallery.scores(gallery.similarities(descriptor.encode(self.showing.files)))
        trials = list(with_and_without(scores, gallery.instance[self.showing.rows]))
        calibration = learn(trials, gallery, descriptor.fingerprint)
        self.collection.replace_descriptor(descriptor, ids, np.stack([by_id[photo] for photo in ids.tolist()]))
        keep(self.collection, calibration)
        return calibration


def require_files(rows: Sequence[Row]) -> None:
    """CollectionError when photos cannot be read again, which new vectors need."""
    gone = [row for row in rows if not row.path or not Path(os.fsdecode(row.path)).is_file()]
    if gone:
        raise CollectionError(
            f"{len(gone)} of {len(rows)} photos cannot be read again, the first is {gone[0].name}: a new descriptor "
            "needs every photo; bring the files back, or `reseen remove` what is gone"
        )


def path_of(row: Row) -> str:
    """A row's file."""
    return os.fsdecode(row.path)


def adapted_name(name: str) -> str:
    """What an adapted descriptor is called."""
    return f"{name.removesuffix('-adapted')}-adapted"


def reciprocal_ranks(similarities: Vectors, instance: Rows, right: Rows) -> Values:
    """1 / rank of the right instance among all instances: ``(q, n)``, ``(n,)``, ``(q,)`` -> ``(q,)``.

    An instance ranks by its most alike photo; one that ties with the right one counts as before it.
    """
    _, numbers = np.unique(instance, return_inverse=True)
    best = np.full((len(similarities), numbers.max() + 1), -np.inf, np.float32)
    for column in range(similarities.shape[1]):
        number = numbers[column]
        best[:, number] = np.maximum(best[:, number], similarities[:, column])
    own = numbers[[int(np.flatnonzero(instance == i)[0]) for i in right]]
    rows = np.arange(len(best))
    before = (best >= best[rows, own][:, None]).sum(1) - 1
    return np.asarray(1 / (1 + before), np.float64)


def standard_error(differences: Values) -> float:
    """Of their mean; next to nothing for fewer than two."""
    if len(differences) < 2:
        return NEXT_TO_NOTHING
    return float(differences.std(ddof=1) / np.sqrt(len(differences))) + NEXT_TO_NOTHING
