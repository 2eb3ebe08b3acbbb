"""A query is decoded at most once, and asked at most once for each thing."""

import numpy as np
import pytest
from PIL import Image

from reseen.encoder import Encoded, Encoder
from reseen.errors import PhotoRejected
from reseen.search import Query
from reseen.search.local import RootSift


class Counting(Encoder):
    """Vectors are mean colours; what was asked is remembered."""

    name, fingerprint, dim, side = "counting", "c", 3, 100

    def __init__(self):
        self.asked = []

    def stream(self, photos, boxes=None, **how):
        for i, photo in enumerate(photos):
            self.asked.append((photo, *(boxes or ())))
            yield Encoded(i, photo.pixels.reshape(-1, 3).mean(0).astype(np.float32))

    def photo_maps(self, photo, box=None, *, crop=None):
        self.asked.append((photo, box, crop))
        return (np.zeros((2, 3, 4), np.float32),)


@pytest.fixture
def decoded(monkeypatch):
    """Longest sides that photos were decoded for."""
    import reseen.search.query as module

    sides, load = [], module.load_photo
    monkeypatch.setattr(
        module, "load_photo", lambda source, at_least: (sides.append(at_least), load(source, at_least=at_least))[1]
    )
    return sides


@pytest.fixture
def photo(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (900, 1200, 3), np.uint8)).save(tmp_path / "a.jpg")
    return tmp_path / "a.jpg"


def test_everything_is_made_once_from_one_decoding(photo, decoded):
    query, encoder = Query(photo), Counting()
    query.looked_at(640)
    for _ in range(2):
        vector, (maps,), features = query.vector(encoder), query.maps(encoder), query.features(RootSift(limit=50))
    assert decoded == [640]
    assert [len(encoder.asked), vector.shape, maps.shape, len(features)] == [2, (3,), (2, 3, 4), 50]
    assert features.size == (1200, 900)
    assert encoder.asked[0][0] is encoder.asked[1][0] is query.photo()
    assert query.name == query.path == str(photo)


def test_a_box_needs_all_pixels_and_reaches_the_encoder(photo, decoded):
    query, encoder = Query(photo, (10, 20, 300, 400), crop="tight"), Counting()
    query.vector(encoder)
    query.maps(encoder)
    assert decoded == [None]
    assert encoder.asked[0][1] == (10, 20, 300, 400)
    assert encoder.asked[1][1:] == ((10, 20, 300, 400), "tight")
    assert query.whole().box is None and query.whole().photo() is query.photo()
    assert query.photo().pixels.shape == (900, 1200, 3)


def test_another_encoder_is_asked_anew(photo):
    query, one, two = Query(photo), Counting(), Counting()
    two.fingerprint = "other"
    query.vector(one)
    query.vector(two)
    assert len(one.asked) == len(two.asked) == 1


@pytest.mark.parametrize("asked", [np.ones(3, np.float32), np.ones(3)])
def test_a_vector_needs_no_encoder_and_has_no_pixels(asked):
    query = Query(asked)
    assert query.vector().dtype == np.float32 and query.name == "<vector>" and query.id is None
    assert query.has_vector and not query.has_pixels and not query.has_features
    with pytest.raises(PhotoRejected, match="only its vector"):
        query.photo()


@pytest.mark.parametrize("asked", [7, np.int64(7)])
def test_an_id_waits_to_be_found(asked, photo):
    query = Query(asked)
    assert (query.id, query.has_pixels, query.has_vector) == (7, False, False)
    found = query.found("a", str(photo), np.ones(3, np.float32), None)
    assert found.id is None and found.has_vector and found.has_pixels and found.name == "a"
    upload = query.found("a", None, np.ones(3, np.float32), None)
    assert upload.has_vector and not upload.has_pixels


def test_a_box_of_an_id_is_cut_from_its_photo(photo):
    boxed = Query(7, (0, 0, 5, 5))
    found = boxed.found("a", str(photo), np.ones(3, np.float32), None)
    assert not found.has_vector and found.box == (0, 0, 5, 5)
    with pytest.raises(PhotoRejected, match="a box needs the photo"):
        boxed.found("a", None, np.ones(3, np.float32), None)


def test_what_is_not_known_says_what_it_needs(photo):
    with pytest.raises(ValueError, match="needs an encoder"):
        Query(photo).vector()
    with pytest.raises(ValueError, match="need an extractor"):
        Query(photo).features()
