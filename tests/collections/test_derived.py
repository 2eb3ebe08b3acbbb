"""Derived data is bound to its key and checked block by block; what differs is made again."""

import numpy as np
import pytest

from reseen.collections import Collection, derived
from reseen.collections.derived import BLOCK, Derived, StaleBlock
from reseen.collections.files import Disk


@pytest.fixture
def kept(tmp_path):
    """An array of three and a half blocks under a key."""
    values = np.arange(7 * BLOCK // 8, dtype=np.float32).reshape(-1, 8)
    of = Derived(Disk(tmp_path), "vectors", {"table": "a", "count": len(values)})
    assert of.put(vectors=values)
    return Disk(tmp_path), values


def file_of(files):
    (path,) = (files.root / "derived").glob("*.bin")
    return path


def again(files, values, **changes):
    return Derived(files, "vectors", {"table": "a", "count": len(values), **changes})


def test_another_key_reads_nothing(kept):
    files, values = kept
    assert (again(files, values).array("vectors").whole() == values).all()
    assert again(files, values, table="b").array("vectors") is None


def test_an_index_is_what_was_written_and_under_its_own_name(kept):
    files, values = kept
    (path,) = (files.root / "derived").glob("*.json")
    text = path.read_text()
    assert '"<f4"' in text
    path.write_text(text.replace('"<f4"', '"<i4"'))
    assert again(files, values).array("vectors") is None
    other = Derived(files, "vectors", {"table": "b", "count": len(values)})
    assert other.put(vectors=values + 1)
    (its,) = set((files.root / "derived").glob("*.json")) - {path}
    its.rename(path)
    assert again(files, values).array("vectors") is None


@pytest.mark.parametrize("block", [0, 1, 3])
def test_a_block_is_checked_when_it_is_first_touched(kept, block):
    files, values = kept
    data = bytearray(file_of(files).read_bytes())
    data[block * BLOCK + 5] ^= 1
    file_of(files).write_bytes(data)
    array = again(files, values).array("vectors")
    rows = BLOCK // 32
    for number in range(3):
        if number != block:
            assert (array[number * rows : (number + 1) * rows] == values[number * rows : (number + 1) * rows]).all()
    with pytest.raises(StaleBlock):
        array[block * rows]
    assert len(again(files, values).problems()) == 1


def test_rows_are_appended_and_readers_are_not_disturbed(kept):
    files, values = kept
    before = again(files, values)
    reader = before.array("vectors")
    longer = before.extended({"table": "b", "count": 1}, vectors=values[:5000] + 1)
    assert (longer.array("vectors").whole() == np.concatenate([values, values[:5000] + 1])).all()
    assert (reader.whole() == values).all() and again(files, values).problems() == []
    assert before.extended({"table": "c", "count": 1}, vectors=values[:1]) is None  # no longer the end of the file
    data = bytearray(file_of(files).read_bytes())
    data[-3] ^= 1
    file_of(files).write_bytes(data)
    assert longer.extended({"table": "d", "count": 1}, vectors=values[:1]) is None  # damage is not taken along


@pytest.mark.parametrize("how", ["NaN", "swapped rows", "cut short", "removed"])
def test_damaged_vectors_are_found_and_made_again(indexed, how):
    expected = indexed.vectors()[1].copy()
    (path,) = (indexed.folder / "derived").glob("vectors-vectors-*.bin")
    rows = np.fromfile(path, np.float32).reshape(-1, 48)
    if how == "removed":
        path.unlink()
    else:
        changed = {"NaN": rows * np.nan, "swapped rows": rows[::-1], "cut short": rows[:-1]}[how]
        path.write_bytes(np.ascontiguousarray(changed).tobytes())
    assert any("made again" in problem for problem in Collection.open(indexed.folder).verify())
    assert (Collection.open(indexed.folder).vectors()[1] == expected).all()
    indexed.compact(grace_s=0)
    derived.drop_unused(indexed._snapshot.files, {indexed.manifest.table_manifest}, older_than_s=0)
    assert Collection.open(indexed.folder).verify() == []


def test_labels_and_paths_leave_the_vectors_where_they_are(indexed, tmp_path):
    expected = dict(zip(*indexed.vectors(), strict=True))
    written = sorted((p.name, p.stat().st_mtime_ns) for p in (indexed.folder / "derived").glob("*.bin"))
    indexed.set_labels(dict.fromkeys([*expected][:5], "x"))
    first = sorted((tmp_path / "photos").iterdir())[0]
    first.rename(first.with_name("moved.png"))
    assert indexed.sync(tmp_path / "photos").moved == 1
    opened = Collection.open(indexed.folder)
    vectors = dict(zip(*opened.vectors(), strict=True))
    assert {photo: vector.tobytes() for photo, vector in vectors.items()} == {
        photo: vector.tobytes() for photo, vector in expected.items()
    }
    assert sorted((p.name, p.stat().st_mtime_ns) for p in (indexed.folder / "derived").glob("*.bin")) == written
    assert opened.verify() == []
