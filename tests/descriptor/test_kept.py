"""What is kept between processes is ours alone, whole, and never missed."""

import os

import pytest

from reseen.descriptor.runtime import kept

KEY, OTHER = kept.key_of({"a": 1}), kept.key_of({"a": 2})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RESEEN_CACHE", str(tmp_path / "deep" / "cache"))
    return tmp_path / "deep" / "cache" / "networks"


def test_what_is_kept_is_read_again(folder):
    assert kept.read(KEY) is None and not kept.is_kept(KEY)
    assert not folder.exists()  # looking makes nothing
    assert kept.keep(KEY, b"one\ntwo") and kept.keep(KEY, b"three\n\0")
    assert kept.is_kept(KEY) and kept.read(KEY) == b"three\n\0"
    assert not kept.is_kept(OTHER) and kept.read(OTHER) is None
    assert os.listdir(folder) == [KEY]
    assert folder.stat().st_mode & 0o777 == 0o700 and (folder / KEY).stat().st_mode & 0o777 == 0o600


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.delenv("RESEEN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kept.kept_folder() == tmp_path / "reseen" / "networks"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert kept.kept_folder() == tmp_path / ".cache" / "reseen" / "networks"


def flip(file):
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def link(file):
    file.rename(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


@pytest.mark.parametrize(
    "damage",
    [
        flip,
        link,
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"[" * 900),
        lambda file: file.write_bytes(b"\xff\n"),
        lambda file: (file.with_name(OTHER)).rename(file),
    ],
)
def test_a_damaged_or_foreign_entry_is_not_taken_and_can_be_made_again(folder, damage):
    kept.keep(OTHER, b"another network")
    kept.keep(KEY, b"network")
    damage(folder / KEY)
    assert kept.read(KEY) is None
    assert kept.keep(KEY, b"network") and kept.read(KEY) == b"network"


def test_a_folder_that_others_can_write_or_read_is_refused(folder):
    kept.keep(KEY, b"network")
    for mode in (0o770, 0o707, 0o750, 0o701):
        folder.chmod(mode)
        assert kept.read(KEY) is None and not kept.is_kept(KEY) and not kept.keep(OTHER, b"x")
    folder.chmod(0o700)
    assert os.listdir(folder) == [KEY] and kept.read(KEY) == b"network"


def test_a_folder_of_another_user_is_refused(folder, monkeypatch):
    kept.keep(KEY, b"network")
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    assert kept.read(KEY) is None and not kept.is_kept(KEY) and not kept.keep(KEY, b"x")


def test_a_link_in_the_place_of_the_folder_is_refused(folder):
    kept.keep(KEY, b"network")
    folder.rename(folder.with_name("elsewhere"))
    folder.symlink_to("elsewhere")
    assert kept.read(KEY) is None and not kept.keep(OTHER, b"x")


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path, monkeypatch, folder):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESEEN_CACHE", str(tmp_path / "file"))
    assert not kept.keep(KEY, b"x") and kept.read(KEY) is None
    monkeypatch.setenv("RESEEN_CACHE", str(folder.parent))

    def full(*_args, **_options):
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", full)
        assert not kept.keep(KEY, b"x")
    assert os.listdir(folder) == []


def test_those_used_longest_ago_make_room(folder):
    keys = [kept.key_of({"a": i}) for i in range(kept.MOST + 1)]
    for age, key in enumerate(keys[:-1]):
        kept.keep(key, b"x")
        os.utime(folder / key, (1000 + age, 1000 + age))
    (folder / ".half written").touch()
    os.utime(folder / ".half written", (10, 10))
    kept.read(keys[0])
    kept.keep(keys[-1], b"x")
    assert set(os.listdir(folder)) == set(keys) - {keys[1]}
