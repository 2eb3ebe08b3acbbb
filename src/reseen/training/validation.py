"""Mean average precision of the network in training on photos it does not learn from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from reseen.errors import TrainingError
from reseen.training.datasets import TrainingSet
from reseen.training.views import View

Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Validation:
    """Queries against a database of views.

    Attributes:
        name: for logs and the run card.
        data: whose photos the views speak of.
        database: views that are ranked.
        queries: views that are searched for.
        positives: rows of ``database`` that match each query.
        junk: rows that are left out of each query's ranking.
    """

    name: str
    data: TrainingSet
    database: tuple[View, ...]
    queries: tuple[View, ...]
    positives: tuple[NDArray[np.int64], ...]
    junk: tuple[NDArray[np.int64], ...]

    def measure(self, encode: Callable[[Sequence[View]], Vectors]) -> float:
        """mAP, in 0..1, of the vectors that ``encode`` gives (zero rows for photos that cannot be used)."""
        vectors = encode([*self.database, *self.queries])
        database, queries = vectors[: len(self.database)], vectors[len(self.database) :]
        scores = queries @ database.T
        found = [
            average_precision(row, positives, junk)
            for row, positives, junk in zip(scores, self.positives, self.junk, strict=True)
        ]
        return float(np.mean(found))


def average_precision(scores: Vectors, positives: NDArray[np.int64], junk: NDArray[np.int64]) -> float:
    """Oxford's average precision (trapezoids) of one query; ``scores (n,)``, the others rows of it."""
    wanted = np.zeros(len(scores), bool)
    wanted[positives] = True
    ignored = np.zeros(len(scores), bool)
    ignored[junk] = True
    order = np.argsort(-scores, kind="stable")
    order = order[~ignored[order]]
    ranks = np.flatnonzero(wanted[order])
    j = np.arange(len(ranks))
    before = np.where(ranks == 0, 1.0, j / np.maximum(ranks, 1))
    after = (j + 1) / (ranks + 1)
    return float(((before + after) / 2).sum() / len(ranks)) if len(ranks) else 0.0


def from_set(data: TrainingSet, *, queries: int = 500, seed: int = 0) -> Validation:
    """Queries of a held-out part: photos of a cluster against all photos; virtual photos against references."""
    random = np.random.default_rng(seed)
    database = tuple(View(i, "mild" if data.virtual[i] else "plain") for i in range(len(data.photos)))
    members = {c: np.flatnonzero(data.clusters == c) for c in np.unique(data.clusters)}
    able = [i for i in range(len(database)) if data.virtual[i] or len(members[data.clusters[i]]) > 1]
    if not able:
        raise TrainingError(f"{data.name!r} has no matching photos to validate on")
    chosen = np.sort(random.permutation(able)[:queries])
    none = np.zeros(0, np.int64)
    views, positives, junk = [], [], []
    for i in chosen.tolist():
        if data.virtual[i]:
            views.append(View(i, "virtual", -1))
            positives.append(np.array([i]))
            junk.append(none)
        else:
            same = members[data.clusters[i]]
            views.append(View(i))
            positives.append(same[same != i])
            junk.append(np.array([i]))
    return Validation(data.name, data, database, tuple(views), tuple(positives), tuple(junk))


def from_manifest(path: Path) -> Validation:
    """A benchmark's manifest: its queries (whole photos) against its database."""
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        database, entries = list(manifest["database"]), list(manifest["queries"])
        row = {name: i for i, name in enumerate(database)}
        entries = [entry for entry in entries if entry["positives"]]
        positives = tuple(np.array([row[p] for p in e["positives"]], np.int64) for e in entries)
        junk = tuple(np.array([row[p] for p in e.get("junk", [])], np.int64) for e in entries)
        photos = [path.parent / str(name) for name in [*database, *(e["image"] for e in entries)]]
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{path}: cannot be read ({error})") from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise TrainingError(f"{path}: not a benchmark manifest ({error!r})") from None
    if not entries:
        raise TrainingError(f"{path}: no query has a positive")
    name = str(manifest.get("name", path.parent.name))
    data = TrainingSet(name, tuple(photos), np.arange(len(photos), dtype=np.int64))
    n = len(database)
    return Validation(
        name,
        data,
        tuple(View(i) for i in range(n)),
        tuple(View(n + i) for i in range(len(entries))),
        positives,
        junk,
    )
