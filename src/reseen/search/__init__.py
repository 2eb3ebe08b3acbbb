"""Search: from what is asked to ranked hits."""

from reseen.search.query import Query
from reseen.search.ranking import Hit, Match, Ranking

__all__ = ["Hit", "Match", "Query", "Ranking"]
