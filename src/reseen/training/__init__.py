"""Learning descriptors from pairs and tuples of photos."""

from reseen.training.datasets import TrainingSet, join, read_training_set
from reseen.training.loop import Trainer
from reseen.training.record import Progress
from reseen.training.settings import TrainingSettings
from reseen.training.validation import Validation

__all__ = [
    "Progress",
    "Trainer",
    "TrainingSet",
    "TrainingSettings",
    "Validation",
    "join",
    "read_training_set",
]
