"""Photos, vectors, labels and the descriptor in one durable folder."""

from reseen.collections.collection import Collection, Encoder, Report, read_labels
from reseen.collections.table import Row

__all__ = ["Collection", "Encoder", "Report", "Row", "read_labels"]
