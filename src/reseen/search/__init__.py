"""Search: from a query's vector to ranked hits."""

from reseen.search.ranking import Hit, Match, Ranking

__all__ = ["Hit", "Match", "Ranking"]
