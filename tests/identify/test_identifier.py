"""Which object is this, or none."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from reseen import schema
from reseen.collections import Collection
from reseen.collections.gallery import Gallery
from reseen.errors import PhotoRejected
from reseen.identify import Calibration, Identifier, identifier, identify
from reseen.identify.calibration import Point
from reseen.search.geometry.probability import default_calibration
from reseen.search.rerank import RerankError, geometry

SURE = Calibration("f", 1, 1, -5.0, 10.0, 0.0, 0.5, 1, 1, (Point(0.5, 0.0, 0.0),))


@pytest.fixture
def collection(museum):
    return museum(5, 2)


def test_a_reference_photo_is_its_instance(collection):
    identifier = Identifier(collection, calibration=SURE)
    row = next(row for row in collection.photos() if row.label == "work 3")
    answer = identifier.identify(row.name)
    first = answer.hits[0]
    assert not answer.no_match and answer.query == row.name and answer.box is None
    assert (first.rank, first.instance, first.photos[0]) == (1, "work 3", row.name)
    assert first.score > 1 and first.confidence > 1 / (1 + np.exp(-5))
    plain = Identifier(collection, calibration=SURE, rerank="none").identify(row.name).hits[0]
    assert plain.score == pytest.approx(1, abs=1e-4) and plain.confidence == pytest.approx(1 / (1 + np.exp(-5)), 1e-3)
    assert all(name.endswith(".png") and "work 3" in name for name in first.photos) and len(first.photos) == 2
    scores = [hit.score for hit in answer.hits]
    assert scores == sorted(scores, reverse=True) and [h.rank for h in answer.hits] == [1, 2, 3, 4, 5]


def test_below_the_threshold_there_is_no_match(collection):
    vector = collection.vectors()[1][0]
    assert Identifier(collection, calibration=SURE, threshold=0.995).identify_vector(vector).no_match
    assert not Identifier(collection, calibration=SURE, threshold=0.9).identify_vector(vector).no_match
    far = -vector
    answer = Identifier(collection, calibration=SURE).identify_vector(far)
    assert answer.no_match and len(answer.hits) == 5 and answer.hits[0].confidence < 0.5


def test_without_a_calibration_every_photo_gets_an_answer(collection):
    answer = Identifier(collection).identify_vector(-collection.vectors()[1][0])
    assert not answer.no_match and answer.hits[0].confidence is None


def test_json(collection):
    row = collection.photos()[0]
    answer = Identifier(collection, calibration=SURE).identify(row.name, (0, 0, 80, 60), k=2)
    value = json.loads(json.dumps(answer.to_json()))
    assert set(value) == {"query", "box", "no_match", "hits"} and value["box"] == [0, 0, 80, 60]
    assert [set(hit) for hit in value["hits"]] == [set(schema.InstanceHit.__annotations__)] * 2


@pytest.mark.parametrize("references", ["photos", "average", "ranked"])
def test_references(collection, references):
    identifier = Identifier(collection, references=references, calibration=SURE)
    gallery = Gallery.of(collection)
    for row, vector in zip(gallery.rows, gallery.vectors, strict=True):
        hit = identifier.identify_vector(vector).hits[0]
        assert hit.instance == row.label and hit.photos[0] == row.name


def test_several_photos_and_a_bad_one(collection, tmp_path):
    bad = tmp_path / "page.jpg"
    bad.write_text("<html>")
    good = collection.photos()[0].name
    first, second = identify(collection, [str(bad), good])
    assert isinstance(first, PhotoRejected) and second.hits[0].photos[0] == good


@pytest.fixture
def shelf(tmp_path, make):
    """Four labelled paintings with local features, and one of them seen small before a bright wall."""
    (tmp_path / "p").mkdir()
    rng = np.random.default_rng(0)
    for name in "abcd":
        rough = Image.fromarray(rng.integers(0, 256, (45, 60, 3), np.uint8))
        rough.resize((480, 360), Image.Resampling.BICUBIC).save(tmp_path / "p" / f"{name}.png")
    collection = Collection.create(tmp_path / "c", make(), local="sift")
    labels = {str(tmp_path / "p" / f"{name}.png"): name for name in "abcd"}
    collection.add(tmp_path / "p", labels=labels)
    wall = Image.new("RGB", (640, 480), "gold")
    wall.paste(Image.open(tmp_path / "p" / "c.png").resize((300, 225)), (40, 200))
    wall.save(tmp_path / "visit.png")
    return collection, tmp_path / "visit.png"


@pytest.mark.parametrize("references", ["photos", "average", "ranked"])
def test_geometry_decides_where_there_are_local_features(shelf, references):
    collection, visit = shelf
    doubtful = dataclasses.replace(SURE, bias=-12.0)
    before = Identifier(collection, references=references, calibration=doubtful, rerank="none").identify(visit)
    after = Identifier(collection, references=references, calibration=doubtful).identify(visit)
    assert before.no_match
    assert not after.no_match
    assert after.hits[0].instance == "c" and after.hits[0].confidence > 0.9
    old = {hit.instance: hit for hit in before.hits}
    assert all(hit.confidence == pytest.approx(old[hit.instance].confidence, abs=0.05) for hit in after.hits[1:])
    assert after.hits[0].score > old["c"].score + 0.2


def test_what_is_not_there_stays_no_match_with_geometry(shelf, tmp_path):
    collection, _ = shelf
    rng = np.random.default_rng(9)
    other = Image.fromarray(rng.integers(0, 256, (45, 60, 3), np.uint8)).resize((480, 360), Image.Resampling.BICUBIC)
    other.save(tmp_path / "other.png")
    assert (
        Identifier(collection, calibration=dataclasses.replace(SURE, bias=-12.0))
        .identify(tmp_path / "other.png")
        .no_match
    )


def test_reranking_without_local_features(tmp_path, make, paint):
    paint(tmp_path / "photos", 3)
    collection = Collection.create(tmp_path / "plain", make(), local="none")
    collection.add(tmp_path / "photos")
    with pytest.raises(RerankError, match="--local sift"):
        Identifier(collection, rerank="geometry")
    assert Identifier(collection).depth == 0


def test_geometry_that_finds_nothing_lowers_the_confidence(shelf, tmp_path):
    collection, _ = shelf
    rng = np.random.default_rng(9)
    other = Image.fromarray(rng.integers(0, 256, (45, 60, 3), np.uint8)).resize((480, 360), Image.Resampling.BICUBIC)
    other.save(tmp_path / "other.png")
    before = Identifier(collection, calibration=SURE, rerank="none").identify(tmp_path / "other.png")
    after = Identifier(collection, calibration=SURE).identify(tmp_path / "other.png")
    assert after.hits[0].confidence < before.hits[0].confidence
    assert after.hits[0].why == "similar look, not verified" and not after.hits[0].to_json()["verified"]


def test_a_search_and_an_identification_say_the_same_probability(shelf, monkeypatch):
    collection, visit = shelf
    shipped = default_calibration()
    known = dataclasses.replace(shipped, same=shipped.geometry, descriptor=collection.fingerprint)
    for module in (identifier, geometry):
        monkeypatch.setattr(module, "default_calibration", lambda: known)
    first = collection.search(visit)[0]
    answer = Identifier(collection).identify(visit)
    assert answer.hits[0].instance == first.label == "c"
    assert answer.hits[0].confidence == pytest.approx(first.probability) and answer.hits[0].match == first.match
    assert not answer.no_match and answer.hits[0].to_json()["inliers"] == first.inliers > 20
    assert all(hit.confidence < 0.5 for hit in answer.hits[1:])
    assert Identifier(collection, threshold=0.9999999).identify(visit).no_match
