"""Adding, updating, removing, labelling, searching; what is refused."""

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from reseen.collections import Collection, read_labels, writing
from reseen.collections.collection import _matching
from reseen.collections.table import Table
from reseen.errors import CollectionError, CollectionLocked, FingerprintMismatch


@pytest.fixture
def museum(tmp_path, make, paint):
    """A collection of twenty photos."""
    paint(tmp_path / "photos", 20)
    collection = Collection.create(tmp_path / "museum.reseen", make())
    collection.add(tmp_path / "photos")
    return collection


def names(collection):
    return [os.path.basename(row.name) for row in collection.photos()]


def test_every_photo_finds_itself(museum, tmp_path):
    for path in sorted((tmp_path / "photos").iterdir()):
        ranking = museum.search(path, k=3)
        assert ranking[0].path == str(path)
        assert ranking[0].similarity == pytest.approx(1, abs=1e-5)
        assert len(ranking) == 3
    assert len(museum.search(path, k=500)) == 20


def test_only_new_and_changed_photos_are_read_again(museum, tmp_path, paint):
    photos = tmp_path / "photos"
    paint(photos, 3, start=20)
    Image.new("RGB", (50, 50), "red").save(photos / "0004.png")
    (photos / "0005.png").write_bytes(b"")
    (photos / "notes.txt").write_text("not a photo")
    before = {row.name: row.id for row in museum.photos()}
    report = museum.add(photos)
    assert (report.added, report.updated, report.unchanged, report.ignored) == (3, 1, 18, 1)
    assert [(os.path.basename(item.path), item.reason) for item in report.rejected] == [
        ("0005.png", "the file is empty")
    ]
    after = {row.name: row.id for row in museum.photos()}
    assert len(after) == 23 and before.items() <= after.items()
    assert museum.search(photos / "0004.png", k=1)[0].path.endswith("0004.png")
    assert museum.verify() == []


def test_a_touched_photo_is_not_encoded_again(museum, tmp_path):
    os.utime(tmp_path / "photos" / "0003.png", (1, 1))
    report = museum.add(tmp_path / "photos")
    assert (report.updated, report.unchanged) == (0, 20)


def test_a_file_named_twice_or_through_another_folder_is_one_photo(museum, tmp_path):
    report = museum.add(tmp_path / "photos" / "0001.png", tmp_path)
    assert (report.added, report.unchanged) == (0, 20)


def test_removing(museum, tmp_path):
    assert museum.remove(tmp_path / "photos" / "0002.png") == 1
    first = museum.photos()[0]
    assert museum.remove(first.id) == 1
    assert "0002.png" not in names(museum) and len(museum) == 18
    assert all(hit.id != first.id for hit in museum.search(tmp_path / "photos" / "0000.png", k=18))
    with pytest.raises(CollectionError, match=r"gone\.png: no such photo"):
        museum.remove(museum.photos()[0].id, "gone.png")
    assert len(museum) == 18
    museum.add(tmp_path / "photos")
    assert {row.id for row in museum.photos()} >= {first.id}
    assert museum.remove(tmp_path / "photos") == 20


def test_labels(museum, tmp_path):
    table = tmp_path / "labels.csv"
    table.write_text("path,label\nphotos/0001.png,sunflowers\nphotos/0002.png,irises\n")
    labels = read_labels(table)
    museum.add(tmp_path / "photos", labels=labels)
    assert sorted(museum.labels().values()) == ["irises", "sunflowers"]
    assert museum.search(tmp_path / "photos" / "0002.png", k=1)[0].label == "irises"
    vectors = museum.vectors()[1].copy()
    museum.add(tmp_path, label_from_folder=True)
    assert set(museum.labels().values()) == {"photos"}
    museum.set_labels(dict.fromkeys(museum.labels()))
    museum.add(tmp_path / "photos", label_from_folder=True)  # loose files say nothing about what they show
    assert museum.labels() == {}
    museum.add(tmp_path, label_from_folder=True)
    assert sorted(map(tuple, museum.vectors()[1].tolist())) == sorted(map(tuple, vectors.tolist()))
    museum.set_labels(dict.fromkeys(museum.labels()))
    assert museum.labels() == {}
    with pytest.raises(CollectionError, match="no such photo"):
        museum.set_labels({12: "x"})
    table.write_text("file,name\n")
    with pytest.raises(CollectionError, match="columns path and label"):
        read_labels(table)


