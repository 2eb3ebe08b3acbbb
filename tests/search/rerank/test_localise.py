from dataclasses import replace

import numpy as np
import pytest

from reseen.encoder import Encoder
from reseen.search import Query
from reseen.search.ranking import Hit, Ranking
from reseen.search.rerank import Evidence
from reseen.search.rerank.base import RerankError
from reseen.search.rerank.localise import (
    Localisation,
    LocaliseStage,
    box_similarities,
    candidate_boxes,
    integral,
    locate,
    mac,
)

EVERY = Localisation(step=1, aspect=1e9, rounds=0)


def all_boxes(height, width):
    return [
        (a, b, c, d)
        for a in range(width)
        for b in range(height)
        for c in range(a + 1, width + 1)
        for d in range(b + 1, height + 1)
    ]


def power_mean_cosine(query, maps, box, exponent):
    x0, y0, x1, y1 = box
    x = np.maximum(maps[:, y0:y1, x0:x1], 0).astype(np.float64)
    pooled = (x**exponent).sum((1, 2)) ** (1 / exponent)
    return pooled @ query / max(np.linalg.norm(pooled), 1e-12)


def example(seed, height=6, width=7, channels=12):
    rng = np.random.default_rng(seed)
    maps = rng.uniform(0.2, 1, (channels, height, width)).astype(np.float32) ** 1.5
    query = mac(rng.normal(0, 1, (channels, 4, 4)).astype(np.float32))
    return query, maps


@pytest.mark.parametrize("exponent", [1.0, 10.0])
def test_integral_images_give_the_power_mean_of_every_box(exponent):
    query, maps = example(0)
    boxes = all_boxes(6, 7)
    found = box_similarities(*integral(maps, exponent), query, np.array(boxes), exponent)
    expected = [power_mean_cosine(query, maps, box, exponent) for box in boxes]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_a_full_search_is_brute_force(seed):
    query, maps = example(seed, height=5)
    boxes = all_boxes(5, 7)
    scores = [power_mean_cosine(query, maps, box, 10) for box in boxes]
    box, score = locate(query, maps, 1.0, EVERY)
    assert score == pytest.approx(max(scores), abs=1e-6)
    assert box == boxes[int(np.argmax(scores))]


def test_steps_and_refinement_come_close_to_brute_force_over_exact_maxima():
    shares = []
    for seed in range(20):
        query, maps = example(seed, 9, 12)
        exact = max(mac(maps[:, b:d, a:c]) @ query for a, b, c, d in all_boxes(9, 12))
        (a, b, c, d), _ = locate(query, maps, 4 / 3)
        shares.append(float(mac(maps[:, b:d, a:c]) @ query / exact))
    assert np.mean(shares) > 0.93
    assert min(shares) > 0.8


def test_refinement_helps():
    query, maps = example(3, 9, 12)
    assert locate(query, maps, 1.0)[1] > locate(query, maps, 1.0, Localisation(rounds=0))[1]


def test_a_planted_object_is_found_where_it_is():
    rng = np.random.default_rng(1)
    thing = np.abs(rng.normal(0, 1, (32, 4, 6))).astype(np.float32)
    maps = np.abs(rng.normal(0, 0.2, (32, 12, 16))).astype(np.float32)
    maps[:16] = 0
    thing[16:] = 0
    maps[16:, :3] = 5
    maps[:, 5:9, 7:13] = thing
    (x0, y0, x1, y1), score = locate(mac(thing), maps, 1.5)
    assert score > 0.99
    assert y0 >= 3
    assert x0 <= 7 + 1 and x1 >= 13 - 1 and y0 <= 5 + 1 and y1 >= 9 - 1


def test_candidates_keep_the_aspect_or_come_nearest():
    boxes = candidate_boxes(24, 32, 4 / 3, Localisation())
    aspect = (boxes[:, 2] - boxes[:, 0]) / (boxes[:, 3] - boxes[:, 1])
    assert (np.abs(np.log(aspect / (4 / 3))) <= np.log(1.1) + 1e-9).all()
    assert [0, 0, 32, 24] in boxes.tolist()
    assert candidate_boxes(4, 4, 30.0, Localisation()).tolist() == [[0, 3, 4, 4]]


def test_large_activations_do_not_overflow_and_negative_ones_count_as_zero():
    query, maps = example(4)
    box, score = locate(query, maps * np.float32(1e30), 1.0)
    assert (box, pytest.approx(score, abs=1e-4)) == locate(query, maps, 1.0)
    assert locate(query, -np.abs(maps), 1.0)[1] == 0


