"""Photos, vectors, labels and the descriptor in one durable folder."""

from reseen.collections.collection import Collection
from reseen.collections.encoder import Encoder
from reseen.collections.labels import read_labels
from reseen.collections.report import Report
from reseen.collections.table import Row

__all__ = ["Collection", "Encoder", "Report", "Row", "read_labels"]