def test_uploads_without_a_path(museum):
    red = Image.new("RGB", (60, 60), "red")
    report = museum.add_photos([("red", red), ("bad", b"<html>")])
    assert (report.added, len(report.rejected)) == (1, 1)
    assert museum.add_photos([("red", red)]).unchanged == 1
    assert museum.add_photos([("red", Image.new("RGB", (60, 60), "blue"))]).updated == 1
    assert museum.search(Image.new("RGB", (60, 60), "blue"), k=1)[0].path == "red"


def test_names_that_are_no_text(museum, tmp_path):
    odd = os.fsencode(tmp_path) + b"/odd/caf\xe9 'q' \"d\"\n.png"
    os.mkdir(os.path.dirname(odd))
    with open(odd, "wb") as file:
        Image.new("RGB", (60, 60), "green").save(file, "PNG")
    assert museum.add(tmp_path / "odd").added == 1
    assert museum.add(tmp_path / "odd").unchanged == 1
    hit = museum.search(os.fsdecode(odd), k=1)[0]
    assert hit.path.endswith(r"caf\xe9 'q' " + '"d"' + r"\n.png")
    assert museum.remove(os.fsdecode(odd)) == 1


def test_ids_are_the_same_in_another_collection_and_fit_63_bits(museum, tmp_path, make):
    other = Collection.create(tmp_path / "other.reseen", make())
    other.add(tmp_path / "photos")
    ids = [row.id for row in museum.photos()]
    assert [row.id for row in other.photos()] == ids
    assert all(0 <= i < 2**63 for i in ids) and len(set(ids)) == 20


def test_an_id_is_never_given_to_another_photo(museum, monkeypatch):
    import reseen.collections.writing as module

    taken = museum.photos()[0].id
    real = module.hashlib.blake2b
    calls = []

    class Colliding:
        def __init__(self, data, digest_size):
            calls.append(data)
            self.value = (taken << 1).to_bytes(8) if len(calls) == 1 else real(data, digest_size=8).digest()

        def digest(self):
            return self.value

    monkeypatch.setattr(module.hashlib, "blake2b", Colliding)
    assert module._new_id(b"s", b"r", {taken}) != taken
    assert len(calls) == 2


def test_vectors_of_another_descriptor_are_refused(museum, make):
    other = make(images={"longest": 64})
    with pytest.raises(FingerprintMismatch, match="its vectors were made by 'tiny'"):
        Collection.open(museum.folder, other)
    assert Collection.open(museum.folder, make()).fingerprint == museum.fingerprint


def test_opening_needs_no_torch(museum):
    code = (
        "import sys, numpy as np, reseen\n"
        f"c = reseen.Collection.open({str(museum.folder)!r})\n"
        "ids, vectors = c.vectors()\n"
        "assert c.search_vector(vectors[3], 1)[0].id == ids[3]\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_reader_keeps_its_version_while_a_writer_goes_on(museum, tmp_path, paint):
    reader = Collection.open(museum.folder)
    paint(tmp_path / "photos", 5, start=50)
    museum.add(tmp_path / "photos")
    museum.remove(tmp_path / "photos" / "0001.png")
    museum.compact()
    assert len(reader) == 20 and len(reader.vectors()[0]) == 20
    assert "0001.png" in names(reader)
    assert len(Collection.open(museum.folder)) == 24
    assert len(Collection.open(museum.folder, version=reader.version)) == 20


def test_a_second_writer_gets_a_clear_error(museum, tmp_path):
    with museum._writing():
        code = f"import reseen; c = reseen.Collection.open({str(museum.folder)!r}); c.wait_s = 0; c.remove(1)"
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "CollectionLocked" in run.stderr and f"process {os.getpid()} on " in run.stderr
    with museum._writing(), pytest.raises(CollectionLocked):
        Collection.open(museum.folder).remove(museum.photos()[0].id)


def test_a_writer_behind_catches_up(museum, tmp_path, paint):
    behind = Collection.open(museum.folder)
    paint(tmp_path / "more", 2, start=70)
    museum.add(tmp_path / "more")
    assert behind.remove(tmp_path / "photos" / "0000.png") == 1
    assert len(behind) == 21


def test_blobs_travel_with_the_version(museum):
    before = Collection.open(museum.folder)
    museum.put_blob("threshold", b"0.5")
    museum.put_blob("threshold", b"0.7")
    assert museum.get_blob("threshold") == b"0.7"
    assert before.get_blob("threshold") is None
    assert Collection.open(museum.folder, version=museum.version - 1).get_blob("threshold") == b"0.5"


def test_the_descriptor_is_replaced_in_one_version(museum, tmp_path, make):
    other = make(head={"kind": "gem"})
    before = Collection.open(museum.folder)
    rows = museum.photos()
    vectors = other.encode([os.fsdecode(row.path) for row in rows])
    museum.replace_descriptor(other, np.array([row.id for row in rows]), vectors)
    assert museum.fingerprint == other.fingerprint and museum.verify() == []
    fresh = Collection.open(museum.folder)
    assert fresh.search(tmp_path / "photos" / "0007.png", k=1)[0].path.endswith("0007.png")
    assert before.search(tmp_path / "photos" / "0007.png", k=1)[0].path.endswith("0007.png")
    with pytest.raises(CollectionError, match="each photo"):
        museum.replace_descriptor(other, np.array([1]), vectors[:1])


def test_compaction_keeps_every_photo_and_gives_room_back(museum, tmp_path, paint):
    for i in range(4):
        paint(tmp_path / "photos", 1, start=100 + i)
        museum.add(tmp_path / "photos")
    assert museum.compact(grace_s=0) > 0
    assert museum.versions() == [museum.version]
    assert len(Collection.open(museum.folder)) == 24 and museum.verify() == []
    assert museum.search(tmp_path / "photos" / "0101.png", k=1)[0].path.endswith("0101.png")


def test_local_features_are_kept_and_go_with_the_photo(tmp_path, make, paint):
    paint(tmp_path / "photos", 3, size=(320, 240))
    collection = Collection.create(tmp_path / "c", make(), local="sift")
    collection.add(tmp_path / "photos")
    ids = [row.id for row in collection.photos()]
    assert set(collection.features(ids)) == set(ids)
    collection.remove(ids[0])
    assert set(collection.features(ids)) == set(ids[1:])
    with pytest.raises(CollectionError, match="surf"):
        Collection.create(tmp_path / "d", make(), local="surf")
    assert not (tmp_path / "d").exists()


def test_where_a_collection_cannot_be(tmp_path, make, museum):
    with pytest.raises(CollectionError, match="exists already"):
        Collection.create(museum.folder, make())
    with pytest.raises(CollectionError, match="no such collection"):
        Collection.open(tmp_path / "gone")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CollectionError, match="not a collection"):
        Collection.open(tmp_path / "folder")


