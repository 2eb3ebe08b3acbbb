import json

import cv2
import numpy as np
import pytest
from PIL import Image

from reseen.evaluation import Protocol, evaluate, load_benchmarks
from reseen.evaluation.rerank import FeatureCache
from reseen.search.local import RootSift


def painting(seed):
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.integers(0, 256, (45, 60, 3), dtype=np.uint8), (480, 360), interpolation=cv2.INTER_CUBIC)


@pytest.fixture(scope="module")
def museum(tmp_path_factory):
    """Six paintings; each query shows one askew on a bright wall, the first of them has another as junk."""
    folder = tmp_path_factory.mktemp("museum")
    frame = np.float32([[0, 0], [480, 0], [480, 360], [0, 360]])
    view = cv2.getPerspectiveTransform(frame, np.float32([[60, 270], [330, 230], [390, 470], [90, 480]]))
    for seed in range(6):
        Image.fromarray(painting(seed)).save(folder / f"{seed}.png")
    queries = []
    for seed in range(3):
        seen = cv2.warpPerspective(painting(seed), view, (600, 500), borderValue=(250, 240, 130))
        Image.fromarray(seen).save(folder / f"q{seed}.png")
        queries.append({"image": f"q{seed}.png", "box": None, "positives": [f"{seed}.png"], "junk": []})
    queries[0]["junk"] = ["5.png"]
    manifest = {"name": "museum", "database": [f"{seed}.png" for seed in range(6)], "queries": queries}
    (folder / "manifest.json").write_text(json.dumps(manifest | {"unmatched": ["4.png"]}))
    return load_benchmarks(str(folder))[0]


def test_every_stage_is_scored_and_timed(museum, make, cache):
    run = evaluate(make(), museum, Protocol(rerank="geometry+superglobal"), cache=cache)
    plain = evaluate(make(), museum, cache=cache)
    stages = run.measures["rerank_stages"]
    assert [stage["stage"] for stage in stages] == ["none", "geometry", "superglobal"]
    assert stages[0]["map"] == pytest.approx(plain.map)
    assert stages[1]["precision_at_1"] == 1.0
    assert stages[2]["map"] == pytest.approx(run.map)
    assert all(stage["milliseconds_per_query"] > 0 for stage in stages[1:])
    assert run.milliseconds_per_query == pytest.approx(sum(stage["milliseconds_per_query"] for stage in stages))
    low, high = stages[1]["map_interval"]
    assert low <= stages[1]["map"] <= high
    assert run.measures["rerank_depth"] == 100
    assert 10_000 < run.measures["rerank_bytes_per_photo"] < 81_000
    assert json.loads(json.dumps(run.to_json()))["measures"]["rerank_stages"] == stages


def test_the_depth_of_the_shortlist(museum, make, cache):
    run = evaluate(make(), museum, Protocol(rerank="geometry", depth=1), cache=cache)
    assert run.map == pytest.approx(evaluate(make(), museum, cache=cache).map)


@pytest.mark.parametrize("junk", ["kept", "removed"])
def test_junk_in_the_shortlist(museum, make, cache, junk, monkeypatch):
    from reseen.search.rerank.geometry import GeometryStage

    seen = []
    verified = GeometryStage.__call__

    def watched(self, ranking, evidence):
        seen.append({hit.id for hit in ranking})
        return verified(self, ranking, evidence)

    monkeypatch.setattr(GeometryStage, "__call__", watched)
    run = evaluate(make(), museum, Protocol(rerank="geometry", junk=junk), cache=cache)
    assert (5 in seen[0]) is (junk == "kept")
    assert all(5 in ids for ids in seen[1:])
    assert run.precision[1].mean() == 1.0
    assert f"{junk} " in run.card["junk"]


def test_localisation_gets_maps_and_the_descriptors_own_head(museum, make, cache):
    run = evaluate(make(), museum, Protocol(rerank="localise", depth=3), cache=cache)
    assert run.measures["rerank_bytes_per_photo"] == 0
    assert len(run.measures["rerank_stages"]) == 2


def test_features_are_extracted_once(museum, cache, monkeypatch):
    first = FeatureCache(cache).read(museum.database)
    monkeypatch.setattr(RootSift, "extract", None)
    again = FeatureCache(cache).read(museum.database[::-1])
    assert [found.to_bytes() for found in again[::-1]] == [found.to_bytes() for found in first]
