"""What counts as damage, what only passes, and what becomes of what is damaged."""

import errno
import json
import os
import subprocess
import sys
import time

import pytest

from reseen.collections import Collection, files
from reseen.collections.files import Disk, sha256
from reseen.collections.manifest import manifest_name, read_manifest
from reseen.errors import CollectionDamaged, CollectionError, CollectionUnreadable

PASSING = [errno.EMFILE, errno.EIO, errno.ENOMEM, errno.ESTALE]


def newest_files(collection):
    """The newest manifest, and the table's manifest of it."""
    held = collection.manifest
    return [manifest_name(held.version), f"{held.table}/_versions/{2**64 - 1 - held.table_version}.manifest"]


@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("code", PASSING)
def test_a_passing_error_changes_nothing(indexed, pixels, failing, code, which):
    name = newest_files(indexed)[which]
    rows = indexed.photos()
    before = sorted(str(p) for p in indexed.folder.rglob("*"))
    failing(lambda call, given: call == "open" and str(given[0]).endswith(name), code)
    for attempt in (lambda: Collection.open(indexed.folder), lambda: indexed.remove(rows[0].id)):
        with pytest.raises(CollectionUnreadable, match="nothing was changed, try again"):
            attempt()
    files.system.times = 0
    assert sorted(str(p) for p in indexed.folder.rglob("*")) == before
    opened = Collection.open(indexed.folder, pixels)
    assert len(opened) == 20 and not opened.damage


@pytest.mark.parametrize("which", [0, 1])
def test_an_error_that_passes_at_once_is_not_seen(indexed, failing, which):
    name = newest_files(indexed)[which]
    failing(lambda call, given: call == "open" and str(given[0]).endswith(name), errno.EMFILE, times=2)
    assert len(Collection.open(indexed.folder)) == 20


def test_a_folder_that_cannot_be_listed_is_no_collection_without_photos(indexed, failing):
    failing(lambda call, given: call == "listdir")
    with pytest.raises(CollectionUnreadable):
        Collection.open(indexed.folder)


@pytest.mark.parametrize("which", [0, 1])
def test_what_is_damaged_is_kept_aside_and_listed(indexed, pixels, which):
    path = indexed.folder / newest_files(indexed)[which]
    path.write_bytes(path.read_bytes()[:-9])
    torn = path.read_bytes()
    whole = Collection.open(indexed.folder, pixels)
    assert len(whole) == 10 and whole.damage
    whole.remove(whole.photos()[0].id)
    aside = [p for p in (indexed.folder / "damaged").iterdir() if p.read_bytes() == torn]
    assert len(aside) == 1
    problems = Collection.open(indexed.folder).verify()
    assert any(f"damaged/{aside[0].name}" in problem for problem in problems)


def rewrite(collection, **changes):
    """Change a manifest as a stranger would, with its checksum made right."""
    path = collection.folder / manifest_name(collection.version)
    head = json.loads(path.read_text())["head"] | changes
    body = json.dumps(head, sort_keys=True)
    path.write_text(json.dumps({"sha256": sha256(body.encode()), "head": head}))


@pytest.mark.parametrize(
    "changes",
    [
        {"table": "/etc"},
        {"table": "../other/photos-1.lance"},
        {"table": "photos-1.lance/../../other/photos-1.lance"},
        {"descriptor": "descriptors/../../x"},
        {"descriptor_files": {"../x": "0" * 64}},
        {"blobs": {"x": "blobs/../../x-0123456789abcdef"}},
        {"blobs": {"x": 3}},
        {"count": "20"},
        {"count": -1},
        {"count": True},
        {"dim": 0},
        {"dim": 10**9},
        {"table_version": 1.5},
        {"fingerprint": "../../x"},
        {"fingerprint": None},
        {"local": 7},
        {"version": 1},
        {"version": 10**30},
        {"table_manifest": "x"},
    ],
    ids=str,
)
def test_a_strangers_manifest_is_refused(indexed, changes):
    version = indexed.version
    rewrite(indexed, **changes)
    with pytest.raises(CollectionDamaged, match=manifest_name(version)):
        read_manifest(Disk(indexed.folder), version)
    assert len(Collection.open(indexed.folder)) == 10


def test_a_manifest_of_a_later_reseen_is_not_taken_for_damage(indexed):
    rewrite(indexed, novelty=1)
    with pytest.raises(CollectionError, match="later reseen"):
        Collection.open(indexed.folder)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"head":' * 50_000, "{}", "[]", "3", '{"head": [], "sha256": ""}', '"x"', "NaN", "\0"]
)
def test_any_text_in_a_manifest_is_damage(indexed, text):
    (indexed.folder / manifest_name(indexed.version)).write_text(text)
    opened = Collection.open(indexed.folder)
    assert len(opened) == 10 and opened.damage


