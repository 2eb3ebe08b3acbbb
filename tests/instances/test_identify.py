"""Which object is this, or none."""

import json

import numpy as np
import pytest

from reseen.errors import PhotoRejected
from reseen.instances import Calibration, Gallery, Identifier, identify
from reseen.instances.calibrate import Point

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
    assert first.score == pytest.approx(1, abs=1e-4) and first.confidence == pytest.approx(1 / (1 + np.exp(-5)), 1e-3)
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
    assert [set(hit) for hit in value["hits"]] == [{"rank", "instance", "score", "confidence", "photos", "box"}] * 2


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
