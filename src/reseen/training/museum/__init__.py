"""The museum paper's training, and the adaptation of a collection to its own photos."""

from reseen.training.museum.adapt import Adaptation, AdaptSettings, adapt

__all__ = ["AdaptSettings", "Adaptation", "adapt"]
