"""Words of local features in an evaluation: as the first stage, and as a baseline of their own."""

import numpy as np
import pytest
from PIL import Image

from reseen.errors import BenchmarkError
from reseen.evaluation import Protocol, VectorCache, evaluate, load_benchmarks
from reseen.evaluation.bag_of_words import BagOfWords
from reseen.evaluation.run import Encoded, score
from reseen.local_features import LocalFeatures
from reseen.scenes import paint
from reseen.search.local import RootSift

SHOWN = 12


@pytest.fixture
def details(tmp_path):
    """Twelve pictures; of four of them a detail is asked for, by a box in a photo that shows another picture too."""
    import json

    (tmp_path / "db").mkdir()
    queries = []
    for seed in range(SHOWN):
        pixels = paint(seed, longest=320).pixels
        Image.fromarray(pixels).save(tmp_path / "db" / f"{seed}.png")
        if seed < 4:
            other = paint(seed + 1, longest=320).pixels
            h, w = pixels.shape[0] * 3 // 4, pixels.shape[1] * 3 // 4
            both = np.zeros((max(h, len(other)), w + other.shape[1], 3), np.uint8)
            both[:h, :w], both[: len(other), w:] = pixels[:h, :w], other
            Image.fromarray(both).save(tmp_path / f"{seed}.png")
            queries.append({"image": f"{seed}.png", "box": [0, 0, w, h], "positives": [f"db/{seed}.png"]})
    manifest = {"name": "details", "database": [f"db/{i}.png" for i in range(SHOWN)], "queries": queries}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    return load_benchmarks(tmp_path)[0]


def backwards(benchmark):
    """Vectors that put the right photo last."""
    database = np.eye(SHOWN, dtype=np.float32)
    queries = np.ones((4, SHOWN), np.float32)
    queries[np.arange(4), np.arange(4)] = -1
    return Encoded(benchmark, database, queries / np.sqrt(SHOWN), np.zeros((0, SHOWN), np.float32), 0.0)


def firsts(run):
    return [query["first"] for query in run.queries]


def test_words_find_what_the_vectors_do_not(details, tmp_path, make):
    cache, encoded = VectorCache(tmp_path / "cache"), backwards(details)
    asked = {first: score(make(), encoded, Protocol(first=first), cache) for first in ("global", "local", "both")}
    assert firsts(asked["global"]) == [SHOWN] * 4 and firsts(asked["local"]) == [1] * 4
    assert max(firsts(asked["both"])) <= SHOWN // 2
    assert asked["local"].card["first_stage"].startswith("words")
    for run in asked.values():
        values = [hit["score"] for hit in run.queries[0]["hits"]]
        assert values == sorted(values, reverse=True) and values[-1] == pytest.approx(-1 / np.sqrt(SHOWN))


def test_the_shortlist_is_verified(details, tmp_path, make):
    cache, encoded = VectorCache(tmp_path / "cache"), backwards(details)
    alone = score(make(), encoded, Protocol(rerank="geometry", depth=4), cache)
    both = score(make(), encoded, Protocol(rerank="geometry", depth=4, first="both"), cache)
    assert firsts(alone) == [SHOWN] * 4 and firsts(both) == [1] * 4
    before, after = both.measures["rerank_stages"]
    assert before["precision_at_1"] < after["precision_at_1"] == 1


def test_boxes_count(details, tmp_path, make):
    cache, encoded = VectorCache(tmp_path / "cache"), backwards(details)
    run = score(make(), encoded, Protocol(first="local", box="whole"), cache)
    assert firsts(run) != [1] * 4  # the larger part of the photo shows the picture beside


def test_bag_of_words(details, tmp_path):
    run = evaluate(BagOfWords(), details, cache=VectorCache(tmp_path / "cache"))
    assert (run.recipe, run.map, run.card["dim"]) == ("bow-sift", 1, 8192)
    assert evaluate(BagOfWords(), details, Protocol(rerank="geometry"), cache=VectorCache(tmp_path / "cache")).map == 1
    with pytest.raises(BenchmarkError, match="no feature maps"):
        evaluate(BagOfWords(), details, Protocol(rerank="localise"), cache=VectorCache(tmp_path / "cache"))


def test_tf_idf_is_what_its_formula_says():
    bag = BagOfWords()
    found = RootSift().extract(paint(0, longest=320).pixels)
    words = bag.vocabulary.nearest(bag.vocabulary.describe(found))[:, 0]
    codes = found.codes[np.unique(words, return_index=True)[1][:3]]

    def photo(*rows):
        return LocalFeatures(np.zeros((len(rows), 2), np.float16), codes[list(rows)], (10, 10), 1.0)

    database, queries = bag.vectors([photo(0, 0, 1), photo(1, 2), photo()], [photo(0, 1)])
    words = bag.vocabulary.nearest(bag.vocabulary.describe(photo(0, 1, 2)))[:, 0]
    assert len({*words.tolist()}) == 3
    rare, common = np.log(3), np.log(1.5)
    wanted = np.array([2 * rare, common]) / np.hypot(2 * rare, common)
    np.testing.assert_allclose(database[0, words[:2]], wanted, rtol=1e-5)
    np.testing.assert_allclose(queries @ database[1], common**2 / np.hypot(rare, common) ** 2, rtol=1e-5)
    np.testing.assert_allclose(database[2], 1 / np.sqrt(8192), rtol=1e-5)


def test_an_unknown_first_stage():
    with pytest.raises(BenchmarkError, match="global, local, both"):
        Protocol(first="words")
