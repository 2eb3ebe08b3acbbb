"""Every JSON that leaves reseen: what ``--json`` prints, verb by verb.

Keys are only ever added. Rates lie in 0..1, sizes are pixels of upright photos, paths are absolute display text.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

Box = list[float]
"""``[x0, y0, x1, y1]``."""
Interval = list[float | None]
"""``[low, high]`` of a 95 % bootstrap interval; None where nothing was scored."""


class Rejected(TypedDict):
    """A photo that could not be used, and one line that says why."""

    path: str
    reason: str


# -- collections -----------------------------------------------------------------------------------


class Indexed(TypedDict):
    """``index``; photos are moved and removed with ``--sync`` only."""

    added: int
    updated: int
    unchanged: int
    ignored: int
    moved: int
    removed: int
    filled: int
    rejected: list[Rejected]
    fingerprint: str


class Photo(TypedDict):
    """A photo of a collection."""

    id: int
    path: str
    label: str | None
    sha256: str


class Photos(TypedDict):
    """``list``: one entry per path."""

    photos: list[Photo]


class Info(TypedDict):
    """``info``."""

    path: str
    photos: int
    labelled: int
    version: int
    recipe: str
    dim: int
    fingerprint: str
    local: str
    bytes: int
    damage: list[str]


class Labelled(TypedDict):
    """``label``: photos that were labelled, and paths of the list that mean none, or several, of the collection."""

    labelled: int
    unknown: list[str]
    ambiguous: list[str]


class Removed(TypedDict):
    """``remove``: photos that were removed, and photos that are left."""

    removed: int
    photos: int


class Verified(TypedDict):
    """``verify``; no version where none can be opened."""

    ok: bool
    version: int | None
    problems: list[str]


class Upgraded(TypedDict):
    """``reseen upgrade``: the version before and after, and the photos that were dropped."""

    before: int
    version: int
    fingerprint: str
    rejected: list[Rejected]


class Compacted(TypedDict):
    """``compact``."""

    freed_bytes: int
    version: int


# -- search and identify ---------------------------------------------------------------------------


class Match(TypedDict):
    """What geometric verification found: corners of the query in the hit, places that agree, and how sure that is."""

    outline: list[list[float]]
    inliers: int
    probability: float | None


class Hit(TypedDict):
    """A photo that was found: the order follows ``score``; ``match`` where geometry looked at it."""

    rank: int
    id: int
    path: str | None
    score: float
    label: str | None
    similarity: float
    inliers: int
    verified: bool
    probability: float | None
    why: str
    match: NotRequired[Match]


class Ranking(TypedDict):
    """``search``: one object per query and line."""

    query: str
    box: Box | None
    no_match: bool
    hits: list[Hit]


class InstanceHit(TypedDict):
    """An object that a photo may show, and the reference photos that speak for it."""

    rank: int
    instance: str
    score: float
    confidence: float | None
    photos: list[str]
    box: Box | None
    inliers: int
    verified: bool
    why: str


class Identification(TypedDict):
    """``identify``: one object per photo and line."""

    query: str
    box: Box | None
    no_match: bool
    hits: list[InstanceHit]


class ThresholdPoint(TypedDict):
    """The errors at one threshold on the confidence."""

    threshold: float
    false_accepts: float
    misses: float


class Calibration(TypedDict):
    """``calibrate``."""

    fingerprint: str
    instances: int
    photos: int
    bias: float
    score: float
    margin: float
    threshold: float
    known: int
    unknown: int
    curve: list[ThresholdPoint]


class Score(TypedDict):
    """Share of photos named rightly, mean of 1 / rank of the right object, and how many photos."""

    precision: float
    reciprocal_rank: float
    photos: int


class Adapted(TypedDict):
    """``adapt``: scores by the kind of held-out photos, ``virtual`` or ``real``."""

    adapted: bool
    before: dict[str, Score]
    after: dict[str, Score]
    learned_from: int
    seconds: float
    threshold: float | None


class PairedPhoto(TypedDict):
    """A photo of a pair or a group."""

    id: int
    path: str
    label: str | None


class Pair(TypedDict):
    """Two photos: similarity of vectors, places that agree, how sure that is, and how much of both is one picture."""

    first: PairedPhoto
    second: PairedPhoto
    similarity: float | None
    inliers: int
    probability: float | None
    share: float
    overlap: float


class Duplicates(TypedDict):
    """``duplicates``: near copies among ``photos`` photos, the surest first."""

    photos: int
    pairs: list[Pair]


class Group(TypedDict):
    """Photos of one thing, and the pairs that hold them together."""

    photos: list[PairedPhoto]
    pairs: list[Pair]


class Groups(TypedDict):
    """``groups``: of ``photos`` photos, the largest first."""

    photos: int
    groups: list[Group]


class Matches(TypedDict):
    """``match``: of ``photos`` photos that were looked for; the second of each pair is of the other collection."""

    photos: int
    pairs: list[Pair]


# -- recipes and learning --------------------------------------------------------------------------


class Recipe(TypedDict):
    """A named descriptor."""

    name: str
    dim: int | None
    needs: str
    available: bool


class Recipes(TypedDict):
    """``recipes``."""

    recipes: list[Recipe]


class Fitted(TypedDict):
    """``fit``: photos that were found, and those that were learned from."""

    descriptor: str
    fingerprint: str
    dim: int
    found: int
    photos: int
    rejected: list[Rejected]


class Words(TypedDict):
    """``vocabulary``: photos that were found, and those that were learned from."""

    file: str
    words: int
    found: int
    photos: int
    rejected: list[Rejected]


class Converted(TypedDict):
    """``convert``: how many scales photos are seen at, and whether vectors are whitened afterwards."""

    descriptor: str
    fingerprint: str
    dim: int
    scales: int
    whitening: bool


class Trained(TypedDict):
    """``train``."""

    descriptor: str
    fingerprint: str
    dim: int
    epochs: int
    best_epoch: int
    validation_map: float | None
    photos: int
    pairs: int
    rejected: list[Rejected]
    seconds: float


# -- evaluation ------------------------------------------------------------------------------------


class ListedHit(TypedDict):
    """A photo of a benchmark's ranking."""

    rank: int
    path: str
    score: float
    mark: Literal["positive", "junk", "negative"]


