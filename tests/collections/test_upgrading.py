"""A collection under another descriptor."""

import numpy as np
import pytest

from reseen.collections import Collection, upgrading
from reseen.collections.upgrading import upgrade
from reseen.errors import CollectionError


@pytest.fixture
def finer(pixels):
    """Another descriptor than the collection's: the same pixels, turned round."""

    class Turned(type(pixels)):
        name, fingerprint = "turned", "0123abcd" * 8
        read = 0

        def stream(self, photos, *given, **named):
            for found in super().stream(photos, *given, **named):
                type(self).read += 1
                if found.vector is not None:
                    found = type(found)(found.index, -found.vector, found.size)
                yield found

    return Turned()


def told(collection):
    return sorted((row.id, row.path, row.label, row.sha256) for row in collection.photos())


def test_every_vector_is_the_new_descriptors_and_all_else_stays(indexed, finer):
    indexed.set_labels({indexed.photos()[0].id: "x"})
    rows, features, (ids, vectors) = (
        told(indexed),
        indexed.features([r.id for r in indexed.photos()]),
        indexed.vectors(),
    )
    reader, before = Collection.open(indexed.folder), indexed.version
    steps = []
    assert upgrade(indexed, finer, progress=lambda *at: steps.append(at)) == []
    assert steps[-1] == (20, 20)
    opened = Collection.open(indexed.folder)
    assert opened.fingerprint == finer.fingerprint and opened.verify() == [] and told(opened) == rows
    after = dict(zip(*(part.tolist() for part in opened.vectors()), strict=True))
    assert after == {i: (-v).tolist() for i, v in zip(ids.tolist(), vectors, strict=True)}
    assert opened.features([*features]) == features
    assert reader.fingerprint != finer.fingerprint and np.array_equal(reader.vectors()[1], vectors)
    assert upgrade(opened, finer) == [] and opened.version == before + 1


def test_begun_work_goes_on(indexed, finer, monkeypatch):
    monkeypatch.setattr(upgrading, "INTERVAL_S", 0)

    def stops(done, _total):
        if done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        upgrade(indexed, finer, progress=stops)
    assert Collection.open(indexed.folder).verify() == [] and indexed.fingerprint != finer.fingerprint
    read = finer.read
    upgrade(Collection.open(indexed.folder), finer)
    assert finer.read - read == 12
    opened = Collection.open(indexed.folder)
    assert opened.fingerprint == finer.fingerprint and len(opened) == 20


def test_photos_that_cannot_be_read_again(indexed, finer, tmp_path):
    (tmp_path / "photos" / "0003.png").unlink()
    (tmp_path / "photos" / "0004.png").write_bytes((tmp_path / "photos" / "0005.png").read_bytes())
    before = told(indexed)
    with pytest.raises(CollectionError, match="2 photos cannot be encoded again.*--drop"):
        upgrade(indexed, finer)
    assert told(Collection.open(indexed.folder)) == before
    dropped = upgrade(indexed, finer, drop=True)
    assert sorted(item.path.rpartition("/")[2] for item in dropped) == ["0003.png", "0004.png"]
    assert "changed since it was indexed" in {item.reason for item in dropped}
    opened = Collection.open(indexed.folder)
    assert len(opened) == 18 and opened.verify() == [] and opened.fingerprint == finer.fingerprint


def test_an_upload_that_is_no_photo_of_the_disk_either(indexed, finer, tmp_path, paint):
    (other,) = paint(tmp_path / "other", 1, start=90)
    indexed.add_photos([("upload", other.read_bytes())])
    with pytest.raises(CollectionError, match="1 photos cannot be encoded again, the first is upload: an upload"):
        upgrade(indexed, finer)


def test_it_is_taken_back(indexed, finer, tmp_path, paint):
    before, vectors = indexed.version, indexed.vectors()[1].copy()
    upgrade(indexed, finer)
    indexed.go_back(before)
    opened = Collection.open(indexed.folder)
    assert opened.version == before + 2 and opened.fingerprint != finer.fingerprint and opened.verify() == []
    assert np.array_equal(opened.vectors()[1], vectors)
    upgrade(opened, finer)
    assert Collection.open(indexed.folder).verify() == []


def test_what_is_no_change_of_the_descriptor_is_not_taken_back(indexed):
    with pytest.raises(CollectionError, match="only a change of the descriptor is taken back"):
        indexed.go_back(indexed.version - 1)
    with pytest.raises(CollectionError):
        indexed.go_back(99)
