"""Query expansion and database augmentation by their names on the command line."""

from __future__ import annotations

from reseen.errors import BenchmarkError
from reseen.evaluation.vectors import Vectors


def expand_queries(
    queries: Vectors, database: Vectors, *, expand: str | None, dba: str | None
) -> tuple[Vectors, Vectors]:
    """Queries and database after database augmentation and, against that database, query expansion."""
    if expand or dba:
        raise BenchmarkError("expansion is not available in this version")
    return queries, database
