"""A descriptor of coarse pixels: all that a collection asks of one, without a network."""

import numpy as np

from reseen.encoder import Encoded, Encoder
from reseen.errors import PhotoRejected
from reseen.images import load_photo, resize_to


class Pixels(Encoder):
    """Photos shrunk to 4 x 4."""

    name, fingerprint, dim, side = "pixels", "70697865" * 8, 48, 4

    def save(self, folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "settings.json").write_text("{}")
        return folder

    def stream(self, photos, boxes=None, *, crop=None, tasks=None, at_least=0):
        for i, photo in enumerate(photos):
            try:
                photo = load_photo(photo)
                vector = resize_to(photo.pixels, 4, 4).astype(np.float32).ravel() - 127.5
                done = {name: task(photo) for name, task in (tasks or {}).items()}
                yield Encoded(i, vector / np.linalg.norm(vector), photo.pixels.shape[1::-1], tasks=done)
            except PhotoRejected as error:
                yield Encoded(i, None, rejected=error)