class ScoredQuery(TypedDict):
    """A query of a benchmark; ``first`` is the rank of the first relevant photo."""

    query: str
    box: Box | None
    ap: float | None
    ap_finite: float | None
    precision_at: dict[str, float | None]
    relevant: int
    wanted: str | None
    junk: int
    first: int
    hits: list[ListedHit]


class OpenSet(TypedDict):
    """How well queries without a match are told from others, by the best score; rates by false alarm rate."""

    auroc: float
    identified_at: dict[str, float]
    threshold_at: dict[str, float]
    curve: list[list[float]]


class PairVerification(TypedDict):
    """How well matching pairs are told from others."""

    auroc: float
    true_positive_rate_at: dict[str, float]


class Stage(TypedDict):
    """Accuracy after a stage of re-ranking, and its time."""

    stage: str
    map: float | None
    map_interval: Interval
    precision_at_1: float | None
    precision_at_1_interval: Interval
    milliseconds_per_query: float


Measures = TypedDict(
    "Measures",
    {
        "recall_at": dict[str, float | None],
        "hit_at": dict[str, float | None],
        "map@100": NotRequired[float | None],
        "ukb": NotRequired[float | None],
        "pair_verification": NotRequired[PairVerification],
        "rerank_depth": NotRequired[int],
        "rerank_bytes_per_photo": NotRequired[float],
        "rerank_stages": NotRequired[list[Stage]],
    },
)
"""Further means, as they apply."""


class Protocol(TypedDict):
    """Everything that another person needs to make a run again; settings as in recipes."""

    benchmark: str
    database: int
    distractors: int
    queries: int
    unmatched: int
    truth: str
    recipe: str
    fingerprint: str
    dim: int
    engine: str
    precision: str
    device: str
    images: dict[str, Any]
    box: str
    scales: dict[str, Any]
    backbone: dict[str, Any]
    head: dict[str, Any]
    projection: list[dict[str, Any]]
    learned_on: str
    expansion: str
    database_augmentation: str
    first_stage: str
    reranking: str
    junk: str
    truncation: str
    ties: str
    average_precision: str
    precision_at: str
    versions: dict[str, str]
    notes: list[str]


class Run(TypedDict):
    """One recipe on one benchmark; None for what is not known."""

    recipe: str
    benchmark: str
    queries: int
    scored_queries: int
    map: float | None
    map_finite: float | None
    precision_at: dict[str, float | None]
    interval: Interval
    precision_at_1_interval: Interval
    seconds_per_photo: float | None
    milliseconds_per_query: float | None
    fingerprint: str
    measures: Measures
    curve: list[float | None]
    open_set: OpenSet | None
    protocol: Protocol
    per_query: list[ScoredQuery]


class Evaluated(TypedDict):
    """``evaluate``."""

    runs: list[Run]


class GridRun(Run):
    """A run at one place of a grid."""

    base: str
    projection: str
    dim: int
    expand: str
    dba: str


class Ablated(TypedDict):
    """``ablate``."""

    runs: list[GridRun]


class Difference(TypedDict):
    """The second run less the first: mean, its interval, p value, and queries that are better, equal, worse."""

    mean: float
    interval: list[float]
    p_value: float
    better: int
    equal: int
    worse: int


class Comparison(TypedDict):
    """Two runs on one benchmark; ``[query, average precision before, after]``, largest loss first."""

    benchmark: str
    first: str
    second: str
    map: Difference
    precision_at_1: Difference
    queries: list[tuple[str, float, float]]


class Compared(TypedDict):
    """``compare``."""

    comparisons: list[Comparison]


OUTPUTS: dict[str, type] = {
    "index": Indexed,
    "search": Ranking,
    "info": Info,
    "list": Photos,
    "label": Labelled,
    "remove": Removed,
    "verify": Verified,
    "compact": Compacted,
    "upgrade": Upgraded,
    "identify": Identification,
    "duplicates": Duplicates,
    "groups": Groups,
    "match": Matches,
    "calibrate": Calibration,
    "adapt": Adapted,
    "evaluate": Evaluated,
    "compare": Compared,
    "ablate": Ablated,
    "fit": Fitted,
    "train": Trained,
    "convert": Converted,
    "vocabulary": Words,
    "recipes": Recipes,
}
"""What each verb prints with ``--json``: an object on one line, or one per query and line."""
