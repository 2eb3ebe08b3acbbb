"""Re-ranking: stages that take a ranking and give a new one."""

from reseen.search.rerank.base import Evidence, RerankError, Stage
from reseen.search.rerank.chain import Chain, parse_chain

__all__ = ["Chain", "Evidence", "RerankError", "Stage", "parse_chain"]
