"""Search: from a query's vector to ranked hits."""

from reseen.search.ranking import Box, Hit, Match, Ranking

__all__ = ["Box", "Hit", "Match", "Ranking"]
