"""Re-ranking: stages that take a ranking and give a new one."""

from reseen.search.rerank.base import Evidence, RerankError, Stage
from reseen.search.rerank.chain import STAGES, Chain, parse_chain

__all__ = ["STAGES", "Chain", "Evidence", "RerankError", "Stage", "parse_chain"]
