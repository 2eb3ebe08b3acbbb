"""Local features of a photo: where they are, what they look like, and how they are kept."""

from reseen.local_features import Extractor, LocalFeatures, create_extractor
from reseen.search.local.sift import RootSift

__all__ = ["Extractor", "LocalFeatures", "RootSift", "create_extractor"]
