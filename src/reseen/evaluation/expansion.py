"""Query expansion and database augmentation by their names on the command line."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reseen.errors import BenchmarkError
from reseen.search import expansion
from reseen.types import Vectors

QUERY_FORMS = "none, aqe:N or alpha:N[:ALPHA]"
DATABASE_FORMS = "none, uniform:N, rank:N, gordo:N, alpha:N[:ALPHA], instance or instance:rank"
INSTANCES = ("instance", "instance:rank")


def expand_queries(
    queries: Vectors, database: Vectors, *, expand: str, dba: str, labels: Sequence[str] = ()
) -> tuple[Vectors, Vectors]:
    """Queries and database after database augmentation and then, against that database, query expansion.

    Args:
        queries, database: unit rows.
        expand: ``none``, ``aqe:N`` or ``alpha:N[:ALPHA]``.
        dba: ``none``, ``uniform:N``, ``rank:N``, ``gordo:N``, ``alpha:N[:ALPHA]``; ``instance``, the mean of the photos
            of one label in the place of each, or ``instance:rank``, each with all others of its label by rank.
        labels: of the database's photos, for the instance forms.

    Raises:
        BenchmarkError: another form, or no labels for the instance forms.
    """
    if dba in INSTANCES:
        if not labels:
            raise BenchmarkError(f"augmentation {dba!r} needs a benchmark whose database has labels (folders, clicide)")
        names = np.array(labels)
        if dba == "instance":
            database = expansion.instance_means(database, names)[np.unique(names, return_inverse=True)[1]]
        else:
            database = expansion.dba(database, None, "rank", labels=names)
    elif dba != "none":
        kind, n, alpha = _parsed(dba, ("uniform", "rank", "gordo", "alpha"), DATABASE_FORMS)
        database = expansion.dba(database, n, kind, alpha)  # type: ignore[arg-type]
    if expand != "none":
        kind, n, alpha = _parsed(expand, ("aqe", "alpha"), QUERY_FORMS)
        queries = expansion.alpha_qe(queries, database, n, 0.0 if kind == "aqe" else alpha)
    return queries, database


def check_forms(expand: str, dba: str) -> None:
    """BenchmarkError unless both forms are known."""
    one = np.ones((1, 1), np.float32)
    expand_queries(one, one, expand=expand, dba=dba, labels=("",))


def _parsed(text: str, kinds: tuple[str, ...], forms: str) -> tuple[str, int, float]:
    kind, *numbers = text.split(":")
    try:
        n = int(numbers[0])
        alpha = float(numbers[1]) if len(numbers) > 1 else 3.0
        fits = kind in kinds and n >= 1 and alpha >= 0 and len(numbers) <= (2 if kind == "alpha" else 1)
    except (ValueError, IndexError):
        fits = False
    if not fits:
        raise BenchmarkError(f"expansion {text!r} is not {forms}")
    return kind, n, alpha
