"""When is an answer good enough? Confidence and the no-match threshold, learned from the collection itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from reseen.collections import Collection, Encoder
from reseen.collections.gallery import Gallery
from reseen.errors import CollectionDamaged, CollectionError
from reseen.identify.classify import By, Classes
from reseen.images import PhotoLike
from reseen.scenes import VirtualSettings, paint, virtual_photo
from reseen.scenes.studio import PAINTED, PHOTO, Studio, Wish
from reseen.types import Progress, Rows, Values, Vectors

BLOBS: dict[By, str] = {"neighbours": "no-match", "classifier": "no-match-classifier"}
"""Names under which a collection keeps its calibrations."""
TRIALS, PER_INSTANCE = 240, 8
"""Virtual photos that are tried at most, and of each instance in a small collection."""
FIRST_DRAW = 2_000_000
"""Of the virtual photos that are tried: none that a descriptor or a classifier has learned from."""
Scored = Callable[[Iterable[PhotoLike]], Iterator[Vectors]]
"""Photos -> scores ``(I,)`` of each."""
FEW = 12
"""Instances below which painted strangers are tried too: taking one of few instances away proves little."""


@dataclass(frozen=True)
class Point:
    """One threshold on the confidence.

    Attributes:
        threshold: answers below it are "no match".
        false_accepts: share of photos of unknown objects that got an answer.
        misses: share of photos of known objects that got none, or a wrong one.
    """

    threshold: float
    false_accepts: float
    misses: float


@dataclass(frozen=True)
class Calibration:
    """How sure an answer is, and from where on it is given.

    Attributes:
        fingerprint: of the descriptor that it was measured with.
        instances, photos: of the collection then.
        bias, score, margin: of the logistic confidence, of the score of an instance (its best similarity, or its class
            activation) and of its lead over the best other instance.
        threshold: on the confidence.
        known, unknown: trials that it was learned from.
        curve: false accepts against misses at many thresholds, rising.
    """

    fingerprint: str
    instances: int
    photos: int
    bias: float
    score: float
    margin: float
    threshold: float
    known: int
    unknown: int
    curve: tuple[Point, ...]

    def confidence(self, scores: Vectors) -> Values:
        """Probability that a photo shows each instance, given ``scores (q, I)``: ``(q, I)`` in 0..1."""
        leads = scores - best_other(scores)
        return _logistic(self.bias + self.score * scores.astype(np.float64) + self.margin * leads)

    @property
    def at_threshold(self) -> Point:
        """The error that was measured at the stored threshold."""
        return min(self.curve, key=lambda point: abs(point.threshold - self.threshold))

    def to_bytes(self) -> bytes:
        """JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Calibration:
        """What :meth:`to_bytes` wrote; CollectionDamaged when it is something else."""
        try:
            values = json.loads(data)
            return cls(**{**values, "curve": tuple(Point(**point) for point in values["curve"])})
        except (ValueError, KeyError, TypeError) as error:
            raise CollectionDamaged(f"the stored calibration cannot be read ({error})") from None


@dataclass(frozen=True)
class Trials:
    """Photos whose right answer is known.

    Attributes:
        scores: ``(t, I)`` of each instance; -inf for one that was taken out of the collection for the trial.
        right: ``(t,)`` the instance that is shown, -1 for none of those that are left.
    """

    scores: Vectors
    right: Rows


def best_other(scores: Vectors) -> Vectors:
    """For each instance the best score of the others: ``(q, I)`` -> ``(q, I)``; 0 where there is no other."""
    if scores.shape[1] < 2:
        return np.zeros_like(scores)
    top = np.partition(scores, -2, axis=1)[:, -2:]
    first, second = top[:, 1:], top[:, :1]
    other = np.where(scores == first, second, first)
    return np.where(np.isfinite(other), other, 0).astype(np.float32)


def stored(collection: Collection, gallery: Gallery, by: By = "neighbours") -> Calibration | None:
    """The calibration that a collection keeps; None when there is none for its descriptor and instances.

    It goes stale when the descriptor changes, or the number of instances by more than a fifth.
    """
    data = collection.get_blob(BLOBS[by])
    if data is None:
        return None
    found = Calibration.from_bytes(data)
    drift = abs(found.instances - len(gallery)) / max(found.instances, 1)
    return found if found.fingerprint == collection.fingerprint and drift <= 0.2 else None


