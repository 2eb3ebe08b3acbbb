"""Local features are bound to their photo: another's, or damaged ones, are an error and never an answer."""

import dataclasses

import numpy as np
import pytest

from reseen.collections import Collection
from reseen.collections.files import Disk
from reseen.collections.table import Row, Table, as_arrow, features_are_sealed, sealed, with_seal, without_seal
from reseen.errors import CollectionDamaged
from reseen.local_features import LocalFeatures

VECTOR = np.ones(3, np.float32)


@pytest.fixture
def kept(tmp_path, pixels, paint):
    """Five photos with local features."""
    collection = Collection.create(tmp_path / "c", pixels, local="sift")
    collection.add(*paint(tmp_path / "photos", 5))
    return collection


def features_of(collection):
    return collection.features([row.id for row in collection.photos()])


def test_they_come_back_as_they_were_extracted(kept):
    found = features_of(kept)
    assert len(found) == 5 and all(len(LocalFeatures.from_bytes(data)) > 5 for data in found.values())
    assert all(features_are_sealed(row) for row in kept.photos())


def test_a_flipped_bit_is_named_and_no_other_photo_suffers(kept):
    photo, data = next(iter(features_of(kept).items()))
    (path,) = (kept.folder / "photos-1.lance" / "data").glob("*")
    whole = bytearray(path.read_bytes())
    start = whole.find(data[100:140])
    assert start > 0
    whole[start] ^= 4
    path.write_bytes(whole)
    opened = Collection.open(kept.folder)
    row = next(row for row in opened.photos() if row.id == photo)
    with pytest.raises(CollectionDamaged, match=f"{row.name}: its local features are not the ones that were stored"):
        opened.features([photo])
    assert len(opened.features([row.id for row in opened.photos() if row.id != photo])) == 4
    assert [row.name in problem for problem in opened.verify()] == [True]


@pytest.mark.parametrize("change", ["label", "adapt", "compact", "remove", "move"])
def test_they_stay_bound_when_their_photo_changes(kept, pixels, change, tmp_path):
    before = features_of(kept)
    if change == "label":
        kept.set_labels(dict.fromkeys(before, "x"))
    elif change == "adapt":
        kept.replace_descriptor(pixels, *map(np.array, kept.vectors()))
    elif change == "remove":
        kept.remove(min(before))
    elif change == "move":
        for path in sorted((tmp_path / "photos").iterdir())[:2]:
            path.rename(path.with_name(f"moved-{path.name}"))
        assert kept.sync(tmp_path / "photos").moved == 2
    kept.compact(grace_s=0)
    opened = Collection.open(kept.folder)
    after = features_of(opened)
    assert after == {photo: data for photo, data in before.items() if photo in after} and len(after) >= 4
    assert all(features_are_sealed(row) for row in opened.photos()) and opened.verify() == []


def test_what_is_bound():
    row = sealed(Row(id=7, name="a", sha256=""), VECTOR, features=True)
    stored = with_seal(7, b"features")
    assert without_seal(row, stored) == b"features"
    for wrong in (None, b"", b"features", stored[:-1], with_seal(8, b"features"), stored.replace(b"f", b"g")):
        with pytest.raises(CollectionDamaged, match="a: its local features"):
            without_seal(row, wrong)
    empty = sealed(Row(id=7, name="a", sha256=""), VECTOR)
    assert without_seal(empty, None) is None and not features_are_sealed(empty)


def test_those_of_earlier_collections_go_on_working(tmp_path, kept):
    """Their rows say nothing of local features, which have no seal."""
    rows = [dataclasses.replace(row, check=abs(row.check)) for row in kept.photos()]
    found = features_of(kept)
    ids, vectors = kept.vectors()
    by_id = dict(zip(ids.tolist(), vectors, strict=True))
    contents = as_arrow(rows, np.stack([by_id[row.id] for row in rows]), [found[row.id] for row in rows], 48)
    table = Table.create(Disk(tmp_path), "photos-9.lance", contents)
    stored = table.features([row.id for row in rows])
    assert {row.id: without_seal(row, stored[row.id]) for row in rows} == found
    labelled = [sealed(dataclasses.replace(row, label="x"), features=features_are_sealed(row)) for row in rows]
    assert {row.id: without_seal(row, stored[row.id]) for row in labelled} == found
