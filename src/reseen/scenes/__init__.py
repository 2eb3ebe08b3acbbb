"""Painted scenes and virtual photos: for the demo, for training, for tests."""

from reseen.scenes.camera import Scene
from reseen.scenes.paintings import MANNERS, Painting, paint
from reseen.scenes.virtual import VIRTUAL, VirtualSettings, mild_view, virtual_photo
from reseen.scenes.visits import VISIT, VisitSettings, visit

__all__ = [
    "MANNERS",
    "VIRTUAL",
    "VISIT",
    "Painting",
    "Scene",
    "VirtualSettings",
    "VisitSettings",
    "mild_view",
    "paint",
    "virtual_photo",
    "visit",
]
