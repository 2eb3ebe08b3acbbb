"""Every file of a collection damaged in every way: a right answer or a clear error, never a wrong answer."""

import os
import random
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from harness import EVERY

from reseen.collections import Collection
from reseen.collections.manifest import manifest_name
from reseen.errors import ReseenError

PIXELS = runpy.run_path(str(Path(__file__).parent / "pixels.py"))["Pixels"]


def truncated(path, chance):
    os.truncate(path, chance.randrange(path.stat().st_size or 1))


def emptied(path, chance):
    os.truncate(path, 0)


def zeroed(path, chance):
    path.write_bytes(bytes(path.stat().st_size))


def bit_flipped(path, chance):
    data = bytearray(path.read_bytes())
    if data:
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    path.write_bytes(data)


def replaced_by_a_folder(path, chance):
    path.unlink()
    path.mkdir()


def removed(path, chance):
    path.unlink()


def swapped(path, chance):
    """With another file of its kind, mostly an older one."""
    others = [p for p in path.parent.iterdir() if p.is_file() and p != path and p.suffix == path.suffix]
    if not others:
        return removed(path, chance)
    other = chance.choice(others)
    mine, its = path.read_bytes(), other.read_bytes()
    path.write_bytes(its)
    return other.write_bytes(mine)


def grown(path, chance):
    with path.open("ab") as file:
        file.write(b"\0" * 100)


WAYS = [truncated, emptied, zeroed, bit_flipped, replaced_by_a_folder, removed, swapped, grown]


@pytest.fixture
def sound(tmp_path, paint):
    """A collection of three versions with labels, local features, a blob and derived data; what each version holds."""
    paths = paint(tmp_path / "photos", 9)
    collection = Collection.create(tmp_path / "sound", PIXELS(), local="sift")
    versions = {}
    for some in (paths[:4], paths[4:7], paths[7:]):
        collection.add(*some, labels={path: path.stem for path in some})
        collection.vectors()
        collection.put_blob("threshold", b"%d" % len(collection))
    for version in collection.versions():
        opened = Collection.open(tmp_path / "sound", version=version)
        versions[version] = told(opened)
    return tmp_path / "sound", versions


def told(collection):
    """All answers of a collection: photos, labels, local features, the blob, vectors, and what a search finds."""
    ids, vectors = collection.vectors()
    features = collection.features(ids.tolist())
    rows = {row.id: (row.path, row.label, row.sha256, features[row.id]) for row in collection.photos()}
    kept = {photo: (rows[photo], vector.tobytes()) for photo, vector in zip(ids.tolist(), vectors, strict=True)}
    found = []
    if len(ids):
        query = np.sort(vectors, axis=0)[0]
        found = sorted((round(hit.score, 5), hit.id, hit.label) for hit in collection.search_vector(query, len(ids)))
    return kept, collection.get_blob("threshold"), found


def check(sound, place, name, way, chance):
    """Damage one file of a copy; whether it was noticed."""
    folder, versions = sound
    shutil.copytree(folder, place)
    way(place / name, chance)
    which = f"{name} {way.__name__}"
    noticed = False
    try:
        opened = Collection.open(place)
        noticed |= bool(opened.damage)
        assert told(opened) == versions[opened.version], which
        newest = name == manifest_name(max(versions)) and way in (removed, swapped)  # nothing says that it was there
        assert opened.version == max(versions) or opened.damage or newest, which
    except ReseenError:
        noticed = True
    try:
        noticed |= bool(Collection.open(place).verify())
    except ReseenError:
        noticed = True
    try:
        writer = Collection.open(place, PIXELS())
        there = {row.path for row in writer.photos()}
        writer.remove(*[row.id for row in writer.photos()][:1])
        after = Collection.open(place)
        kept = versions[max(v for v in versions if len(versions[v][0]) == len(there))][0]
        for photo, held in told(after)[0].items():
            assert held == kept[photo], which
        assert len(after) == max(0, len(there) - 1), which
    except ReseenError:
        noticed = True
    shutil.rmtree(place)
    return noticed


def every_file(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_damage_to_some_files(sound, tmp_path):
    chance = random.Random(int(os.environ.get("RESEEN_SEED", "1")))
    noticed = 0
    for _ in range(16):
        name, way = chance.choice(every_file(sound[0])), chance.choice(WAYS)
        noticed += check(sound, tmp_path / "damaged", name, way, chance)
    assert noticed >= 4


def test_a_bit_of_a_row_or_a_vector(sound, tmp_path):
    chance = random.Random(int(os.environ.get("RESEEN_SEED", "1")))
    names = [name for name in every_file(sound[0]) if "/data/" in name]
    assert sum(check(sound, tmp_path / "damaged", chance.choice(names), bit_flipped, chance) for _ in range(12)) >= 4


@pytest.mark.long
@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_damage_to_every_file(sound, tmp_path, way, record_property):
    chance = random.Random(0)
    names, times = every_file(sound[0]), max(1, 3 // EVERY)
    noticed = sum(check(sound, tmp_path / "damaged", name, way, chance) for name in names for _ in range(times))
    record_property("counts", f"{way.__name__}: {len(names)} files, each {times} times, {noticed} times noticed")
