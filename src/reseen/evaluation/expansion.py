"""Query expansion and database augmentation by their names on the command line."""

from __future__ import annotations

from reseen.errors import BenchmarkError
from reseen.evaluation.vectors import Vectors
from reseen.search import expansion

QUERY_KINDS, QUERY_FORMS = ("aqe", "alpha"), "none, aqe:N or alpha:N[:ALPHA]"
DATABASE_KINDS, DATABASE_FORMS = ("uniform", "rank", "alpha"), "none, uniform:N, rank:N or alpha:N[:ALPHA]"


def expand_queries(queries: Vectors, database: Vectors, *, expand: str, dba: str) -> tuple[Vectors, Vectors]:
    """Queries and database after database augmentation and then, against that database, query expansion.

    Args:
        queries, database: unit rows.
        expand: ``none``, ``aqe:N`` or ``alpha:N[:ALPHA]``.
        dba: ``none``, ``uniform:N``, ``rank:N`` or ``alpha:N[:ALPHA]``.

    Raises:
        BenchmarkError: another form.
    """
    if dba != "none":
        kind, n, alpha = _parsed(dba, DATABASE_KINDS, DATABASE_FORMS)
        database = expansion.dba(database, n, kind, alpha)  # type: ignore[arg-type]
    if expand != "none":
        kind, n, alpha = _parsed(expand, QUERY_KINDS, QUERY_FORMS)
        queries = expansion.alpha_qe(queries, database, n, 0.0 if kind == "aqe" else alpha)
    return queries, database


def check_forms(expand: str, dba: str) -> None:
    """BenchmarkError unless both forms are known."""
    if expand != "none":
        _parsed(expand, QUERY_KINDS, QUERY_FORMS)
    if dba != "none":
        _parsed(dba, DATABASE_KINDS, DATABASE_FORMS)


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
