"""Painted scenes and virtual photos: for the demo, for training, for tests."""

from reseen.scenes.camera import Scene
from reseen.scenes.paintings import MANNERS, Painting, paint
from reseen.scenes.virtual import VIRTUAL, VirtualSettings, mild_view, virtual_photo

__all__ = ["MANNERS", "VIRTUAL", "Painting", "Scene", "VirtualSettings", "mild_view", "paint", "virtual_photo"]
