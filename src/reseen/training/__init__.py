"""Learning descriptors from pairs and tuples of photos."""

from reseen.training.loop import Trainer
from reseen.training.record import Progress
from reseen.training.settings import TrainingSettings
from reseen.training.validation import Validation

__all__ = [
    "Progress",
    "Trainer",
    "TrainingSettings",
    "Validation",
]
