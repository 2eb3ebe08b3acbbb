"""Readers of older versions, and what compact leaves them."""

import os
import time

import pytest

from reseen.collections import Collection
from reseen.collections.manifest import manifest_name
from reseen.errors import CollectionError


def backdate(collection, seconds):
    """Make everything look written that long ago."""
    for path in collection.folder.rglob("*"):
        os.utime(path, (time.time() - seconds,) * 2)


def test_the_grace_counts_from_when_a_version_was_superseded(indexed, pixels):
    backdate(indexed, 10_000)
    reader = Collection.open(indexed.folder, pixels)
    indexed.remove(indexed.photos()[0].id)
    indexed.compact(grace_s=3600)
    assert len(reader.photos()) == 20 and len(reader.vectors()[0]) == 20
    assert len(Collection.open(indexed.folder, version=reader.version).photos()) == 20
    assert manifest_name(reader.version - 1) not in os.listdir(indexed.folder)
    backdate(indexed, 10_000)
    indexed.compact(grace_s=3600)
    assert indexed.versions() == [indexed.version]


def test_a_reader_whose_version_was_compacted_away_is_told_so(indexed, pixels):
    readers = [Collection.open(indexed.folder, pixels) for _ in range(4)]
    warm = Collection.open(indexed.folder, pixels)
    ids, vectors = warm.vectors()
    known = {row.id for row in warm.photos()}
    indexed.remove(*[row.id for row in indexed.photos()[:5]])
    indexed.compact(grace_s=0)
    asked = (Collection.photos, Collection.vectors, Collection.labels, lambda c: c.features([1, 2]))
    for reader, ask in zip(readers, asked, strict=True):
        with pytest.raises(CollectionError, match=f"version {reader.version} is no longer kept.*open the collection"):
            ask(reader)
    assert {row.id for row in warm.photos()} == known  # what was read stays right
    assert warm.search_vector(vectors[3], 1)[0].id == ids[3]


def test_a_version_that_is_gone_is_named(indexed):
    version = indexed.version
    indexed.remove(indexed.photos()[0].id)
    indexed.compact(grace_s=0)
    with pytest.raises(CollectionError, match=f"version {version} is no longer kept"):
        Collection.open(indexed.folder, version=version)


def test_what_is_compact_can_be_compacted_again(indexed):
    for _ in range(2):
        indexed.compact(grace_s=0)
        assert indexed.compact(grace_s=3600) <= 0
    assert len(Collection.open(indexed.folder)) == 20 and indexed.verify() == []
