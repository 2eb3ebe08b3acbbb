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


def laughs(levels):
    """A list of ten times the same list, and so on: 10^levels values in a few bytes."""
    value = ["ha"] * 10
    for _ in range(levels):
        value = [value] * 10
    return value


def test_what_is_referred_to_twice_counts_twice(tmp_path):
    file = tmp_path / "gnd.pkl"
    file.write_bytes(pickle.dumps(laughs(3)))
    assert read_pickle(file) == laughs(3)
    file.write_bytes(pickle.dumps(laughs(60)))
    with pytest.raises(UntrustedFile, match="more than 50000000 values"):
        read_pickle(file)


def test_a_container_that_holds_itself_is_refused(tmp_path):
    value = []
    value.append(value)
    file = tmp_path / "gnd.pkl"
    file.write_bytes(pickle.dumps(value))
    with pytest.raises(UntrustedFile, match="holds itself"):
        read_pickle(file)


@pytest.mark.parametrize("index", [b"r\xff\xff\xff\x7f", b"p2147483647\n"], ids=["LONG_BINPUT", "PUT"])
def test_a_memo_index_takes_no_room(tmp_path, index):
    import resource

    file = tmp_path / "gnd.pkl"
    file.write_bytes(b"\x80\x02]" + index + b"K\x01a.")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_pickle(file) == [1]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB


@pytest.mark.parametrize(
    "value",
    [
        {i * (2**61 - 1): 0 for i in range(20, 40)},
        {(-1, -2): 0},
        {frozenset({1, 2})},
        [2**70],
        collections.OrderedDict({(1, 2): 3}),
    ],
    ids=["wide numbers", "tuples", "sets of sets", "a wide number", "ordered"],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_keys_that_could_collide_are_refused(tmp_path, protocol, value):
    file = tmp_path / "gnd.pkl"
    file.write_bytes(pickle.dumps(value, protocol=protocol))
    with pytest.raises(UntrustedFile, match="64 bits|for a key"):
        read_pickle(file)


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x8b\xff\xff\xff\x7f.",
        b"I" + b"9" * 100_000 + b"\n.",
        b"(" * 200_000 + b".",
        b"]" * 200_000 + b"a" * 199_999 + b".",
        b"\x80\x02" + b"K\x01K\x02s.",
        b"\x80\x02K\x01(K\x02e.",
        b"\x80\x02}(K\x01u.",
    ],
    ids=["frame", "bytes", "long", "digits", "marks", "deep", "item of a number", "extend a number", "odd items"],
)
def test_lengths_and_depths_that_lie_are_refused(tmp_path, data):
    file = tmp_path / "gnd.pkl"
    file.write_bytes(data)
    with pytest.raises(UntrustedFile, match=r"gnd\.pkl"):
        read_pickle(file)
