"""Which object is this? Instances of a collection, no match, and descriptors tuned to it."""

from reseen.instances.adapt import Adaptation, AdaptSettings, adapt
from reseen.instances.calibrate import Calibration, calibrate
from reseen.instances.gallery import Gallery, instance_average, ranked_average
from reseen.instances.identify import Identification, Identifier, InstanceHit, identify

__all__ = [
    "AdaptSettings",
    "Adaptation",
    "Calibration",
    "Gallery",
    "Identification",
    "Identifier",
    "InstanceHit",
    "adapt",
    "calibrate",
    "identify",
    "instance_average",
    "ranked_average",
]
