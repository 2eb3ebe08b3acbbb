"""Grids: each place equals the same thing done by hand, over shared passes."""

from __future__ import annotations

import csv
import io
import json
import logging

import numpy as np
import pytest

from reseen.errors import BenchmarkError, RecipeError
from reseen.evaluation import Protocol, evaluate, load_benchmarks
from reseen.evaluation.ablation import Grid, ablate, draw, parse_projection, table, to_csv
from reseen.evaluation.learning_sets import read_learning_set
from reseen.projections import LDA, LW, PCA, RN, Chain, Power


@pytest.fixture
def benchmark(gallery):
    return load_benchmarks(gallery())[0]


@pytest.fixture
def lessons(tmp_path, cache, paint):
    """Six classes of three photos."""
    for i in range(6):
        paint(tmp_path / "lessons" / str(i), 3, start=100 + 3 * i)
    return [read_learning_set(f"folders:{tmp_path / 'lessons'}")]


def whitened(make, projection, vectors):
    descriptor = make(projection=[{"kind": projection.kind, **projection.settings()}])
    return descriptor.replace(projection=projection.fit(*vectors))


def test_projections_by_name():
    projection = parse_projection("pca:power=0.5,shrinkage=0.01")
    assert isinstance(projection, PCA) and (projection.power, projection.shrinkage) == (0.5, 0.01)
    assert isinstance(parse_projection("lda"), LDA)
    assert parse_projection("lw:form=paper").settings() == LW(form="paper").settings()
    chain = parse_projection("rn+power:exponent=0.3")
    assert isinstance(chain, Chain) and isinstance(chain.steps[0], RN) and isinstance(chain.steps[1], Power)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"projections": ("pcaw",)}, RecipeError, "'pcaw' is not known"),
        ({"projections": ("pca:power",)}, RecipeError, "'pca:power' is not own, raw, or KIND"),
        ({"projections": ("pca:sharpness=1",)}, RecipeError, "sharpness"),
        ({"dims": (0,)}, BenchmarkError, "1 or more"),
        ({"expand": ("aqe",)}, BenchmarkError, "'aqe' is not none, aqe:N"),
        ({"dba": ("median:3",)}, BenchmarkError, "'median:3' is not none, uniform:N"),
    ],
)
def test_grids_that_make_no_sense_are_refused_before_anything_is_extracted(changes, error, message):
    with pytest.raises(error, match=message):
        Grid(**changes)


def test_every_place_equals_the_same_thing_done_alone(cache, make, benchmark, lessons):
    descriptor = make()
    vectors = cache.encode(descriptor, lessons[0].photos).vectors
    pca = PCA(shrinkage=0.1)
    alone = whitened(make, pca, (vectors,))
    short = make(projection=[{"kind": "pca", "dim": 8, "shrinkage": 0.1}])
    short.projection.fit(vectors)
    grid = Grid(("own", "pca:shrinkage=0.1"), (8, None, 10**6), ("none", "alpha:3:2"), ("none", "rank:2"))
    points = {
        (p.projection, p.dim, p.expand, p.dba): p.run
        for p in ablate([descriptor], [benchmark], grid, lessons, cache=cache)
    }
    assert len(points) == 2 * 2 * 2 * 2  # more dimensions than there are are left out
    for expand in grid.expand:
        for dba in grid.dba:
            protocol = Protocol(expand=expand, dba=dba)
            for key, other in ((("own", 512), descriptor), (("pca:shrinkage=0.1", 512), alone)):
                expected = evaluate(other, benchmark, protocol, cache=cache)
                found = points[*key, expand, dba]
                np.testing.assert_allclose(found.ap, expected.ap, atol=1e-12)
                assert [q["first"] for q in found.queries] == [q["first"] for q in expected.queries]
    cut = evaluate(short, benchmark, cache=cache)
    found = points["pca:shrinkage=0.1", 8, "none", "none"]
    np.testing.assert_allclose(found.ap, cut.ap, atol=1e-12)
    assert all(query["hits"] == [] for query in found.queries)


def test_pairs_reach_the_projections_that_need_them(cache, make, benchmark, lessons):
    grid = Grid(("lw:shrinkage=0.3", "lda:shrinkage=0.3", "pca:power=0,dim=16+lw:shrinkage=0.3"))
    points = list(ablate([make()], [benchmark], grid, lessons, cache=cache))
    assert [point.dim for point in points] == [512, 512, 16]
    vectors = cache.encode(make(), lessons[0].photos).vectors
    expected = evaluate(whitened(make, LW(shrinkage=0.3), (vectors, lessons[0].matching)), benchmark, cache=cache)
    np.testing.assert_allclose(points[0].run.ap, expected.ap, atol=1e-12)


