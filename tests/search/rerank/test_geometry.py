from dataclasses import replace

import cv2
import numpy as np
import pytest

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
    assert after[0].match.probability > 0.99
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


def test_more_agreement_is_more_likely():
    calibration = default_calibration()
    assert set(calibration.weights) == set(describe(found(0)))
    values = [calibration.log_odds(found(n, n)) for n in (6, 10, 20, 40)]
    assert values == sorted(values)
    assert values[0] < 0 < values[-1]
    assert 0 < calibration.probability(found(0)) < 0.02
    assert calibration.log_evidence(found(0)) < 0 < calibration.log_evidence(found(20, 20))


def test_probability_never_overflows():
    assert Calibration({**default_calibration().weights, "log_votes": 1e6}).probability(found(10**9, 10**9)) == 1.0


def test_evidence_is_the_odds_beside_those_of_the_prior():
    even = Calibration(dict.fromkeys(describe(found(0)), 0.0), prior=0.02)
    assert even.probability(found(30, 30)) == 0.5
    assert even.log_evidence(found(30, 30)) == pytest.approx(np.log(0.98 / 0.02))


def test_another_calibration_changes_the_rise(evidence):
    sure = Calibration({**default_calibration().weights, "constant": 50.0})
    rise = GeometryStage(calibration=sure, weight=0.5, ceiling=2.0)(ranking(0), evidence)[0].score - 0.49
    assert rise == pytest.approx(1.0)


def test_a_mirrored_shelf_is_found_on_request(shelf, evidence):
    flipped = SIFT.extract(np.ascontiguousarray(seen(painting(0))[:, ::-1]))
    there = replace(evidence, features=lambda ids: [flipped if i == 4 else shelf[i] for i in ids])
    assert GeometryStage()(ranking(0, 1, 4), there)[0].id != 4
    assert GeometryStage(settings=Geometry(mirror=True))(ranking(0, 1, 4), there)[0].id == 4


def test_a_query_without_keypoints_leaves_the_ranking(evidence):
    blank = replace(evidence, query=Query(np.full((90, 90, 3), 7, np.uint8)), extractor=SIFT)
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
