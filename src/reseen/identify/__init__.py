"""Which object is this? Instances of a collection, or no match."""

from reseen.identify.calibration import Calibration, calibrate
from reseen.identify.identifier import Identification, Identifier, InstanceHit, identify

__all__ = ["Calibration", "Identification", "Identifier", "InstanceHit", "calibrate", "identify"]
