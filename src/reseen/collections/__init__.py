"""Photos, vectors, labels and the descriptor in one durable folder."""

from reseen.collections.collection import Asked, Collection
from reseen.collections.labels import read_labels
from reseen.collections.report import Report
from reseen.collections.table import Row
from reseen.encoder import Encoder

__all__ = ["Asked", "Collection", "Encoder", "Report", "Row", "read_labels"]