def test_removing_many_by_name_looks_at_each_photo_once():
    looked = 0

    class Counted(SimpleNamespace):
        @property
        def path(self):
            nonlocal looked
            looked += 1
            return b"/a/b/%d.png" % self.id

    snapshot = SimpleNamespace(rows={i: Counted(id=i, name="") for i in range(2000)}, folder="c")
    assert len(_matching(snapshot, [f"/a/b/{i}.png" for i in range(1000)])) == 1000
    assert looked <= 2 * 2000
    assert len(_matching(snapshot, ["/a"])) == 2000 and len(_matching(snapshot, ["/a/b/7.png", 9])) == 2
    with pytest.raises(CollectionError, match=r"/a/b/9999\.png: no such photo"):
        _matching(snapshot, ["/a/b/1.png", "/a/b/9999.png"])


def test_photos_are_acknowledged_when_the_time_is_up(tmp_path, pixels, paint, monkeypatch):
    paths = paint(tmp_path / "photos", 6)
    collection = Collection.create(tmp_path / "c", pixels)
    collection.add(*paths[:3])
    assert collection.version == 2  # as one
    monkeypatch.setattr(writing, "INTERVAL_S", 0.0)
    collection.add(*paths[3:])
    assert collection.version == 5


def test_added_vectors_are_appended_to_the_derived_ones(tmp_path, pixels, paint, monkeypatch):
    paths = paint(tmp_path / "photos", 9)
    collection = Collection.create(tmp_path / "c", pixels)
    collection.add(*paths[:5])
    collection.vectors()
    old = Collection.open(tmp_path / "c", pixels)
    monkeypatch.setattr(writing, "BATCH", 2)
    monkeypatch.setattr(writing, "FILES", 3)  # so that the table is compacted too
    collection.add(*paths[5:])
    with monkeypatch.context() as patched:
        patched.setattr(Table, "vectors", lambda self: pytest.fail("the vectors are read from the table"))
        ids, vectors = Collection.open(tmp_path / "c").vectors()
        assert len(old.vectors()[0]) == 5
    stored = dict(zip(*Collection.open(tmp_path / "c")._snapshot.table.vectors(), strict=True))
    assert len(ids) == 9 and all((stored[i] == v).all() for i, v in zip(ids.tolist(), vectors, strict=True))
    collection.compact(grace_s=0)
    with monkeypatch.context() as patched:
        patched.setattr(Table, "vectors", lambda self: pytest.fail("the vectors are read from the table"))
        again = Collection.open(tmp_path / "c").vectors()
    assert (again[0] == ids).all() and (again[1] == vectors).all()
    assert collection.verify() == []
