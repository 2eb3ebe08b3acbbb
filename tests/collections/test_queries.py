"""What a collection can be asked, and which photos may answer."""

import numpy as np
import pytest
from PIL import Image

from reseen.collections import Collection
from reseen.errors import CollectionError, PhotoRejected, ReseenError
from reseen.registry import INDEXES
from reseen.search import Query, index
from reseen.search.local import LocalFeatures, RootSift
from reseen.search.rerank import RerankError


@pytest.fixture
def shelf(tmp_path, make, paint):
    """Eight photos with local features, and an upload."""
    paint(tmp_path / "photos", 8, size=(240, 160))
    collection = Collection.create(tmp_path / "shelf", make(), local="sift")
    collection.add(tmp_path / "photos")
    collection.add_photos([("upload", (tmp_path / "photos" / "0001.png").read_bytes())])
    return collection


def ids(ranking):
    return [hit.id for hit in ranking]


def test_every_form_of_one_question_has_one_answer(shelf):
    row = shelf.photos()[3]
    pixels = np.asarray(Image.open(row.name))
    known = dict(zip(*shelf.vectors(), strict=True))
    expected = shelf.search(row.name, rerank="none")
    assert expected[0].id == row.id and expected[0].score == pytest.approx(1, abs=1e-5)
    for asked in (pixels, Image.fromarray(pixels), row.id, np.int64(row.id), known[row.id], Query(row.name)):
        found = shelf.search(asked, rerank="none")
        assert ids(found) == ids(expected)
        np.testing.assert_allclose([h.score for h in found], [h.score for h in expected], atol=1e-5)
    assert shelf.search(row.id).query == row.name


def test_a_photo_is_decoded_once_for_vector_features_and_maps(shelf, monkeypatch):
    import reseen.descriptor.pipeline as pipeline
    import reseen.search.query as module

    calls, load = [], module.load_photo
    monkeypatch.setattr(module, "load_photo", lambda *a, **k: (calls.append(k), load(*a, **k))[1])
    monkeypatch.setattr(pipeline, "load_photo", lambda photo, **k: photo if calls else pytest.fail("decoded again"))
    row = shelf.photos()[3]
    query = Query(row.name)
    first = shelf.search(query)
    assert shelf.search(query) == first and first[0].id == row.id and first[0].match.inliers > 10
    assert calls == [{"at_least": 640}]


def test_an_id_is_answered_with_what_is_kept(shelf, monkeypatch):
    row = shelf.photos()[3]
    expected = shelf.search(row.name)
    fresh = Collection.open(shelf.folder)
    monkeypatch.setattr(Query, "photo", lambda *_: pytest.fail("nothing has to be decoded"))
    found = fresh.search(row.id)
    assert ids(found) == ids(expected) and found[0].match.inliers == expected[0].match.inliers
    upload = next(row for row in shelf.photos() if not row.path)
    assert fresh.search(upload.id)[0].score == pytest.approx(fresh.search(upload.id)[1].score, abs=1e-3)
    monkeypatch.undo()
    assert fresh.search(row.id, box=(0, 0, 100, 100), rerank="none")[0].score < 0.9999
    with pytest.raises(PhotoRejected, match="a box needs the photo"):
        fresh.search(upload.id, box=(0, 0, 100, 100))
    with pytest.raises(CollectionError, match="12: no such photo"):
        fresh.search(12)
    with pytest.raises(ValueError, match="its own box"):
        fresh.search(Query(row.id), box=(0, 0, 100, 100))


def test_a_vector_is_looked_at_again_only_where_that_needs_no_photo(shelf):
    vector = shelf.vectors()[1][2]
    assert shelf.search(vector) == shelf.search(vector, rerank="none") == shelf.search_vector(vector)
    assert len(shelf.search(vector, rerank="superglobal")) == 9
    with pytest.raises(RerankError, match="ask with the photo"):
        shelf.search(vector, rerank="geometry")


