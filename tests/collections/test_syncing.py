"""A collection that follows its folders."""

import os
import shutil

import pytest

from reseen.collections import Collection
from reseen.errors import CollectionError


@pytest.fixture
def followed(tmp_path, pixels, paint):
    """Six labelled photos of a folder, and one from elsewhere."""
    paths = paint(tmp_path / "photos", 6)
    (other,) = paint(tmp_path / "other", 1, start=30)
    collection = Collection.create(tmp_path / "c", pixels)
    collection.add(tmp_path / "photos", labels={path: path.stem for path in paths})
    collection.add(other)
    return collection, tmp_path / "photos"


def held(collection):
    return {os.fsdecode(row.relative): (row.id, row.label) for row in collection.photos()}


def test_vanished_photos_go_and_moved_ones_keep_id_and_label(followed, pixels, paint):
    collection, folder = followed
    before = held(collection)
    vectors = {row.id: collection.vectors_of([row.id])[0].tolist() for row in collection.photos()}
    (folder / "0000.png").unlink()
    (folder / "deep").mkdir()
    os.rename(folder / "0001.png", folder / "deep" / "moved.png")
    paint(folder, 1, start=40)
    planned = collection.sync(folder, dry_run=True)
    assert (planned.added, planned.unchanged, planned.moved, planned.removed) == (1, 5, 1, 1)
    assert held(collection) == before
    pixels.stream = lambda photos, *rest, stream=pixels.stream, **named: stream(counted(photos), *rest, **named)
    encoded = []

    def counted(photos):
        for photo in photos:
            encoded.append(photo)
            yield photo

    done = collection.sync(folder)
    assert (done.added, done.unchanged, done.moved, done.removed, len(encoded)) == (1, 5, 1, 1, 1)
    after = held(collection)
    assert after["deep/moved.png"] == before["0001.png"]
    assert set(after) == {"deep/moved.png", "0002.png", "0003.png", "0004.png", "0005.png", "0040.png", "0030.png"}
    assert collection.vectors_of([after["deep/moved.png"][0]])[0].tolist() == vectors[before["0001.png"][0]]
    assert collection.verify() == []
    again = collection.sync(folder)
    assert (again.added, again.moved, again.removed, again.unchanged) == (0, 0, 0, 6)


def test_copies_of_one_photo_are_moved_once_each(followed):
    collection, folder = followed
    shutil.copy(folder / "0000.png", folder / "a.png")
    collection.sync(folder)
    ids = {row.id for row in collection.photos()}
    os.rename(folder / "a.png", folder / "b.png")
    os.rename(folder / "0000.png", folder / "c.png")
    done = collection.sync(folder)
    assert (done.moved, done.added, done.removed) == (2, 0, 0) and {row.id for row in collection.photos()} == ids


@pytest.mark.parametrize("empty", [True, False], ids=["empty", "gone"])
def test_a_disk_that_is_not_mounted_removes_nothing(followed, empty):
    collection, folder = followed
    shutil.rmtree(folder)
    if empty:
        folder.mkdir()
        with pytest.raises(CollectionError, match="all photos that were indexed from here are gone.*--force"):
            collection.sync(folder)
        with pytest.raises(CollectionError, match="photos: all photos"):  # another source that is there does not help
            collection.sync(folder.parent / "other", folder)
        assert len(collection) == 7
        assert collection.sync(folder, force=True).removed == 6 and len(collection) == 1
    else:
        with pytest.raises(Exception, match="no such file or folder"):
            collection.sync(folder)
        assert len(collection) == 7


def test_a_photo_that_cannot_be_read_now_is_not_gone(followed):
    collection, folder = followed
    (folder / "0003.png").write_bytes(b"broken")
    done = collection.sync(folder)
    assert done.removed == 0 and len(done.rejected) == 1 and len(collection) == 7
