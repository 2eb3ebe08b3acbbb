"""A descriptor of coarse pixels: what a collection asks of one, without a network."""

from dataclasses import dataclass, field

import numpy as np

from reseen.errors import PhotoRejected
from reseen.images import load_photo, resize_to


@dataclass
class Encoded:
    """One photo of a stream."""

    vector: np.ndarray | None
    size: tuple = (0, 0)
    rejected: PhotoRejected | None = None
    tasks: dict = field(default_factory=dict)


class Pixels:
    """Photos shrunk to 4 x 4."""

    name = "pixels"
    fingerprint = "70697865" * 8
    dim = 48

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings.json").write_text("{}")
        return folder

    def encode(self, photos, boxes=None):
        return np.stack([item.vector for item in self.stream(photos)])

    def stream(self, photos, *, tasks=None):
        for photo in photos:
            try:
                loaded = load_photo(photo)
            except PhotoRejected as error:
                yield Encoded(None, rejected=error)
                continue
            vector = resize_to(loaded.pixels, 4, 4).astype(np.float32).ravel() - 127.5
            yield Encoded(vector / np.linalg.norm(vector), loaded.size)