def test_where_says_which_photos_may_be_found(shelf):
    row = shelf.photos()[3]
    every = shelf.search(row.id, rerank="none")
    some = set(ids(every)[1::2])
    found = shelf.search(row.id, rerank="none", where=some)
    assert ids(found) == ids(every)[1::2]
    assert [h.score for h in found] == pytest.approx([h.score for h in every if h.id in some])
    assert found == shelf.search(row.id, rerank="none", where=lambda photo: photo.id in some)
    assert set(ids(shelf.search(row.name, where=some))) == some
    assert shelf.search(row.id, where=set()).no_match


class Votes:
    """An index of local features: photos with as many of them as the query has are the best."""

    takes = "features"

    def __init__(self, ids, items):
        self.held = dict(zip(ids.tolist(), items, strict=True))

    @classmethod
    def of(cls, ids, items):
        return cls(ids, items)

    def search(self, asked, k, allowed=None):
        known = [i for i in self.held if allowed is None or i in allowed]
        found = np.full((len(asked), k), index.NOTHING)
        scores = np.full((len(asked), k), -np.inf, np.float32)
        for row, query in enumerate(asked):
            best = sorted(known, key=lambda i: (self.held[i].codes.shape != query.codes.shape, i))[:k]
            found[row, : len(best)], scores[row, : len(best)] = best, np.linspace(1, 0, len(best))
        return found, scores


class Backwards(index.index_class("exact")):
    """An index of vectors that prefers the most different."""

    def search(self, asked, k, allowed=None):
        return super().search(-asked, k, allowed)


def test_a_collection_knows_no_index_but_the_protocol(shelf, monkeypatch):
    monkeypatch.setitem(INDEXES._registered, "votes", Votes)
    monkeypatch.setitem(INDEXES._registered, "backwards", Backwards)
    row = shelf.photos()[3]
    last = ids(shelf.search(row.name, rerank="none"))[-1]
    assert Collection.open(shelf.folder, index="backwards").search(row.name, rerank="none")[0].id == last
    votes = Collection.open(shelf.folder, index="votes")
    found = votes.search(row.name, k=20, rerank="none")
    assert len(found) == 9 and found[0].score == 1
    kept = shelf.features([row.id, found[0].id])
    assert len(set(map(len, kept.values()))) == 1
    assert set(ids(votes.search(row.id, rerank="none", where={row.id, last}))) == {row.id, last}
    with pytest.raises(ReseenError, match="'tree' is not known: .* use exact, inverted, backwards, votes"):
        Collection.open(shelf.folder, index="tree")


def test_vectors_by_id(shelf):
    known, vectors = shelf.vectors()
    wanted = known[[5, 0, 5]].tolist()
    np.testing.assert_array_equal(shelf.vectors_of(wanted), vectors[[5, 0, 5]])
    with pytest.raises(KeyError, match="12"):
        shelf.vectors_of([wanted[0], 12])
    shelf.remove(wanted[1])
    with pytest.raises(KeyError):
        shelf.vectors_of(wanted)
    empty = Collection.create(shelf.folder.parent / "empty", shelf.encoder)
    assert empty.vectors_of([]).shape == (0, shelf.encoder.dim)
    with pytest.raises(KeyError, match="12"):
        empty.vectors_of([12])


def test_local_features_see_as_many_pixels_in_the_collection_as_in_the_query(tmp_path, make):
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    Image.fromarray(noise).resize((2400, 1800), Image.Resampling.BICUBIC).save(tmp_path / "large.jpg")
    collection = Collection.create(tmp_path / "c", make(), local="sift")
    collection.add(tmp_path / "large.jpg")
    (row,) = collection.photos()
    kept = LocalFeatures.from_bytes(collection.features([row.id])[row.id])
    assert (kept.size[0] * kept.scale, kept.size[1] * kept.scale) == pytest.approx((640, 480))
    query = collection.query(tmp_path / "large.jpg")
    np.testing.assert_array_equal(query.vector(collection.encoder), collection.vectors()[1][0])
    assert query.features(RootSift()).to_bytes() == kept.to_bytes()
