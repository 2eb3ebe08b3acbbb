"""Words and vectors together make a collection's shortlist."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from reseen.collections import Collection
from reseen.collections.first_stage import fused, open_inverted
from reseen.errors import CollectionError
from reseen.local_features import LocalFeatures
from reseen.scenes import paint
from reseen.search.local import RootSift
from reseen.search.vocabulary import Vocabulary, default_vocabulary


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(8):
        Image.fromarray(paint(i, longest=320).pixels).save(folder / f"{i}.png")
    return folder


@pytest.fixture
def shelf(tmp_path, pictures, make):
    collection = Collection.create(tmp_path / "shelf", make(), local="sift")
    collection.add(pictures)
    return collection


def named(collection, name):
    return next(row.id for row in collection.photos() if row.name.endswith(name))


def test_reciprocal_ranks():
    assert fused([[1, 2, 3], [3, 4]], 4) == [3, 1, 2, 4]
    assert fused([[1, 2, 3, 4], [9, 8, -1, -1]], 4) == [1, 9, 2, 8]
    assert fused([[1], []], 3) == [1]


def test_a_part_of_a_picture_finds_the_whole_by_its_words(shelf, pictures):
    pixels = np.asarray(Image.open(pictures / "3.png"))
    height, width = pixels.shape[:2]
    part = np.ascontiguousarray(pixels[: height // 2, : width // 2])
    assert shelf.search(part, k=1, first="local")[0].id == named(shelf, "3.png")
    assert shelf.search(part, k=1, first="both")[0].id == named(shelf, "3.png")


def test_words_bring_what_the_vectors_miss(shelf, pictures, monkeypatch):
    picture = pictures / "5.png"
    wanted = named(shelf, "5.png")
    monkeypatch.setattr(type(shelf.encoder), "encode", lambda self, photos, *a, **k: -shelf.vectors_of([wanted]))
    monkeypatch.setattr("reseen.search.rerank.geometry.GeometryStage.depth", 4, raising=False)
    assert shelf.search(picture, first="global", rerank="geometry:4")[0].id != wanted
    assert shelf.search(picture, first="both", rerank="geometry:4")[0].id == wanted


def test_only_where(shelf, pictures):
    left = {named(shelf, "1.png"), named(shelf, "2.png")}
    for first in ("both", "local", "global"):
        assert {hit.id for hit in shelf.search(pictures / "3.png", first=first, where=left)} <= left


def test_it_is_kept_and_follows_the_collection(shelf, pictures, monkeypatch):
    again = Collection.open(shelf.folder)
    calls = []
    monkeypatch.setattr("reseen.collections.first_stage._features", lambda *a: calls.append(a) or iter(()))
    index = open_inverted(again._snapshot)
    assert len(index) == 8 and not calls
    monkeypatch.undo()
    shelf.remove(pictures / "3.png")
    Image.fromarray(paint(20, longest=320).pixels).save(pictures / "1.png")
    Image.fromarray(paint(21, longest=320).pixels).save(pictures / "new.png")
    shelf.add(pictures / "1.png", pictures / "new.png")
    assert shelf.search(paint(20, longest=320).pixels, first="local", k=1)[0].id == named(shelf, "1.png")
    assert shelf.search(paint(21, longest=320).pixels, first="local", k=1)[0].id == named(shelf, "new.png")
    found = shelf.search(paint(3, longest=320).pixels, first="local")
    assert all("3.png" not in hit.path for hit in found)


@pytest.mark.parametrize("array", ["starts", "ids", "checks", "photos", "signatures", "frames"])
def test_damaged_lists_are_made_again(shelf, pictures, array):
    (file,) = (shelf.folder / "derived").glob(f"words-{array}-*.bin")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(data)
    assert any(file.name in problem for problem in Collection.open(shelf.folder).verify())
    for _ in range(2):
        opened = Collection.open(shelf.folder)
        assert opened.search(pictures / "3.png", first="local", k=1)[0].id == named(shelf, "3.png")
    assert opened.verify() == []


def test_without_local_features_the_vectors_find_alone(tmp_path, pictures, make):
    plain = Collection.create(tmp_path / "plain", make(), local="none")
    plain.add(pictures)
    assert plain.search(pictures / "3.png", k=1)[0].path.endswith("3.png")
    assert open_inverted(plain._snapshot) is None


def test_a_vocabulary_of_its_own(shelf, pictures):
    kept = [LocalFeatures.from_bytes(data) for data in shelf.features([row.id for row in shelf.photos()]).values()]
    own = Vocabulary.learn(kept, 64, kind=shelf.manifest.local)
    before = open_inverted(shelf._snapshot)
    shelf.use_vocabulary(own)
    version = shelf.version
    shelf.use_vocabulary(own)
    assert shelf.version == version
    again = Collection.open(shelf.folder)
    assert open_inverted(again._snapshot).vocabulary.digest == own.digest != before.vocabulary.digest
    assert again.search(pictures / "3.png", first="local", k=1)[0].id == named(again, "3.png")
    for kind in ("sift-320-600-0.01-3-40", "disk", "sif"):
        with pytest.raises(CollectionError, match=f"{kind} features"):
            shelf.use_vocabulary(replace(own, kind=kind))


def test_a_vocabulary_knows_what_it_is_of(tmp_path):
    assert default_vocabulary().fits("sift-640-600-0.01-3-40") and not default_vocabulary().fits("none")
    replace(default_vocabulary(), kind="sift-320").save(tmp_path / "words")
    assert Vocabulary.read(tmp_path / "words").kind == "sift-320"


@pytest.mark.parametrize("count", [0, 1, 20_000])
def test_photos_with_hardly_any_features_and_with_very_many(shelf, pictures, count):
    rng = np.random.default_rng(count)
    found = RootSift().extract(paint(3, longest=320).pixels)
    rows = rng.integers(0, len(found), count)
    index = open_inverted(shelf._snapshot)
    index.add(np.array([7]), [found.only(rows)])
    assert len(index) == 9
    ids, scores = index.search([found.only(rows)], 3)
    assert np.isfinite(scores[ids >= 0]).all()
    if count == 0:
        assert (ids == -1).all()
    assert named(shelf, "3.png") in index.search([found], 2)[0]


def test_a_texture_repeated_everywhere_does_not_hide_the_picture(shelf, pictures):
    brick = np.kron(np.indices((12, 16)).sum(0) % 2, np.ones((20, 20)))[..., None].repeat(3, 2)
    noise = np.random.default_rng(0).normal(0, 8, brick.shape)
    wall = np.clip(60 + 120 * brick + noise, 0, 255).astype(np.uint8)
    shelf.add_photos([(f"wall {i}", np.roll(wall, 7 * i, 1)) for i in range(5)])
    half = wall.copy()
    picture = np.asarray(Image.open(pictures / "3.png").convert("RGB").resize((160, 240)))
    half[:, :160] = picture
    found = {hit.path.rpartition("/")[2]: hit for hit in shelf.search(half, first="local", k=6)}
    assert found["3.png"].verified