def calibrate(
    collection: Collection,
    gallery: Gallery | None = None,
    *,
    trials: int | None = None,
    false_accepts: float | None = None,
    seed: int = 0,
    by: By = "neighbours",
    progress: Progress | None = None,
) -> Calibration:
    """:func:`measure` a collection's calibration and :func:`keep` it there."""
    gallery = gallery if gallery is not None else Gallery.of(collection)
    found = measure(
        collection, gallery, trials=trials, false_accepts=false_accepts, seed=seed, by=by, progress=progress
    )
    keep(collection, found, by)
    return found


def keep(collection: Collection, calibration: Calibration, by: By = "neighbours") -> None:
    """Store a calibration with the collection, as its next version."""
    collection.put_blob(BLOBS[by], calibration.to_bytes())


def measure(
    collection: Collection,
    gallery: Gallery,
    *,
    trials: int | None = None,
    false_accepts: float | None = None,
    seed: int = 0,
    by: By = "neighbours",
    progress: Progress | None = None,
) -> Calibration:
    """Learn confidence and threshold from a collection's own photos.

    Photos of known objects are virtual photos of references, and references tried against the other photos of
    their instance. The same photos with their own instance taken away are photos of unknown objects. No photo
    from elsewhere takes part.

    Args:
        collection: is not changed.
        gallery: its instances.
        trials: virtual photos; by default :data:`PER_INSTANCE` of each instance, :data:`TRIALS` at most.
        false_accepts: the share of unknown objects that may get an answer; by default the threshold is where
            false accepts and misses together are fewest.
        seed: of the virtual photos.
        by: what names the instances. A classifier has learned the references themselves, so they are no trials of it.
        progress: called with (photos done, photos in all).

    Raises:
        CollectionError: no reference photo can be read again, and no instance has two photos; see also
            :class:`reseen.identify.classify.Classes`.
    """
    trials = trials or min(TRIALS, PER_INSTANCE * len(gallery))
    if by == "classifier":
        found = [*virtual_trials(Classes(collection.encoder, gallery).stream, gallery, trials, seed, progress)]
    else:
        named = neighbours(collection.encoder, gallery)
        found = [*virtual_trials(named, gallery, trials, seed, progress), *leave_one_out(gallery, trials)]
    if not found:
        raise CollectionError(
            f"{collection.folder}: nothing to calibrate on: no reference file can be read again, "
            "and no instance has two photos"
        )
    return learn(found, gallery, collection.fingerprint, false_accepts)


def neighbours(encoder: Encoder, gallery: Gallery) -> Scored:
    """Photos scored by the most alike reference of each instance."""

    def scored(photos: Iterable[PhotoLike]) -> Iterator[Vectors]:
        for item in encoder.stream(photos):
            assert item.vector is not None  # pixels made here are never rejected
            yield gallery.scores(gallery.similarities(item.vector[None]))[0]

    return scored