def test_values_far_below_the_peak_stay_within_the_stated_rounding():
    maps = np.full((12, 6, 7), 0.001, np.float32)
    maps[:, 0, 0] = 1
    sums, _ = integral(maps, 10)
    inside = sums[6, 7] - sums[3, 7] - sums[6, 3] + sums[3, 3]
    assert (np.maximum(inside, 0) ** 0.1 < 0.031).all()


@pytest.fixture
def localised():
    """Evidence of four photos, of which the third shows the thing and the second has no map; thing, maps, vectors."""
    rng = np.random.default_rng(2)
    thing = np.abs(rng.normal(0, 1, (16, 4, 4))).astype(np.float32)
    maps = [np.abs(rng.normal(0, 1, (16, 9, 9))).astype(np.float32) for _ in range(4)]
    maps[2] *= 0.3
    maps[2][:, 4:8, 3:7] = thing
    whole = np.abs(rng.normal(0, 1, (4, 16))).astype(np.float32)
    whole /= np.linalg.norm(whole, axis=1, keepdims=True)

    class Maps(Encoder):
        name, fingerprint, dim, side, gives = "maps", "m", 16, 9, {"maps"}

        def photo_maps(self, photo, box=None, *, crop=None):
            return (thing,)

        def pool_parts(self, maps, parts):
            return np.stack([mac(maps[0][:, b:d, a:c]) for a, b, c, d in parts]).astype(np.float32)

    evidence = Evidence(
        Query(np.zeros((9, 9), np.uint8), vector=mac(thing).astype(np.float32)),
        vectors=lambda ids: whole[list(ids)],
        maps=lambda ids: [(maps[i],) if i != 1 else None for i in ids],
        encoder=Maps(),
    )
    return evidence, thing, maps, whole


def first_search(evidence, whole):
    scores = whole @ evidence.vector
    order = np.argsort(-scores).tolist()
    return Ranking("q", None, tuple(Hit(rank, i, None, float(scores[i])) for rank, i in enumerate(order, 1)))


@pytest.mark.parametrize("expand", [0, 2])
@pytest.mark.parametrize("depth", [4, 2])
def test_the_whole_ranking_is_scored_by_one_rule(localised, expand, depth):
    evidence, thing, maps, whole = localised
    before = first_search(evidence, whole)
    after = LocaliseStage(depth=depth, expand=expand)(before, evidence)
    parts = whole.copy()
    located = [hit.id for hit in before.hits[:depth] if hit.id != 1]
    for i in located:
        (a, b, c, d), _ = locate(mac(thing), maps[i], 1.0)
        parts[i] = mac(maps[i][:, b:d, a:c])
    asked = evidence.vector
    if expand:
        best = sorted(located, key=lambda i: -float(parts[i] @ asked))[:expand]
        asked = asked + parts[best].sum(0)
        asked = asked / np.linalg.norm(asked)
    np.testing.assert_allclose([hit.score for hit in after], np.sort(parts @ asked)[::-1], atol=1e-5)
    assert [hit.id for hit in after] == np.argsort(-(parts @ asked)).tolist()


def test_the_stage_lifts_the_photo_that_holds_the_object(localised):
    evidence, _, _, whole = localised
    assert LocaliseStage()(first_search(evidence, whole), evidence)[0].id == 2


def test_boxes_have_the_aspect_of_the_querys_map(localised, monkeypatch):
    evidence, thing, _, whole = localised
    wide = thing[:, :2, :]  # twice as wide as high
    monkeypatch.setattr(type(evidence.encoder), "photo_maps", lambda *_, **__: (wide,))
    boxes = []
    pooled = evidence.encoder.pool_parts
    monkeypatch.setattr(
        type(evidence.encoder), "pool_parts", lambda _, maps, parts: boxes.extend(parts) or pooled(maps, parts)
    )
    LocaliseStage(expand=0, settings=Localisation(step=1, rounds=0))(first_search(evidence, whole), evidence)
    assert boxes and all((c - a) / (d - b) == pytest.approx(2, rel=0.1) for a, b, c, d in boxes)


def test_without_any_map_the_ranking_stays(localised, monkeypatch):
    evidence, _, maps, whole = localised
    before = first_search(evidence, whole)
    assert LocaliseStage()(before, replace(evidence, maps=lambda ids: [None] * len(ids))) == before
    with pytest.raises(RerankError, match="feature maps"):
        LocaliseStage()(before, Evidence(evidence.query, evidence.vectors))
    monkeypatch.setattr(type(evidence.encoder), "gives", frozenset())
    with pytest.raises(RerankError, match="feature maps"):
        LocaliseStage()(before, evidence)
    monkeypatch.undo()
    with pytest.raises(RerankError, match="one layer, and 'maps' reads 2"):
        LocaliseStage()(before, replace(evidence, maps=lambda ids: [(maps[0], maps[0])] * len(ids)))
