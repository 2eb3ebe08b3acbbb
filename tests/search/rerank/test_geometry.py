from dataclasses import replace

import cv2
import numpy as np
import pytest

import reseen
from reseen.search import Query
from reseen.search.geometry import Geometry, Verification
from reseen.search.geometry.probability import Calibration, default_calibration, describe
from reseen.search.local import RootSift
from reseen.search.ranking import Hit, Ranking
from reseen.search.rerank import Evidence, RerankError, parse_chain
from reseen.search.rerank.geometry import GeometryStage

SIFT = RootSift()


def painting(seed):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (45, 60, 3), dtype=np.uint8), (480, 360), interpolation=cv2.INTER_CUBIC)


def seen(pixels):
    frame = np.float32([[0, 0], [480, 0], [480, 360], [0, 360]])
    view = cv2.getPerspectiveTransform(frame, np.float32([[60, 70], [470, 40], [520, 420], [90, 440]]))
    return cv2.warpPerspective(pixels, view, (600, 500), borderValue=(120, 120, 120))


@pytest.fixture(scope="module")
def shelf():
    """Features of five photos; photo 4 is the one that the query shows, photo 3 has none."""
    photos = [SIFT.extract(painting(seed)) for seed in (1, 2, 3)]
    return [*photos, None, SIFT.extract(seen(painting(0)))]


@pytest.fixture(scope="module")
def evidence(shelf):
    vectors = np.eye(5, dtype=np.float32)
    query = Query(vectors[0], features=SIFT.extract(painting(0)))
    return Evidence(query, lambda ids: vectors[list(ids)], lambda ids: [shelf[i] for i in ids])


def ranking(*ids, box=None):
    return Ranking("q", box, tuple(Hit(n, i, None, 0.5 - n / 100) for n, i in enumerate(ids, 1)))


def found(votes, inliers=0, tentative=60, coverage=0.5):
    kind = "homography" if inliers else "none"
    return Verification(votes, inliers, tentative, kind, coverage=coverage if inliers else 0.0)


def test_the_photo_of_the_same_painting_rises_and_says_why(evidence):
    before = ranking(0, 1, 2, 3, 4)
    after = GeometryStage()(before, evidence)
    assert after[0].id == 4
    assert after[0].match.probability > 0.95
    assert len(after[0].match.outline) == 4
    assert len(after[0].match.lines) >= after[0].match.inliers > 50
    assert all(hit.score >= 0.5 - (i + 1) / 100 for i, hit in enumerate(before))
    others = {hit.id: hit for hit in after if hit.id != 4}
    assert others[3].match is None
    assert all(others[i].match.probability < 0.1 for i in (0, 1, 2))
    assert before == ranking(0, 1, 2, 3, 4)


def test_hits_beyond_the_depth_are_left_alone(evidence):
    after = GeometryStage(depth=2)(ranking(0, 1, 2, 3, 4), evidence)
    assert {hit.id for hit in after if hit.match is not None} == {0, 1}
    assert next(hit for hit in after if hit.id == 4).score == 0.45


def test_the_query_box_is_what_is_outlined(evidence):
    box = (100.0, 80.0, 380.0, 280.0)
    whole = GeometryStage()(ranking(4), evidence)[0].match
    part = GeometryStage()(ranking(4, box=box), evidence)[0].match
    assert all(100 <= x <= 380 and 80 <= y <= 280 for (x, y), _ in part.lines)
    areas = [cv2.contourArea(np.float32(match.outline)) for match in (part, whole)]
    assert areas[0] < 0.5 * areas[1]


def test_the_same_ranking_every_time(evidence):
    once = GeometryStage(threads=1)(ranking(0, 1, 2, 4), evidence)
    assert once == GeometryStage(threads=3)(ranking(0, 1, 2, 4), evidence)


def test_expansion_after_geometry_uses_the_verified_photo(evidence):
    chain = parse_chain("geometry+expansion", features=True)
    after = chain(ranking(0, 1, 4), evidence)
    assert after[0].id == 4


def test_without_local_features_it_says_how_to_get_them(evidence):
    with pytest.raises(RerankError, match="--local sift"):
        GeometryStage()(ranking(0), Evidence(evidence.query, evidence.vectors))


def looked(*votes):
    """What the models see of pairs of which so many places agree, on one plane, and of which nothing else is known."""
    pairs = [replace(found(n, n), strength=float(n)) for n in votes]
    return describe(pairs, np.zeros(len(pairs)), np.eye(len(pairs), dtype=np.float32))


def test_more_agreement_is_more_likely_and_rises_higher():
    calibration, seen = default_calibration(), looked(0, 6, 10, 20, 40)
    assert set(seen) >= {*calibration.order, *calibration.same, *calibration.geometry}
    for values in (calibration.log_evidence(seen), calibration.probabilities(seen), calibration.rises(seen)):
        assert (np.diff(values) > 0).all()
    assert calibration.rises(seen)[0] == 0
    assert calibration.log_evidence(seen)[0] < 0 < calibration.log_evidence(seen)[-1]
    assert calibration.probabilities(seen)[0] < 0.02
    assert calibration.verified(seen).tolist() == [False, False, False, True, True]


