"""The inverted file against the same sums worked out photo by photo."""

import math

import numpy as np
import pytest

from reseen.errors import ReseenError
from reseen.local_features import LocalFeatures
from reseen.search.index import create_index
from reseen.search.index.inverted import InvertedFile, Scoring, Segment
from reseen.search.vocabulary import Vocabulary

SIZE = (640, 480)


def features(rng, count, near=None, noise=0):
    """Random features, or noisy copies of those of ``near``."""
    if near is None:
        codes, frames = rng.integers(0, 256, (count, 128)), rng.integers(0, 256, (count, 2))
    else:
        count = min(count, len(near))
        codes = np.clip(near.codes[:count] + rng.integers(-noise, noise + 1, (count, 128)), 0, 255)
        frames = near.frames[:count]
    points = rng.normal(0, 50, (count, 2)).astype(np.float16)
    return LocalFeatures(points, codes.astype(np.uint8), SIZE, 1.0, frames.astype(np.uint8))


@pytest.fixture(scope="module")
def words():
    rng = np.random.default_rng(0)
    return Vocabulary.learn([features(rng, 300) for _ in range(4)], 12)


@pytest.fixture
def photos():
    rng = np.random.default_rng(1)
    return [features(rng, int(n)) for n in rng.integers(20, 60, 9)]


@pytest.fixture
def index(words, photos):
    return InvertedFile.of(np.arange(100, 109), photos, words)


def literal(words, photos, query, scoring):
    """Scores by the definition, one pair of features after another."""
    described = [words.describe(photo) for photo in photos]
    own = [words.nearest(d)[:, 0] for d in described]
    holding = np.array([sum(w in o for o in own) for w in range(len(words))])
    idf = np.maximum(np.log(len(photos) / np.maximum(holding, 1)) ** 2, 1e-6)
    asked = words.describe(query)
    near = words.nearest(asked, scoring.words)
    found = []
    for photo, d, o in zip(photos, described, own, strict=True):
        signatures = words.signatures(d, o)
        turns, sizes, total = np.zeros(16), np.zeros(8), 0.0
        for f in range(len(query)):
            matches = []
            for w in near[f]:
                mine = int(words.signatures(asked[f : f + 1], np.array([w]))[0])
                for g in np.flatnonzero(o == w):
                    h = (mine ^ int(signatures[g])).bit_count()
                    if h <= scoring.most:
                        matches.append((idf[w] * (1 - h / 32) ** scoring.alpha, g))
            for value, g in matches:
                value = value / math.sqrt(len(matches))
                change = photo.frames[g].astype(int) - query.frames[f].astype(int)
                turns[change[0] % 256 // 16] += value
                sizes[min(max(change[1] // 8 + 4, 0), 7)] += value
                total += value
        if scoring.consistent:
            best = max(turns[i] + turns[i - 1] + turns[(i + 1) % 16] for i in range(16))
            total = min(best, max(sizes[i] + (sizes[i - 1] + sizes[i + 1] if 0 < i < 7 else 0) for i in range(8)))
        found.append(total / math.sqrt(max(sum(idf[w] for w in o), 1e-6)))
    return np.array(found)


@pytest.mark.parametrize("consistent", [True, False])
@pytest.mark.parametrize("count", [1, 3])
def test_scores_are_the_sums_of_the_definition(words, photos, index, consistent, count):
    index.scoring = Scoring(words=count, most=30, consistent=consistent)
    query = features(np.random.default_rng(2), 25, near=photos[3], noise=60)
    expected = literal(words, photos, query, index.scoring)
    assert (expected > 0).sum() > 3
    np.testing.assert_allclose(index.scores(query), expected, rtol=1e-4, atol=1e-6)


def test_the_photo_whose_features_are_asked_comes_first(photos, index):
    rng = np.random.default_rng(3)
    asked = [features(rng, 20, near=photo, noise=20) for photo in photos]
    found, scores = index.search(asked, 4)
    assert found[:, 0].tolist() == list(range(100, 109))
    assert (np.diff(np.where(np.isinf(scores), -1, scores), axis=1) <= 0).all()


def test_only_allowed_photos_are_found(photos, index):
    allowed = np.array([101, 104, 999])
    assert set(index.search([photos[3]], 9, allowed)[0][0].tolist()) <= {101, 104, -1}
    mask = np.zeros(9, bool)
    mask[4] = True
    assert set(index.search([photos[3]], 9, mask)[0][0].tolist()) <= {104, -1}


def test_photos_added_and_removed_one_by_one_are_as_if_made_at_once(words, photos, index):
    grown = InvertedFile.of(np.arange(100, 104), photos[:4], words)
    grown.add(np.array([500]), [photos[0]])
    grown.add(np.arange(104, 109), photos[4:])
    grown.remove(np.array([500, 7]))
    assert len(grown) == 9
    merged = Segment.merged(grown.segments)
    assert merged.ids.tolist() == list(range(100, 109))
    again = InvertedFile(words, [merged])
    query = features(np.random.default_rng(4), 30, near=photos[5], noise=30)
    np.testing.assert_allclose(again.scores(query), index.scores(query), rtol=1e-5)
    assert grown.search([query], 1)[0].tolist() == [[105]]


def test_a_photo_that_is_added_again_takes_the_place_of_the_old_one(photos, index):
    index.add(np.array([103]), [photos[7]])
    assert len(index) == 9
    assert set(index.search([photos[7]], 2)[0][0].tolist()) == {103, 107}


def test_saved_and_opened(photos, index, tmp_path):
    index.add(np.array([300]), [photos[2]])
    index.save(tmp_path / "lists")
    again = InvertedFile.open(tmp_path / "lists")
    np.testing.assert_array_equal(again.search([photos[2]], 5)[0], index.search([photos[2]], 5)[0])
    (tmp_path / "lists" / "0-ids.npy").write_bytes(b"")
    with pytest.raises(ReseenError, match="not an inverted file"):
        InvertedFile.open(tmp_path / "lists")


def test_photos_and_queries_without_features(words, photos, index):
    none = features(np.random.default_rng(0), 0)
    assert index.search([none], 3)[0].tolist() == [[-1, -1, -1]]
    index.add(np.array([1, 2]), [none, photos[0]])
    assert set(index.search([photos[0]], 2)[0][0].tolist()) == {2, 100}
    empty = InvertedFile.of(np.array([], np.int64), [], words)
    assert empty.search([photos[0]], 3)[0].shape == (1, 0)
    with pytest.raises(ValueError, match="k must be 1"):
        index.search([photos[0]], 0)


def test_it_is_an_index_by_name(photos):
    index = create_index("inverted", np.arange(2), photos[:2])
    assert index.takes == "features" and len(index) == 2