def virtual_trials(
    scored: Scored, gallery: Gallery, trials: int, seed: int, progress: Progress | None
) -> Iterator[Trials]:
    """Virtual photos of references; each once with and once without its instance."""
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(gallery.rows)) for _ in range(-(-trials // len(gallery.rows)))])
    wishes = [Wish(int(row), "virtual", FIRST_DRAW + i) for i, row in enumerate(order[:trials].tolist())]
    strangers = trials // 2 if len(gallery) < FEW else 0
    studio = Studio(gallery.paths, seed=seed)
    shown: list[int] = []

    def photos() -> Iterator[NDArray[np.uint8]]:
        for wish, pixels in studio.stream(wishes):
            shown.append(int(gallery.instance[wish.row]))
            yield pixels
        for i in range(strangers):
            shown.append(-1)
            picture = paint(2 * PAINTED + i, longest=480).pixels
            yield virtual_photo(picture, np.random.default_rng((seed, i)), VirtualSettings(size=PHOTO)).pixels

    scores: list[Vectors] = []
    for row in scored(photos()):
        scores.append(row)
        if progress is not None:
            progress(len(scores), len(wishes) + strangers)
    right = np.array(shown, np.int64)
    if (right >= 0).any():
        yield from with_and_without(np.stack(scores), right)


def leave_one_out(gallery: Gallery, most: int) -> Iterator[Trials]:
    """References of instances with several photos, each tried without itself, and without its instance."""
    count = np.bincount(gallery.instance)
    rows = np.flatnonzero(count[gallery.instance] > 1)
    rows = np.random.default_rng(0).permutation(rows)[:most]
    if len(rows):
        similar = gallery.similarities(gallery.vectors[rows])
        similar[np.arange(len(rows)), rows] = -np.inf
        yield from with_and_without(gallery.scores(similar), gallery.instance[rows])


def with_and_without(scores: Vectors, right: Rows) -> Iterator[Trials]:
    """The photos as they are, and photos of known objects again with their instance taken away."""
    yield Trials(scores, right)
    known = np.flatnonzero(right >= 0)
    if scores.shape[1] > 1 and len(known):
        without = scores[known].copy()
        without[np.arange(len(known)), right[known]] = -np.inf
        yield Trials(without, np.full(len(known), -1))


def learn(found: list[Trials], gallery: Gallery, fingerprint: str, false_accepts: float | None = None) -> Calibration:
    """Confidence, curve and threshold from trials."""
    features, correct, unknown = [], [], []
    for trial in found:
        best = trial.scores.argmax(1)
        rows = np.arange(len(best))
        lead = trial.scores - best_other(trial.scores)
        features.append(np.stack([trial.scores[rows, best], lead[rows, best]], 1))
        correct.append(best == trial.right)
        unknown.append(trial.right < 0)
    x, good, strange = np.concatenate(features).astype(np.float64), np.concatenate(correct), np.concatenate(unknown)
    bias, score, margin = fit_logistic(x, good)
    confidence = _logistic(bias + x @ np.array([score, margin]))
    curve = trade_off(confidence, good, strange)
    if false_accepts is None:
        threshold = min(curve, key=lambda point: (point.false_accepts + point.misses, point.threshold)).threshold
    else:
        threshold = next((p.threshold for p in curve if p.false_accepts <= false_accepts), curve[-1].threshold)
    return Calibration(
        fingerprint,
        len(gallery),
        len(gallery.vectors),
        bias,
        score,
        margin,
        threshold,
        int((~strange).sum()),
        int(strange.sum()),
        tuple(curve),
    )


def fit_logistic(x: Values, good: NDArray[np.bool_]) -> tuple[float, float, float]:
    """Weights ``(bias, score, margin)`` of P(answer right | score, margin), both kinds of trials weighing the same.

    Where all trials are of one kind nothing can be learned: the weights then give 0.5 at a score of 0.5.
    """
    from sklearn.linear_model import LogisticRegression

    if good.all() or not good.any():
        return -5.0, 10.0, 0.0
    centre, spread = x.mean(0), np.maximum(x.std(0), 1e-6)
    model = LogisticRegression(C=10.0, class_weight="balanced").fit((x - centre) / spread, good)
    weights = np.maximum(model.coef_[0], 0) / spread
    return float(model.intercept_[0] - weights @ centre), float(weights[0]), float(weights[1])


def trade_off(
    confidence: Values, good: NDArray[np.bool_], unknown: NDArray[np.bool_], points: int = 101
) -> list[Point]:
    """False accepts and misses at ``points`` thresholds from 0 to 1.

    ``good`` says whether the best answer is right, ``unknown`` whether there is no right one.
    """
    curve = []
    for threshold in np.linspace(0, 1, points):
        given = confidence >= threshold
        accepted = given[unknown].mean() if unknown.any() else 0.0
        missed = 1 - (given & good)[~unknown].mean() if (~unknown).any() else 0.0
        curve.append(Point(round(float(threshold), 4), float(accepted), float(missed)))
    return curve


def _logistic(x: Values) -> Values:
    return np.asarray(0.5 * (1 + np.tanh(x / 2)), np.float64)
