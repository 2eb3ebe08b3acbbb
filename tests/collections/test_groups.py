"""Near copies, groups and matches: shortlisted, verified once, kept."""

import io

import numpy as np
import pytest
from PIL import Image

from reseen.collections import Collection, pairs
from reseen.collections.groups import grouped
from reseen.collections.pairs import Pair, cells_of, common_share, overlap
from reseen.errors import CollectionError
from reseen.scenes import paint

EVERYWHERE = 2**64 - 1
PRIOR = 49.0
"""Odds of the calibration's prior, turned round."""


def pair(first, second, probability=0.99, cells=(EVERYWHERE, EVERYWHERE)):
    return Pair(first, second, 0.5, 20, float(np.log(probability / (1 - probability) * PRIOR)), cells=cells)


def ids(groups):
    return [sorted(group.photos) for group in groups]


def test_a_doubtful_pair_does_not_chain_two_things_together():
    one, other = [pair(1, 2), pair(2, 3)], [pair(11, 12), pair(12, 13)]
    assert ids(grouped([*one, *other, pair(3, 11, 0.7)])) == [[1, 2, 3], [11, 12, 13]]
    assert ids(grouped([*one, *other, pair(3, 11, 0.7), pair(1, 11, 0.7)])) == [[1, 2, 3], [11, 12, 13]]
    assert ids(grouped([*one, *other, pair(3, 11, 0.7), pair(1, 12, 0.7)])) == [[1, 2, 3, 11, 12, 13]]
    assert ids(grouped([*one, *other, pair(3, 11, 0.999)])) == [[1, 2, 3, 11, 12, 13]]
    assert ids(grouped([*one, pair(3, 4, 0.7)])) == [[1, 2, 3, 4]]
    assert ids(grouped([*one, pair(3, 4, 0.49)])) == [[1, 2, 3]]


def test_two_things_in_one_photo_are_two_groups():
    left, right = 0x0F0F0F0F0F0F0F0F, 0xF0F0F0F0F0F0F0F0
    found = grouped([pair(1, 2, cells=(EVERYWHERE, left)), pair(2, 3, cells=(right, right)), pair(3, 4)])
    assert ids(found) == [[2, 3, 4], [1, 2]]
    assert found[0].photos[0] == 3


def test_cells_and_overlap():
    assert cells_of(np.array([[0, 0], [1, 1], [99, 49], [100, 50]]), (100, 50)) == 1 | 1 << 63
    assert common_share(0b111, 0b110) == 1 and common_share(0b11, 0b110) == 0.5 and common_share(0, 1) == 0
    assert overlap(((0, 0), (100, 0), (100, 50), (0, 50)), (100, 50)) == pytest.approx(1)
    assert overlap(((50, 0), (150, 0), (150, 50), (50, 50)), (100, 50)) == pytest.approx(1 / 3)
    assert overlap((), (100, 50)) == overlap(((0, 0), (100, 50), (100, 0), (0, 50)), (100, 50)) == 0


def photo(seed, size=1.0, quality=95, part=(0, 0, 1, 1)):
    picture = Image.fromarray(paint(seed, longest=360).pixels)
    w, h = picture.size
    picture = picture.crop((int(w * part[0]), int(h * part[1]), int(w * part[2]), int(h * part[3])))
    data = io.BytesIO()
    picture.resize((int(picture.width * size), int(picture.height * size))).save(data, "JPEG", quality=quality)
    return data.getvalue()


