import cv2
import numpy as np
import pytest

from reseen.search.geometry import Verification
from reseen.search.geometry.probability import log_odds, probability
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
    return Evidence(
        vectors[0], lambda ids: vectors[list(ids)], SIFT.extract(painting(0)), lambda ids: [shelf[i] for i in ids]
    )


def ranking(*ids, box=None):
    return Ranking("q", box, tuple(Hit(n, i, None, 0.5 - n / 100) for n, i in enumerate(ids, 1)))


def found(inliers, tentative=100, coverage=0.5, kind="homography"):
    return Verification(inliers, tentative, kind, (), (), (), coverage)


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


def test_more_inliers_are_more_likely():
    values = [log_odds(found(n)) for n in (6, 10, 20, 40, 80)]
    assert values == sorted(values)
    assert values[0] < 0 < values[-1]
    assert 0 < probability(found(0, kind="none")) < 0.05


def test_probability_never_overflows():
    assert probability(found(10**9, 10**9, 1.0)) == 1.0
