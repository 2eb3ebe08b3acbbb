"""Query expansion and database augmentation by their names on the command line."""

from __future__ import annotations

from reseen.errors import BenchmarkError
from reseen.evaluation.vectors import Vectors
from reseen.search import expansion

QUERY_FORMS = "aqe:N or alpha:N[:ALPHA]"
DATABASE_FORMS = "uniform:N, rank:N or alpha:N[:ALPHA]"


def expand_queries(
    queries: Vectors, database: Vectors, *, expand: str | None, dba: str | None
) -> tuple[Vectors, Vectors]:
    """Queries and database after database augmentation and then, against that database, query expansion.

    Args:
        queries, database: unit rows.
        expand: ``aqe:N`` or ``alpha:N[:ALPHA]``, or None.
        dba: ``uniform:N``, ``rank:N`` or ``alpha:N[:ALPHA]``, or None.

    Raises:
        BenchmarkError: another form.
    """
    database = augment(database, dba)
    if expand in (None, "none"):
        return queries, database
    kind, n, alpha = _parsed(str(expand), ("aqe", "alpha"), QUERY_FORMS)
    return expansion.alpha_qe(queries, database, n, 0.0 if kind == "aqe" else alpha), database


def augment(database: Vectors, form: str | None) -> Vectors:
    """The database after augmentation; ``form`` as ``--dba`` takes it."""
    if form in (None, "none"):
        return database
    kind, n, alpha = _parsed(str(form), ("uniform", "rank", "alpha"), DATABASE_FORMS)
    return expansion.dba(database, n, kind, alpha)  # type: ignore[arg-type]


def check_forms(expand: str | None, dba: str | None) -> None:
    """BenchmarkError unless both forms are known."""
    if expand not in (None, "none"):
        _parsed(str(expand), ("aqe", "alpha"), QUERY_FORMS)
    if dba not in (None, "none"):
        _parsed(str(dba), ("uniform", "rank", "alpha"), DATABASE_FORMS)


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
