"""What is promised about crashes: acknowledged photos are there, nothing is torn, the same call finishes the job."""

import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import lance
import pytest

from reseen.collections import Collection
from reseen.collections import files as layer
from reseen.errors import CollectionDamaged, CollectionError

SCRIPT = """
import sys
import reseen.collections.collection as module
sys.path.insert(0, sys.argv[3])
from pixels import Pixels
module.BATCH = 4
collection = module.Collection.open(sys.argv[1], Pixels())
def acknowledged(done, total):
    print(collection.version, len(collection), flush=True)
collection.add(sys.argv[2], progress=acknowledged)
"""


HERE = Path(__file__).parent


@pytest.fixture
def pixels():
    """A descriptor without a network."""
    return runpy.run_path(str(HERE / "pixels.py"))["Pixels"]()


@pytest.fixture
def ready(tmp_path, pixels, paint):
    """An empty collection and a folder of photos to index."""
    paint(tmp_path / "photos", 60)
    Collection.create(tmp_path / "c", pixels)
    return tmp_path / "c", tmp_path / "photos"


def test_kill_nine_at_twenty_moments_loses_nothing(ready, pixels):
    folder, photos = ready
    chance = random.Random(4)
    killed_while_writing = 0
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(folder), str(photos), str(HERE)], stdout=subprocess.PIPE, text=True
        )
        acknowledged = 0
        wanted = chance.randint(1, 6)
        for line in process.stdout:
            acknowledged = int(line.split()[1])
            wanted -= 1
            if wanted <= 0:
                break
        time.sleep(chance.random() * 0.02)
        process.send_signal(signal.SIGKILL)
        killed_while_writing += process.wait() == -signal.SIGKILL
        collection = Collection.open(folder)
        assert collection.damage == ()
        assert len(collection) >= acknowledged
        assert collection.verify() == []
        if len(collection) == 60:
            collection.remove(photos)
    assert killed_while_writing >= 15
    report = Collection.open(folder, pixels).add(photos)
    final = Collection.open(folder)
    assert report.added + report.unchanged == 60
    assert len({row.path for row in final.photos()}) == len(final) == 60
    assert final.verify() == []


@pytest.fixture
def indexed(ready, pixels):
    """A collection with two versions of photos."""
    folder, photos = ready
    collection = Collection.open(folder, pixels)
    collection.add(*sorted(photos.iterdir())[:10])
    collection.add(*sorted(photos.iterdir())[:20])
    return collection


def test_a_torn_head_falls_back_to_the_last_good_version(indexed):
    head = indexed.folder / f"head-{indexed.version:010d}.json"
    head.write_bytes(head.read_bytes()[:50])
    collection = Collection.open(indexed.folder)
    assert len(collection) == 10
    assert len(collection.damage) == 1 and "is torn" in collection.damage[0]
    head.write_bytes(b"")
    assert len(Collection.open(indexed.folder)) == 10


def test_a_changed_head_is_not_believed(indexed):
    head = indexed.folder / f"head-{indexed.version:010d}.json"
    data = json.loads(head.read_text())
    data["head"]["count"] += 1
    head.write_text(json.dumps(data))
    assert "checksum" in Collection.open(indexed.folder).damage[0]


def test_an_empty_manifest_of_the_table_falls_back(indexed, pixels):
    number = 2**64 - 1 - indexed.manifest.table_version
    manifest = indexed.folder / indexed.manifest.table / "_versions" / f"{number}.manifest"
    manifest.write_bytes(b"")
    collection = Collection.open(indexed.folder, pixels)
    assert len(collection) == 10 and collection.damage
    assert collection.add(*[os.fsdecode(row.path) for row in indexed.photos()]).added == 10
    assert len(Collection.open(indexed.folder)) == 20
    assert all("set aside" in problem for problem in Collection.open(indexed.folder).verify())


def test_damage_is_named(indexed):
    data = sorted((indexed.folder / indexed.manifest.table / "data").iterdir(), key=lambda p: p.stat().st_mtime)[-1]
    content = bytearray(data.read_bytes())
    content[100:140] = bytes(40)
    data.write_bytes(content)
    problems = Collection.open(indexed.folder).verify()
    assert problems and any("not the one that was stored" in p or "reading" in p for p in problems)
    (indexed.folder / indexed.manifest.descriptor / "settings.json").write_text("{ }")
    assert any("settings.json: is missing or was changed" in p for p in Collection.open(indexed.folder).verify())


def test_a_half_deleted_folder_says_what_is_missing(indexed):
    shutil.rmtree(indexed.folder / "descriptors")
    with pytest.raises(CollectionDamaged, match=r"no good version is left.*is missing"):
        Collection.open(indexed.folder)
    shutil.rmtree(indexed.folder / indexed.manifest.table)
    with pytest.raises(CollectionDamaged, match="no good version"):
        Collection.open(indexed.folder)


