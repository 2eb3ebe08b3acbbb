"""The table of photos: one dataclass says what its columns are."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from reseen.collections.files import Disk
from reseen.collections.table import Row, Table, as_arrow, schema


def test_the_columns_are_those_of_every_collection_that_was_made():
    assert [(f.name, str(f.type), f.nullable) for f in schema(3)] == [
        ("id", "int64", False),
        ("path", "large_binary", True),
        ("source", "large_binary", True),
        ("relative", "large_binary", True),
        ("name", "string", True),
        ("sha256", "string", True),
        ("bytes", "int64", True),
        ("mtime_ns", "int64", True),
        ("width", "int32", True),
        ("height", "int32", True),
        ("label", "string", True),
        ("check", "int64", True),
        ("features", "large_binary", True),
        ("vector", str(pa.list_(pa.float32(), 3)), True),
    ]


def test_rows_come_back_as_they_were_kept(tmp_path):
    rows = [
        Row(id=7, path=b"/a\xff", source=b"/", relative=b"a\xff", name="/a\\xff", sha256="s", bytes=1, mtime_ns=2,
            width=3, height=4, label="cup", check=5),
        Row(id=8, name="upload", sha256="t"),
    ]  # fmt: skip
    table = Table.create(Disk(tmp_path), "photos-1.lance", as_arrow(rows, np.ones((2, 3), np.float32), [None, b"x"], 3))
    assert table.rows() == rows
    assert dataclasses.replace(rows[1], path=b"") == rows[1]


def test_rows_are_built_by_keyword():
    with pytest.raises(TypeError):
        Row(7, b"/a")
