"""Visual words and signatures."""

import numpy as np
import pytest

from reseen.errors import NotFitted, ReseenError
from reseen.local_features import LocalFeatures
from reseen.search.vocabulary import Vocabulary, default_vocabulary


def features(rng, count=400, dim=128):
    codes = rng.integers(0, 256, (count, dim), np.uint8)
    frames = rng.integers(0, 256, (count, 2), np.uint8)
    return LocalFeatures(rng.normal(0, 50, (count, 2)).astype(np.float16), codes, (640, 480), 1.0, frames)


@pytest.fixture(scope="module")
def learned():
    rng = np.random.default_rng(0)
    return Vocabulary.learn([features(rng) for _ in range(5)], 16)


def test_a_feature_has_the_word_nearest_to_it(learned):
    described = learned.describe(features(np.random.default_rng(1), 30))
    distances = ((described[:, None] - learned.words[None]) ** 2).sum(2)
    np.testing.assert_array_equal(learned.nearest(described, 3), np.argsort(distances, axis=1)[:, :3])


def test_a_signature_says_which_coordinates_lie_above_the_words_medians(learned):
    described = learned.describe(features(np.random.default_rng(2), 50))
    words = learned.nearest(described)[:, 0]
    found = learned.signatures(described, words)
    for value, x, word in zip(found.tolist(), described, words, strict=True):
        bits = [(value >> i) & 1 for i in range(64)]
        assert bits == (x[:64] > learned.cuts[word]).astype(int).tolist()


def test_medians_split_the_features_that_they_were_learned_from():
    rng = np.random.default_rng(3)
    photos = [features(rng) for _ in range(5)]
    vocabulary = Vocabulary.learn(photos, 4)
    described = np.concatenate([vocabulary.describe(photo) for photo in photos])
    words = vocabulary.nearest(described)[:, 0]
    for word in range(4):
        share = (described[words == word][:, :64] > vocabulary.cuts[word]).mean(0)
        assert np.abs(share - 0.5).max() < 0.02


def test_it_is_kept_in_half_precision_and_comes_back(learned, tmp_path):
    learned.save(tmp_path / "words.safetensors")
    again = Vocabulary.read(tmp_path / "words.safetensors")
    assert again.digest == learned.digest
    np.testing.assert_array_equal(again.words, learned.words)
    np.testing.assert_array_equal(again.cuts, learned.cuts)


def test_features_of_another_kind_do_not_fit(learned):
    with pytest.raises(ReseenError, match="128 dimensions, not 32"):
        learned.describe(features(np.random.default_rng(0), 5, dim=32))


def test_too_few_features_are_said():
    with pytest.raises(NotFitted, match="5 local features are too few for 16 words"):
        Vocabulary.learn([features(np.random.default_rng(0), 5)], 16)
    with pytest.raises(NotFitted, match="0 local features"):
        Vocabulary.learn([], 16)


@pytest.mark.parametrize("data", [b"", b"x" * 100])
def test_another_file_is_refused(tmp_path, data):
    (tmp_path / "words").write_bytes(data)
    with pytest.raises(ReseenError, match="words: not a vocabulary"):
        Vocabulary.read(tmp_path / "words")
    with pytest.raises(ReseenError, match="cannot be read"):
        Vocabulary.read(tmp_path / "gone")


def test_the_shipped_one_is_of_sift():
    found = default_vocabulary()
    assert found.kind == "sift" and len(found.mean) == 128 and len(found) >= 4096
    assert found.axes @ found.axes.T == pytest.approx(np.eye(len(found.axes)), abs=1e-4)
