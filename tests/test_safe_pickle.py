"""Pickles are read as data: what they would run is refused."""

from __future__ import annotations

import collections
import os
import pickle
import subprocess

import numpy as np
import pytest

from reseen.errors import UntrustedFile
from reseen.safe_pickle import read_pickle


class Runs:
    def __init__(self, function, *arguments):
        self.what = (function, arguments)

    def __reduce__(self):
        return self.what


PLAIN = {
    "imlist": ["a", "b"],
    "gnd": [{"bbx": [1.0, np.float64(2)], "easy": np.array([1, 2, 3]), "junk": [], "flags": {1, 2}}],
    "names": np.array(["ab", "c"]),
    "matrix": np.asfortranarray([[1.5, 2.0], [3.0, 4.0]]),
    "big-endian": np.arange(4, dtype=">i4").reshape(2, 2),
    "bytes": b"\x00\xff",
    "ordered": collections.OrderedDict(a=1),
    "none": None,
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_containers_and_arrays_come_back(tmp_path, protocol):
    file = tmp_path / "gnd.pkl"
    file.write_bytes(pickle.dumps(PLAIN, protocol=protocol))
    np.testing.assert_equal(read_pickle(file), PLAIN)


def test_a_pickle_of_python_2_is_read(tmp_path):
    file = tmp_path / "gnd.pkl"
    file.write_bytes(b"\x80\x02}q\x01U\x06imlistq\x02]q\x03U\x03a\xe9bq\x04as.")
    assert read_pickle(file) == {"imlist": ["a\xe9b"]}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_code_is_refused_and_does_not_run(tmp_path, protocol):
    trace = tmp_path / "ran"
    for harm in (
        Runs(os.system, f"touch {trace}"),
        Runs(subprocess.Popen, ["touch", str(trace)]),
        Runs(eval, f"open({str(trace)!r}, 'w')"),
        Runs(open, str(trace), "w"),
        Runs(np.load, str(trace)),
        Runs(getattr, [], "append"),
    ):
        file = tmp_path / "gnd.pkl"
        file.write_bytes(pickle.dumps({"imlist": ["a"], "gnd": [harm]}, protocol=protocol))
        with pytest.raises(UntrustedFile, match="not plain data"):
            read_pickle(file)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Runs(os.system, f"touch {trace}")))
    assert trace.exists()  # the same pickle does run where it is trusted


def test_arrays_of_objects_and_of_other_classes_are_refused(tmp_path):
    file = tmp_path / "gnd.pkl"
    for value in (np.array([{}, []], dtype=object), np.zeros(2, [("a", "f4")]), np.ma.array([1])):
        file.write_bytes(pickle.dumps(value, protocol=2))
        with pytest.raises(UntrustedFile):
            read_pickle(file)


@pytest.mark.parametrize("data", [b"", b"<html>not found</html>", pickle.dumps([1, 2])[:-3]])
def test_what_is_no_pickle_is_said_in_one_line(tmp_path, data):
    file = tmp_path / "gnd.pkl"
    file.write_bytes(data)
    with pytest.raises(UntrustedFile, match=r"gnd\.pkl: not a readable pickle") as error:
        read_pickle(file)
    assert "\n" not in str(error.value)