def test_a_stale_or_torn_derived_file_is_not_trusted(indexed):
    path = sorted(indexed.folder.glob("photos-1.lance"))[0]
    assert path.is_dir()
    expected = Collection.open(indexed.folder).vectors()[1].copy()
    for derived in indexed.folder.glob("derived/*.npy"):
        derived.write_bytes(derived.read_bytes()[:-50])
    assert (Collection.open(indexed.folder).vectors()[1] == expected).all()


def test_a_full_disk_keeps_what_was_acknowledged(tmp_path, pixels, paint):
    place = tmp_path / "small"
    place.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True, text=True, check=False
    )
    if mount.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mount.stderr.strip()}")
    try:
        photos = paint(tmp_path / "photos", 40)
        collection = Collection.create(place / "c", pixels)
        collection.add(*photos[:20])
        with (place / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space"):
            while filler.write(bytes(4096)):
                pass
        with pytest.raises(CollectionError, match="acknowledged is safe"):
            collection.add(*photos)
        after = Collection.open(place / "c")
        assert len(after) == 20 and after.verify() == []
        (place / "filler").unlink()
        assert Collection.open(place / "c", pixels).add(*photos).added == 20
        assert Collection.open(place / "c").verify() == []
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_read_only_folder_can_be_read_and_not_written(indexed, tmp_path):
    code = (
        "import mmap, os, lance\n"
        "from reseen.collections import Collection\n"
        f"len(Collection.open({str(indexed.folder)!r}).vectors()[0])\n"
        "os.setuid(65534)  # what follows imports nothing: the interpreter itself may be out of reach\n"
        f"c = Collection.open({str(indexed.folder)!r})\n"
        "print(len(c), len(c.vectors()[0]))\n"
        "c.remove(c.photos()[0].id)\n"
    )
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    for folder, _, files in os.walk(indexed.folder):
        os.chmod(folder, 0o755)
        for name in files:
            os.chmod(os.path.join(folder, name), 0o644)
    place = tmp_path
    while "pytest" in str(place):
        place.chmod(place.stat().st_mode | 0o055)
        place = place.parent
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.stdout.split() == ["20", "20"], run.stderr
    assert "cannot be written" in run.stderr, run.stderr


def test_a_folder_that_got_a_folder_is_synced(tmp_path, monkeypatch):
    synced = []
    real = layer.sync_folder
    monkeypatch.setattr(layer, "sync_folder", lambda folder: (synced.append(folder), real(folder)))
    known = set()
    (tmp_path / "file").write_text("x")
    layer.sync_tree(tmp_path, known)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "file").write_text("x")
    synced.clear()
    layer.sync_tree(tmp_path, known)
    assert sorted(synced) == [tmp_path, tmp_path / "inner"]
    layer.sync_tree(tmp_path, known)
    assert len(synced) == 2


def test_a_file_of_rows_that_is_not_whole_is_not_acknowledged(indexed, ready, monkeypatch):
    real = lance.write_dataset

    def cut(*given, **named):
        told = real(*given, **named)
        newest = max(indexed.folder.glob("photos-1.lance/data/*"), key=lambda path: path.stat().st_mtime_ns)
        os.truncate(newest, newest.stat().st_size - 1)
        return told

    monkeypatch.setattr(lance, "write_dataset", cut)
    version = indexed.version
    with pytest.raises(CollectionError, match="bytes, not"):
        indexed.add(ready[1])
    monkeypatch.undo()
    again = Collection.open(indexed.folder)
    assert again.version == version and len(again) == 20 and again.damage == () and again.verify() == []


def test_a_changed_vector_is_an_error(indexed):
    vector = indexed.vectors()[1][0].tobytes()
    (path,) = (p for p in indexed.folder.glob("photos-1.lance/data/*") if vector in p.read_bytes())
    path.write_bytes(path.read_bytes().replace(vector, vector[:-1] + bytes([vector[-1] ^ 1])))
    assert any("its vector is not the one that was stored" in said for said in Collection.open(indexed.folder).verify())
    shutil.rmtree(indexed.folder / "derived")
    with pytest.raises(CollectionDamaged, match="its vector is not the one that was stored"):
        Collection.open(indexed.folder).vectors()


def test_a_list_of_deleted_rows_that_is_not_whole_is_not_acknowledged(indexed, monkeypatch):
    real = lance.LanceDataset.delete

    def cut(data, *given):
        told = real(data, *given)
        for path in indexed.folder.glob("photos-1.lance/_deletions/*"):
            os.truncate(path, 0)  # the table's library does not see an error of the last write
        return told

    monkeypatch.setattr(lance.LanceDataset, "delete", cut)
    version = indexed.version
    for change in (
        lambda: indexed.remove(indexed.photos()[0].id),
        lambda: indexed.set_labels({indexed.photos()[0].id: "x"}),
    ):
        with pytest.raises(CollectionError, match="not written whole; nothing was changed"):
            change()
    monkeypatch.undo()
    again = Collection.open(indexed.folder)
    assert again.version == version and len(again) == 20 and again.verify() == []
