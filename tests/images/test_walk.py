"""Finding photos in folders."""

import os

import pytest

from reseen.errors import ReseenError
from reseen.images import ordered_map, walk


def names(found):
    return [os.fsdecode(item.relative) for item in found if not item.ignored]


def test_folders_are_walked_in_order_without_loops(tmp_path):
    for name in ("b/2.JPG", "b/1.png", "a/x.jpeg", "notes.txt", "z.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "b" / "loop").symlink_to(tmp_path)
    found = list(walk([tmp_path]))
    assert names(found) == ["a/x.jpeg", "b/1.png", "b/2.JPG", "z.webp"]
    assert [item.relative for item in found if item.ignored] == [b"notes.txt"]
    assert {item.source for item in found} == {os.fsencode(tmp_path)}


def test_a_folder_has_its_own_name_and_a_linked_one_from_elsewhere_the_first_link_s(tmp_path):
    for name in ("walked/real/1.png", "elsewhere/2.png"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "walked" / "alias").symlink_to(tmp_path / "walked" / "real")
    for link in ("more", "other"):
        (tmp_path / "walked" / link).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "walked")
    assert names(walk([tmp_path / "walked"])) == ["more/2.png", "real/1.png"]


def test_named_files_count_whatever_their_suffix_and_only_once(tmp_path):
    path = tmp_path / "photo.dat"
    path.write_bytes(b"x")
    assert names(walk([path, path])) == ["photo.dat"]


def test_names_that_are_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/caf\xe9 'q'\n.jpg"
    with open(path, "wb") as file:
        file.write(b"x")
    (item,) = walk([tmp_path])
    assert item.path == path
    assert item.name.endswith(r"caf\xe9 'q'\n.jpg")


def test_a_missing_path_is_named(tmp_path):
    with pytest.raises(ReseenError, match="gone: no such file"):
        list(walk([tmp_path / "gone"]))


def test_ordered_map_keeps_the_order_and_looks_ahead_only_so_far():
    started = []

    def slow(i):
        started.append(i)
        return i * i

    stream = ordered_map(slow, range(1000), workers=4, lookahead=10)
    assert [next(stream) for _ in range(5)] == [0, 1, 4, 9, 16]
    assert max(started) <= 5 + 10 + 1
    stream.close()
    assert max(started) <= 5 + 10 + 1


def test_ordered_map_raises_what_the_function_raises():
    with pytest.raises(ZeroDivisionError):
        list(ordered_map(lambda i: 1 // i, [1, 0, 2], workers=2))