def test_repeated_texture_is_worth_less_than_distinctive_places():
    few, many = (replace(found(30, 30), strength=strength) for strength in (5.0, 40.0))
    seen = describe([few, many], np.zeros(2), np.eye(2, dtype=np.float32))
    evidence = default_calibration().log_evidence(seen)
    assert evidence[0] < evidence[1] - 2


def test_a_photo_that_is_alike_everything_says_little():
    vectors = np.array([[1, 0, 0], [0.9, 0.4359, 0], [0, 0, 1]], np.float32)
    seen = describe([found(0)] * 3, np.full(3, 0.5), vectors)
    assert seen["nearest"] == pytest.approx([0.9, 0.9, 0], abs=1e-3)
    likely = default_calibration().probabilities(seen)
    assert likely[2] > likely[0] == pytest.approx(likely[1])


def test_what_agrees_with_every_photo_of_the_shortlist_is_background():
    usual = [replace(found(20, 20), strength=20.0)] * 10
    alone = [replace(found(20, 20), strength=20.0), *[found(0)] * 9]
    vectors = np.eye(10, dtype=np.float32)
    first, second = (describe(pairs, np.zeros(10), vectors)["background"][0] for pairs in (usual, alone))
    assert first == pytest.approx(np.log1p(20)) and second == 0


def test_probability_never_overflows():
    endless = replace(default_calibration(), same={"log_strength": 1e9})
    assert endless.probabilities(looked(10**9)) == [1.0]


def test_evidence_is_the_odds_beside_those_of_the_prior():
    even = Calibration({}, {"constant": 0.0}, {"constant": 0.0}, prior=0.02)
    assert even.probabilities(looked(30)) == [0.5]
    assert even.log_evidence(looked(30)) == pytest.approx(np.log(0.98 / 0.02))


def test_another_calibration_changes_the_rise(evidence):
    sure = Calibration({"constant": 0.7}, {"constant": 0.0}, {"constant": 0.0})
    after = GeometryStage(calibration=sure)(ranking(0), evidence)[0]
    assert after.score - after.similarity == pytest.approx(0.7)
    assert after.similarity == 0.49


def test_similarities_of_another_descriptor_say_nothing_about_the_probability(evidence):
    calibration = replace(default_calibration(), same={"constant": 9.0}, descriptor="known")
    stage = GeometryStage(calibration=calibration)
    known, other = (stage(ranking(0), replace(evidence, descriptor=name))[0].probability for name in ("known", "x"))
    assert other < 0.1 < 0.99 < known


def test_what_was_proposed_is_verified_instead_of_the_first_hits(evidence):
    after = GeometryStage(depth=2)(ranking(0, 1, 2, 3, 4), replace(evidence, proposed=(4, 2, 0)))
    assert {hit.id for hit in after if hit.match is not None} == {4, 2}
    assert after[0].id == 4


def test_why_a_hit_was_found_in_words(evidence):
    first, second = GeometryStage()(ranking(0, 4), evidence)
    assert first.why == f"{first.inliers} points agree on one plane" and first.verified
    assert second.why == "similar look, not verified" and not second.verified
    assert ranking(0)[0].why == "similar look" and ranking(0)[0].probability is None
    assert {"similarity", "inliers", "verified", "probability", "why"} <= set(first.to_json())


def test_a_mirrored_shelf_is_found_on_request(shelf, evidence):
    flipped = SIFT.extract(np.ascontiguousarray(seen(painting(0))[:, ::-1]))
    there = replace(evidence, features=lambda ids: [flipped if i == 4 else shelf[i] for i in ids])
    assert GeometryStage()(ranking(0, 1, 4), there)[0].id != 4
    assert GeometryStage(settings=Geometry(mirror=True))(ranking(0, 1, 4), there)[0].id == 4


def test_a_query_without_keypoints_leaves_the_ranking(evidence):
    blank = replace(evidence, query=Query(np.full((90, 90, 3), 7, np.uint8), vector=evidence.vector), extractor=SIFT)
    after = GeometryStage()(ranking(0, 1, 4), blank)
    assert [hit.id for hit in after] == [0, 1, 4]
    assert all(hit.match.inliers == 0 for hit in after)


def test_the_same_photo_twice_rises_twice(shelf, evidence):
    twice = replace(evidence, features=lambda ids: [shelf[4] if i in (1, 4) else shelf[i] for i in ids])
    after = GeometryStage()(ranking(0, 1, 2, 4), twice)
    assert [hit.id for hit in after.hits[:2]] == [1, 4]
    assert after[0].match == after[1].match


def test_a_shortlist_longer_than_the_collection(evidence):
    assert len(GeometryStage(depth=1000)(ranking(0, 1, 4), evidence)) == 3
    assert len(GeometryStage()(ranking(), evidence)) == 0


def test_the_calibration_is_of_the_default_descriptor_as_it_is():
    assert default_calibration().descriptor == reseen.load("default").fingerprint