def test_heads_pass_the_network_once(tmp_path, cache, make, benchmark, lessons, monkeypatch):
    from reseen.descriptor import pipeline

    seen = []
    prepare = pipeline.prepare_photo
    monkeypatch.setattr(pipeline, "prepare_photo", lambda *a: seen.append(a) or prepare(*a))
    heads = [make(name=kind, head={"kind": kind}) for kind in ("mac", "gem", "rmac")]
    progress = []
    points = list(
        ablate(heads, [benchmark], Grid(("raw", "pca:shrinkage=0.1")), lessons, cache=cache,
               progress=lambda name, done, total: progress.append(name))
    )  # fmt: skip
    assert len(seen) == len(benchmark.photos) + len(lessons[0].photos)
    assert [(p.recipe, p.projection) for p in points] == [
        (kind, form) for kind in ("mac", "gem", "rmac") for form in ("raw", "pca:shrinkage=0.1")
    ]
    assert set(progress) == {lessons[0].name, "gallery"}


def test_photos_that_are_learned_on_and_scored_are_noted(cache, make, gallery, benchmark):
    lesson = read_learning_set(gallery("second", start=0))  # the same pictures in another folder
    (point,) = ablate([make()], [benchmark], Grid(("pca:shrinkage=0.1",)), [lesson], cache=cache)
    assert "12 of its 14 photos are among those that projections are learned on" in point.run.card["notes"]
    assert point.run.card["learned_on"] == "projection: second (12 photos, 4 pairs)"
    (own,) = ablate([make()], [benchmark], Grid(), [], cache=cache)
    assert own.run.card["notes"] == [] and own.run.card["learned_on"] == "not said by the recipe"


def test_photos_to_learn_on_that_cannot_be_used_are_left_out(tmp_path, cache, make, benchmark, lessons, caplog):
    (tmp_path / "lessons" / "0" / "bad.png").write_bytes(b"")
    spoiled = read_learning_set(f"folders:{tmp_path / 'lessons'}")
    assert len(spoiled.matching) == len(lessons[0].matching) + 3
    with caplog.at_level(logging.WARNING):
        (found,) = ablate([make()], [benchmark], Grid(("lda:shrinkage=0.3",)), [spoiled], cache=cache)
    assert "1 photos to learn on cannot be used" in caplog.text
    (expected,) = ablate([make()], [benchmark], Grid(("lda:shrinkage=0.3",)), lessons, cache=cache)
    np.testing.assert_allclose(found.run.ap, expected.run.ap, atol=1e-9)


def test_nothing_to_learn_on_is_said(tmp_path, cache, make, benchmark, paint):
    with pytest.raises(BenchmarkError, match="name some with --learn"):
        list(ablate([make()], [benchmark], Grid(("pca",)), [], cache=cache))
    paint(tmp_path / "p", 3)
    unpaired = read_learning_set(f"photos:{tmp_path / 'p'}")
    with pytest.raises(BenchmarkError, match="tiny: projection 'lw': .*matching pairs: none"):
        list(ablate([make()], [benchmark], Grid(("lw",)), [unpaired], cache=cache))


def test_table_csv_json_and_drawing(cache, make, gallery, lessons):
    sets = [load_benchmarks(gallery(name, unmatched=u, start=s))[0] for name, u, s in (("one", 0, 0), ("two", 2, 20))]
    grid = Grid(("raw", "pca:shrinkage=0.1"), (4, None), ("none", "aqe:1"))
    points = list(ablate([make()], sets, grid, lessons, cache=cache))
    columns, rows = table(points)
    assert columns == ["recipe", "projection", "dim", "expand", "dba", "one", "two", "mean mAP"]
    assert len(rows) == 8 and rows[0][:5] == ["tiny", "raw", "4", "none", "none"]
    results = [point.to_json() for point in points]
    json.dumps(results, allow_nan=False)
    assert results[0]["recipe"] == "tiny | raw | 4" and results[0]["base"] == "tiny"
    assert results[1]["recipe"] == "tiny | raw | 4 | expand aqe:1"
    listed = list(csv.DictReader(io.StringIO(to_csv(results))))
    assert len(listed) == 16 and float(listed[0]["map"]) == pytest.approx(points[0].run.map, abs=1e-6)
    drawing = draw(points)
    assert drawing.startswith("<svg") and drawing == draw(points)
    assert "tiny | pca:shrinkage=0.1 | expand aqe:1" in drawing and ">one<" in drawing and ">two<" in drawing
