"""Several photos as one question."""

import numpy as np
import pytest
from PIL import Image

from reseen import Query
from reseen.collections import Collection
from reseen.collections.several import as_one
from reseen.scenes import paint
from reseen.search import Hit, Match, Ranking


def ranking(name, scores, matches=None):
    hits = [Hit(1, i, f"{i}", score, match=(matches or {}).get(i)) for i, score in scores.items()]
    return Ranking(name, None, ()).reordered(hits)


def nothing(photos):
    return np.zeros(len(photos), np.float32)


def order(answer):
    return [(hit.id, round(hit.score, 3)) for hit in answer.ranking]


def test_mean_and_best_of_the_photos():
    found = [ranking("a", {1: 0.9, 2: 0.8, 3: 0.1}), ranking("b", {2: 0.8, 1: 0.3, 4: 0.2})]
    # 3 is not in b: its similarity there; 4 is not in a, where it can have no more than the last hit
    similar = [lambda photos: np.full(len(photos), 0.7), lambda photos: np.full(len(photos), -0.1)]
    assert order(as_one(found, similar)) == [(2, 0.8), (1, 0.75), (4, 0.175), (3, 0.05)]
    assert as_one(found, similar).ranking.query == "a + b"


def test_what_is_not_meant_sinks():
    found, other = [ranking("a", {1: 0.9, 2: 0.8})], [ranking("x", {1: 1.0, 2: 0.3})]
    assert order(as_one(found, [nothing], other, [nothing])) == [(1, 0.8), (2, 0.8)]
    other = [ranking("x", {1: 1.1, 2: 0.8})]
    assert order(as_one(found, [nothing], other, [nothing])) == [(2, 0.8), (1, 0.7)]


def test_matches_are_those_of_the_photo_they_are_of():
    weak, sure = Match(inliers=5, log_evidence=1.0), Match(inliers=50, log_evidence=9.0)
    found = [ranking("a", {1: 0.9}, {1: weak}), ranking("b", {1: 0.9, 2: 0.5}, {1: sure})]
    answer = as_one(found, [nothing, nothing])
    assert answer.ranking[0].match is sure
    assert [one[0].match for one in answer.each] == [weak, sure] and answer.each[1].query == "b"
    assert answer.each[0][1].match is None


@pytest.fixture
def shelf(tmp_path, make):
    collection = Collection.create(tmp_path / "shelf", make(), local="sift")
    collection.add_photos([(f"{seed}", paint(seed, longest=320).pixels) for seed in range(6)])
    return collection


def test_boxes_of_two_photos(shelf):
    asked = []
    for seed in (3, 4):
        pixels = paint(seed, longest=320).pixels
        asked.append(Query(pixels, (0, 0, pixels.shape[1] * 0.8, pixels.shape[0])))
    answer = shelf.search_as_one(asked, k=2)
    assert {hit.path for hit in answer.ranking} == {"3", "4"} and len(answer.each) == 2
    name = answer.ranking[0].path
    assert [one[0].match is not None and one[0].match.inliers > 20 for one in answer.each] == [name == "3", name == "4"]
    left = shelf.search_as_one(asked, k=2, against=[paint(3, longest=320).pixels])
    assert left.ranking[0].path == "4"
    one = shelf.search_as_one(asked[:1], k=3)
    assert [hit.id for hit in one.ranking] == [hit.id for hit in shelf.search(asked[0], k=3)]
    with pytest.raises(ValueError, match="one photo at least"):
        shelf.search_as_one([])
    with pytest.raises(ValueError, match="k must be"):
        shelf.search_as_one(asked, k=0)


def test_on_the_command_line(tmp_path, shelf):
    from reseen.cli.main import run

    photos = []
    for seed in (3, 4):
        photos.append(str(tmp_path / f"{seed}.png"))
        Image.fromarray(paint(seed, longest=320).pixels).save(photos[-1])
    page = tmp_path / "page.html"
    assert run(["search", str(shelf.folder), *photos, "--as-one", "-k", "3", "--html", str(page)]) == 0
    assert page.read_text(encoding="utf-8").count("<section") == 2
    assert run(["search", str(shelf.folder), photos[0], "--not", photos[1], "-q"]) == 0
