"""Painted scenes and virtual photos: for the demo, for training, for tests."""

from reseen.scenes.camera import Scene
from reseen.scenes.virtual import VIRTUAL, VirtualSettings, mild_view, virtual_photo

__all__ = ["VIRTUAL", "Scene", "VirtualSettings", "mild_view", "virtual_photo"]