@pytest.fixture
def shelf(tmp_path, make):
    """Six pictures; of the first a detail and a compressed copy, of the second the same file again."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(6):
        (folder / f"{seed}.jpg").write_bytes(photo(seed))
    (folder / "0-small.jpg").write_bytes(photo(0, 0.8, 60, (0.02, 0, 0.98, 1)))
    (folder / "0-part.jpg").write_bytes(photo(0, 1, 95, (0, 0, 0.6, 0.6)))
    (folder / "1-again.jpg").write_bytes(photo(1))
    collection = Collection.create(tmp_path / "shelf", make(), local="sift")
    collection.add(folder)
    return collection


def names(collection, found):
    of = {row.id: row.name.rpartition("/")[2] for row in collection.photos()}
    return {frozenset((of[p.first], of[p.second])) for p in found}


def test_near_copies_and_details(shelf):
    assert names(shelf, shelf.duplicates()) == {
        frozenset({"0.jpg", "0-small.jpg"}),
        frozenset({"1.jpg", "1-again.jpg"}),
    }
    of = {row.id: row.name.rpartition("/")[2] for row in shelf.photos()}
    assert [{of[photo] for photo in group.photos} for group in shelf.groups()] == [
        {"0.jpg", "0-small.jpg", "0-part.jpg"},
        {"1.jpg", "1-again.jpg"},
    ]


def test_what_was_verified_is_kept(shelf, monkeypatch):
    seen = []
    real = pairs.verify

    def counted(query, photos):
        seen.extend(photos)
        return real(query, photos)

    monkeypatch.setattr(pairs, "verify", counted)
    first = shelf.groups()
    assert seen
    done = len(seen)
    assert Collection.open(shelf.folder).groups() == first and len(seen) == done
    shelf.add_photos([("new", photo(30))])
    steps = []
    assert shelf.groups(progress=lambda *of: steps.append(of)) == first
    assert steps == [(10, 10)] and done < len(seen) <= done + 9


def test_an_interrupted_run_goes_on(shelf, monkeypatch):
    real, seen = pairs.verify, []

    def verify(query, photos):
        if len(seen) == 5:
            raise KeyboardInterrupt
        seen.append(len(photos))
        return real(query, photos)

    monkeypatch.setattr(pairs, "verify", verify)
    with pytest.raises(KeyboardInterrupt):
        shelf.groups()
    rest = []
    monkeypatch.setattr(pairs, "verify", lambda query, photos: rest.append(len(photos)) or real(query, photos))
    found = Collection.open(shelf.folder).groups()
    for file in (shelf.folder / "derived").glob("pairs*"):
        file.unlink()
    again = sum(rest)
    assert Collection.open(shelf.folder).groups() == found
    assert again + sum(seen) == sum(rest) - again


@pytest.mark.parametrize("array", ["keys", "values", "cells"])
def test_damaged_pairs_are_verified_again(shelf, array):
    found = shelf.groups()
    (file,) = (shelf.folder / "derived").glob(f"pairs-{array}-*.bin")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)
    assert Collection.open(shelf.folder).groups() == found


def test_every_photo_of_one_collection_in_another(shelf, tmp_path, make):
    asked = Collection.create(tmp_path / "asked", make(), local="sift")
    asked.add_photos([("mine", photo(3, 0.7, 70)), ("nobody's", photo(40))])
    (found,) = [pair for pair in asked.match(shelf) if pair.probability > 0.5]
    assert {row.id: row.name for row in asked.photos()}[found.first] == "mine"
    assert {row.id: row.name for row in shelf.photos()}[found.second].endswith("/3.jpg")
    assert asked.match(shelf)[0] == found
    other = Collection.create(tmp_path / "other", make(head={"kind": "gem"}), local="none")
    other.add_photos([("mine", photo(3))])
    with pytest.raises(CollectionError, match="different recipes"):
        other.match(shelf)


def test_cells_are_those_of_their_photo_whichever_is_asked(tmp_path, make):
    whole, part = (Collection.create(tmp_path / name, make(), local="sift") for name in ("whole", "part"))
    whole.add_photos([(f"{seed}", photo(seed)) for seed in (0, 7)])
    part.add_photos([(f"{seed}", photo(seed, part=(0, 0, 0.5, 0.5))) for seed in (0, 7)])
    right_or_below = sum(1 << cell for cell in range(64) if cell % 8 > 4 or cell // 8 > 4)
    there = {pair.first: pair for pair in whole.match(part) if pair.probability > 0.5}
    back = {pair.second: pair for pair in part.match(whole) if pair.probability > 0.5}
    assert len(there) == len(back) == 2
    for row in whole.photos():
        in_whole, in_part = there[row.id].cells
        assert not in_whole & right_or_below and in_part & right_or_below
        assert back[row.id].cells == (in_part, in_whole)


def test_without_local_features(tmp_path, make):
    plain = Collection.create(tmp_path / "plain", make(), local="none")
    plain.add_photos([("a", photo(0)), ("b", photo(0)), ("c", photo(0, quality=60)), ("d", photo(1))])
    of = {row.id: row.name for row in plain.photos()}
    found = {frozenset((of[p.first], of[p.second])) for p in plain.duplicates()}
    assert frozenset("ab") in found and frozenset("ac") in found
    with pytest.raises(CollectionError, match="--local sift"):
        plain.groups()


def test_photos_without_features_are_no_obstacle(tmp_path, make):
    sky = Image.new("RGB", (200, 150), (90, 140, 220))
    shelf = Collection.create(tmp_path / "sky", make(), local="sift")
    shelf.add_photos([("sky", sky), ("picture", photo(2)), ("copy", photo(2, quality=70))])
    assert len(shelf.groups()) == 1
    empty = Collection.create(tmp_path / "empty", make(), local="sift")
    assert empty.groups() == empty.duplicates() == []
