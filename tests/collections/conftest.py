"""A collection without a network, and faults in the file layer."""

import errno
import os
import runpy
import sys
from pathlib import Path

import pytest

from reseen.collections import Collection, files

sys.path.append(str(Path(__file__).parent / "faults"))
from harness import Harness, build

PIXELS = runpy.run_path(str(Path(__file__).parent / "pixels.py"))["Pixels"]


@pytest.fixture
def pixels():
    """A descriptor without a network."""
    return PIXELS()


@pytest.fixture
def indexed(tmp_path, pixels, paint):
    """Twenty photos in two versions of ten."""
    paths = paint(tmp_path / "photos", 20)
    collection = Collection.create(tmp_path / "c", pixels)
    collection.add(*paths[:10])
    collection.add(*paths[10:])
    return collection


class Failing:
    """The system's calls; those that ``wanted(name, arguments)`` picks fail with an error number."""

    def __init__(self, wanted, code=errno.EIO, times=10**9):
        self.wanted, self.code, self.times = wanted, code, times

    def __getattr__(self, name):
        real = getattr(os, name)

        def call(*arguments, **named):
            if self.times > 0 and self.wanted(name, arguments):
                self.times -= 1
                raise OSError(self.code, os.strerror(self.code), str(arguments[0]))
            return real(*arguments, **named)

        return call


@pytest.fixture
def failing(monkeypatch):
    """``failing(wanted, code, times)`` puts faults into the file layer; pauses between attempts are left out."""
    monkeypatch.setattr(files, "PAUSES", (0, 0, 0))

    def put(wanted, code=errno.EIO, times=10**9):
        monkeypatch.setattr(files, "system", Failing(wanted, code, times))

    yield put
    monkeypatch.undo()


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library that fails, and records."""
    library = build(tmp_path_factory.mktemp("shim"))
    if library is None:
        pytest.skip("needs Linux and a C compiler")
    return library


@pytest.fixture
def harness(shim, tmp_path, paint):
    """A process that makes changes with faults in them."""
    paint(tmp_path / "photos", 8)
    paint(tmp_path / "changed", 2, start=20)
    harness = Harness(shim, tmp_path)
    yield harness
    harness.close()