@pytest.mark.parametrize("which", ["head", "table", "table manifest", "data", "descriptor", "derived"])
def test_links_out_of_the_collection_are_refused(indexed, tmp_path, which):
    held = indexed.manifest
    place = {
        "head": indexed.folder / manifest_name(held.version),
        "table": indexed.folder / held.table,
        "table manifest": indexed.folder / newest_files(indexed)[1],
        "data": sorted((indexed.folder / held.table / "data").iterdir())[0],
        "descriptor": indexed.folder / held.descriptor / "settings.json",
        "derived": indexed.folder / "derived",
    }[which]
    indexed.vectors()
    outside = tmp_path / "outside"
    os.rename(place, outside)
    os.symlink(outside, place)
    before = sorted((str(p), p.stat().st_mtime_ns) for p in outside.rglob("*"))
    try:
        opened = Collection.open(indexed.folder)
        found = opened.damage
        assert len(opened.vectors()[0]) == len(opened)
    except CollectionDamaged as error:
        found = [str(error)]
    assert which == "derived" or any("is a link" in text or "is no file" in text for text in found)
    assert sorted((str(p), p.stat().st_mtime_ns) for p in outside.rglob("*")) == before


def test_nothing_is_written_through_links(indexed, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = indexed.folder / "derived"
    folder.mkdir(exist_ok=True)
    for number in range(os.getpid() - 2, os.getpid() + 3):
        os.symlink(victim, folder / f"{number}.tmp")
        os.symlink(victim, indexed.folder / f".{manifest_name(indexed.version + 1)}.{number}.tmp")
    for name in ("lock-holder.json", manifest_name(indexed.version + 1)):
        os.symlink(victim, indexed.folder / name)
    indexed.vectors()
    indexed.remove(indexed.photos()[0].id)
    assert victim.read_text() == "precious"
    os.unlink(indexed.folder / "lock")
    os.symlink(victim, indexed.folder / "lock")
    with pytest.raises(CollectionError):
        indexed.remove(indexed.photos()[0].id)
    assert victim.read_text() == "precious"


def test_temporary_files_are_new_files_with_names_nobody_knows(tmp_path):
    with files.writing(tmp_path / "a") as put:
        put(b"x")
    with pytest.raises(FileExistsError), files.writing(tmp_path / "a"):
        pass
    os.symlink(tmp_path / "b", tmp_path / "link")
    with pytest.raises(FileExistsError), files.writing(tmp_path / "link"):
        pass
    assert len({files.temporary_name() for _ in range(100)}) == 100


def test_old_temporary_files_are_cleaned_up(indexed):
    for folder in (indexed.folder, indexed.folder / "derived", indexed.folder / "descriptors"):
        folder.mkdir(exist_ok=True)
        (folder / files.temporary_name()).write_text("new")
        old = folder / files.temporary_name()
        old.write_text("old")
        os.utime(old, (time.time() - 2 * files.OLD_S,) * 2)
    indexed.remove(indexed.photos()[0].id)
    assert sorted(p.read_text() for p in indexed.folder.rglob("*.tmp")) == ["new"] * 3


@pytest.mark.parametrize(
    "stray", ["head-\xb2.json", "head-0000000099.json.bak", "head-99.json", ".DS_Store", "Thumbs.db", "head-notes.txt"]
)
def test_stray_files_do_no_harm(indexed, pixels, stray):
    for folder in (indexed.folder, indexed.folder / "derived", indexed.folder / "photos-1.lance" / "_versions"):
        folder.mkdir(exist_ok=True)
        (folder / stray).write_text("{}")
    opened = Collection.open(indexed.folder, pixels)
    assert len(opened) == 20 and not opened.damage
    opened.remove(opened.photos()[0].id)
    opened.compact(grace_s=0)
    assert len(Collection.open(indexed.folder)) == 19 and Collection.open(indexed.folder).verify() == []


def test_a_folder_where_a_manifest_should_be(indexed, pixels):
    (indexed.folder / manifest_name(indexed.version + 7)).mkdir()
    opened = Collection.open(indexed.folder, pixels)
    assert len(opened) == 20 and opened.damage
    assert opened.remove(opened.photos()[0].id) == 1
    assert Collection.open(indexed.folder).damage == ()


@pytest.mark.parametrize("name", [b"new\nline", b"caf\xe9", b"per%20cent", b"a#b?c*[d]", b"..x"])
def test_any_name_of_a_collection(tmp_path, pixels, paint, name):
    folder = os.path.join(os.fsencode(tmp_path), name)
    paths = paint(tmp_path / "photos", 3)
    Collection.create(folder, pixels).add(*paths)
    opened = Collection.open(folder, pixels)
    assert opened.remove(paths[0]) == 1 and opened.compact(grace_s=0) > 0
    assert len(Collection.open(folder).vectors()[0]) == 2 and Collection.open(folder).verify() == []
    code = f"from reseen.collections import Collection; print(len(Collection.open({folder!r})))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "2\n"
