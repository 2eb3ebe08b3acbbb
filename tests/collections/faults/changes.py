"""The changes of a collection that are disturbed, and all that it holds, in short."""

import hashlib
import os
import shutil
import sys
from pathlib import Path

import numpy as np

sys.path.append(str(Path(__file__).parent.parent))
from pixels import Pixels

from reseen.collections import Collection
from reseen.errors import ReseenError


class Other(Pixels):
    """Another descriptor."""

    fingerprint, dim = "6f746865" * 8, 12


class Changes:
    """Changes of a collection ``place/in/c``; each can be made again and then changes nothing more.

    ``place`` holds eight photos, and ``changed``, whose two will have changed.
    """

    names = ("create", "add", "update", "remove", "label", "blob", "adapt", "compact")

    def __init__(self, place):
        self.folder = place / "in" / "c"
        self._photos = sorted(os.fsencode(path) for path in (place / "photos").iterdir())
        self._changed, self._template = place / "changed", place / "template"

    def before(self, change):
        """Five photos in three versions with derived vectors; nothing before ``create``."""
        if not self._template.exists():
            collection = Collection.create(self._template, Pixels())
            for some in (self._photos[:2], self._photos[2:4], self._changed.iterdir()):
                collection.add(*some)
                collection.vectors()
            for path, other in zip(sorted(self._changed.iterdir()), reversed(self._photos), strict=False):
                shutil.copyfile(os.fsdecode(other), path)
        shutil.rmtree(self.folder.parent, ignore_errors=True)
        self.folder.parent.mkdir()
        if change != "create":
            shutil.copytree(self._template, self.folder)

    def make(self, change):
        """One of :attr:`names`."""
        getattr(self, f"_{change}")()

    def opened(self):
        """The collection, with the descriptor that it has."""
        try:
            return Collection.open(self.folder, Pixels())
        except ReseenError:
            return Collection.open(self.folder, Other())

    def created(self):
        """Whether there is a collection."""
        return self.folder.exists() and any(name.startswith("head-") for name in os.listdir(self.folder))

    @staticmethod
    def state(collection):
        """All that a collection holds, in short."""
        vectors = dict(zip(*collection.vectors(), strict=True))
        rows = [(row.path, row.label, row.sha256, vectors[row.id].tobytes()) for row in collection.photos()]
        told = repr((collection.fingerprint, sorted(rows, key=repr), collection.get_blob("threshold")))
        return hashlib.sha256(told.encode()).hexdigest()

    def _create(self):
        Collection.create(self.folder, Pixels())

    def _add(self):
        self.opened().add(*self._photos)

    def _update(self):
        """Two new photos, then two that changed."""
        self.opened().add(*self._photos[4:6], self._changed)

    def _remove(self):
        collection = self.opened()
        collection.remove(*[row.id for row in collection.photos() if row.path in self._photos[:2]])

    def _label(self):
        collection = self.opened()
        collection.set_labels({row.id: "new" for row in collection.photos() if row.path in self._photos[1:3]})

    def _blob(self):
        self.opened().put_blob("threshold", b"0.5")

    def _adapt(self):
        collection = self.opened()
        ids, vectors = collection.vectors()
        collection.replace_descriptor(Other(), ids.copy(), np.ascontiguousarray(vectors[:, :12]))

    def _compact(self):
        self.opened().compact(grace_s=0)
