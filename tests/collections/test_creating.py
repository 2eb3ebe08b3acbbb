"""A collection that is being made: all of it or nothing, and the same command finishes."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reseen.collections import Collection, files
from reseen.errors import CollectionError

HERE = Path(__file__).parent
SCRIPT = """
import os, signal, sys
sys.path.insert(0, sys.argv[3])
from pixels import Pixels
from reseen.collections import Collection, files
left = int(sys.argv[2])
class Killing:
    def __getattr__(self, name):
        real = getattr(os, name)
        def call(*arguments, **named):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*arguments, **named)
        return call
files.system = Killing()
Collection.create(sys.argv[1], Pixels())
"""


@pytest.mark.parametrize("exists", [False, True], ids=["new", "empty folder"])
@pytest.mark.parametrize("calls", [3, 9, 14, 20, 30])
def test_a_killed_creation_is_finished_by_the_same_command(tmp_path, pixels, paint, calls, exists):
    place = tmp_path / "in" / "c"
    if exists:
        place.mkdir(parents=True)
    script = [sys.executable, "-c", SCRIPT, str(place), str(calls), str(HERE)]
    assert subprocess.run(script, check=False).returncode == -9
    collection = Collection.create(place, pixels)
    assert collection.add(*paint(tmp_path / "photos", 2)).added == 2
    assert Collection.open(place).verify() == []


def test_a_full_disk_while_creating_leaves_nothing(tmp_path, pixels, failing):
    for call in ("write", "fsync", "rename", "replace", "mkdir"):
        failing(lambda name, given, call=call: name == call, errno.ENOSPC)
        with pytest.raises(CollectionError, match="cannot be written"):
            Collection.create(tmp_path / "c", pixels)
        assert not (tmp_path / "c").exists() and os.listdir(tmp_path) == []
    files.system.times = 0
    Collection.create(tmp_path / "c", pixels)


def test_parents_of_a_new_collection_are_durable(tmp_path, pixels, monkeypatch):
    synced = []
    real = files.sync_folder
    monkeypatch.setattr(files, "sync_folder", lambda folder: (synced.append(folder), real(folder)))
    monkeypatch.setattr("reseen.collections.creating.sync_folder", files.sync_folder)
    Collection.create(tmp_path / "a" / "b" / "c", pixels)
    assert {tmp_path, tmp_path / "a", tmp_path / "a" / "b"} <= set(synced)
    synced.clear()
    (tmp_path / "d").mkdir()  # as a creation may have left it that was stopped
    Collection.create(tmp_path / "d" / "e" / "f", pixels)
    assert {tmp_path, tmp_path / "d", tmp_path / "d" / "e"} <= set(synced)


@pytest.mark.parametrize("stray", [".DS_Store", "Thumbs.db", "desktop.ini"])
def test_what_a_system_leaves_in_a_folder_is_no_collection(tmp_path, pixels, stray):
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / stray).write_text("x")
    Collection.create(tmp_path / "c", pixels)
    assert len(Collection.open(tmp_path / "c")) == 0


def test_other_peoples_folders_are_left_alone(tmp_path, pixels, indexed):
    for name in ("letters.txt", "blobs", "derived"):
        folder = tmp_path / f"with {name}"
        (folder / name).mkdir(parents=True)
        with pytest.raises(CollectionError, match="exists already"):
            Collection.create(folder, pixels)
    (tmp_path / "file").write_text("x")
    with pytest.raises(CollectionError, match="exists already"):
        Collection.create(tmp_path / "file", pixels)
    for head in indexed.folder.glob("head-*"):  # its photos may still be saved
        head.unlink()
    with pytest.raises(CollectionError, match="exists already"):
        Collection.create(indexed.folder, pixels)
