"""One descriptor on one benchmark, from photos to measures."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from reseen.errors import BenchmarkError, ReseenError
from reseen.evaluation import Protocol, evaluate, load_benchmarks
from reseen.evaluation.measures.metrics import from_rankings
from reseen.evaluation.protocol import card_lines
from reseen.evaluation.run import Encoded, precision_recall, score
from reseen.search.expansion import dba, instance_means


@pytest.fixture
def benchmark(gallery):
    return load_benchmarks(gallery())[0]


def unit(rows):
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)).astype(np.float32)


def test_measures_hits_and_marks_follow_from_the_vectors(cache, make, benchmark):
    descriptor = make()
    run = evaluate(descriptor, benchmark, cache=cache)
    vectors = descriptor.encode(list(benchmark.photos))
    similar = vectors[8:12] @ vectors[:8].T
    for i, query in enumerate(run.queries):
        order = np.argsort(-similar[i], kind="stable")
        assert [hit["path"] for hit in query["hits"]] == [str(benchmark.database[row]) for row in order]
        np.testing.assert_allclose([hit["score"] for hit in query["hits"]], similar[i, order], atol=1e-5)
        junk = (i - 1) % 8
        marks = {str(benchmark.database[i]): "positive", str(benchmark.database[junk]): "junk"}
        assert [hit["mark"] for hit in query["hits"]] == [marks.get(hit["path"], "negative") for hit in query["hits"]]
        first = [row for row in order if row != junk].index(i) + 1
        assert query["first"] == first
        assert query["ap"] == pytest.approx((float(first == 1) + 1 / first) / 2)  # one positive: one trapezoid
        assert query["ap_finite"] == pytest.approx(1 / first)
    assert run.map == pytest.approx(np.mean([query["ap"] for query in run.queries]))
    assert run.open_set is not None and 0 <= run.open_set.auroc <= 1
    assert run.seconds_per_photo > 0 and np.isnan(run.milliseconds_per_query)


def test_the_json_object_is_plain_and_complete(cache, make, benchmark):
    run = evaluate(make(), benchmark, cache=cache).to_json()
    assert json.loads(json.dumps(run, allow_nan=False)) == run
    wanted = {"recipe", "benchmark", "queries", "map", "precision_at", "interval", "seconds_per_photo", "fingerprint"}
    assert wanted | {"per_query"} <= set(run)
    assert run["queries"] == len(run["per_query"]) == 4 and set(run["precision_at"]) == {"1", "5", "10"}
    assert run["interval"][0] <= run["map"] <= run["interval"][1] <= 1
    assert run["fingerprint"] == make().fingerprint


def test_the_card_says_what_another_person_needs(cache, make, benchmark):
    protocol = Protocol(box="activations", expand="aqe:2", dba="rank:1", junk="removed")
    whitened = make(projection=[{"kind": "pca", "dim": 3, "shrinkage": 0.1}], source="PCA from the moon")
    whitened.projection.fit(make().encode(list(benchmark.database)))
    card = evaluate(whitened, benchmark, protocol, cache=cache).card
    assert card["benchmark"] == "gallery" and (card["database"], card["queries"], card["unmatched"]) == (8, 4, 2)
    assert card["box"].startswith("Crop_X") and card["images"]["longest"] == 96
    assert (card["expansion"], card["database_augmentation"], card["reranking"]) == ("aqe:2", "rank:1", "none")
    assert card["projection"] == [{"kind": "pca", "dim": 3, "shrinkage": 0.1}] and card["dim"] == 3
    assert card["learned_on"] == "PCA from the moon" and card["fingerprint"] == whitened.fingerprint
    assert "removed from" in card["junk"] and card["truncation"] == "the whole database is ranked"
    assert len(card["truth"]) == 64 and {"reseen", "torch", "numpy", "python"} <= set(card["versions"])
    assert {"scales", "head", "backbone", "engine", "precision", "device", "ties", "precision_at"} <= set(card)
    shown = dict(card_lines(card))
    assert shown["head"] == "kind rmac" and shown["projection"] == "kind pca, dim 3, shrinkage 0.1"
    assert shown["notes"] == "none"


@pytest.mark.parametrize("box", ["relative", "tight", "padded", "activations", "whole"])
def test_boxes_mean_what_the_protocol_says(cache, make, gallery, box):
    (benchmark,) = load_benchmarks(gallery(boxes=True))
    network = {"name": "alexnet", "layers": ["conv5"], "weights": "random"}  # its receptive field is known
    descriptor = make(backbone=network) if box == "padded" else make()
    run = evaluate(descriptor, benchmark, Protocol(box=box), cache=cache)
    vectors = descriptor.encode(list(benchmark.database))
    boxes = None if box == "whole" else [query.box for query in benchmark.queries]
    stream = descriptor.stream(
        [query.photo for query in benchmark.queries], boxes, crop=None if box == "whole" else box
    )
    for query, item in zip(run.queries, stream, strict=True):
        expected = np.sort(vectors @ item.vector)[::-1]
        np.testing.assert_allclose([hit["score"] for hit in query["hits"]], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"box": "crop_x"}, "box rule 'crop_x' is not known; the known ones are crop, relative"),
        ({"junk": "ignored"}, "neither kept nor removed"),
        ({"expand": "aqe:0"}, "expansion 'aqe:0' is not none, aqe:N"),
        ({"expand": "uniform:3"}, "expansion 'uniform:3' is not"),
        ({"dba": "alpha:3:x"}, "expansion 'alpha:3:x' is not"),
        ({"rerank": "geometri"}, "'geometri' is not known"),
        ({"depth": 0}, "shortlist of 0 photos"),
    ],
)
def test_protocols_that_nobody_knows_are_refused_at_once(settings, message):
    with pytest.raises(ReseenError, match=message):
        Protocol(**settings)


def test_photos_of_the_truth_must_be_usable_and_distractors_need_not(tmp_path, cache, make, benchmark, paint):
    more = paint(tmp_path / "more", 3, start=500)
    more[1].write_text("<html>not found</html>")
    large = benchmark.with_distractors([tmp_path / "more"])
    run = evaluate(make(), large, cache=cache)
    assert run.benchmark == "gallery+3" and run.card["database"] == 10 and run.card["distractors"] == 2
    assert run.card["notes"] == ["1 distractors cannot be used and are left out"]
    benchmark.queries[2].photo.write_bytes(b"\xff\xd8torn")
    with pytest.raises(BenchmarkError, match=r"gallery: 1 of its photos cannot be used, the first is .*0002\.png"):
        evaluate(make(), benchmark, cache=cache)


def test_distractors_add_their_own_extraction_only(tmp_path, cache, make, benchmark, paint, monkeypatch):
    from reseen.descriptor import pipeline

    before = evaluate(make(), benchmark, cache=cache)
    seen = []
    prepare = pipeline.prepare_photo
    monkeypatch.setattr(pipeline, "prepare_photo", lambda *a: seen.append(a) or prepare(*a))
    paint(tmp_path / "more", 3, start=500)
    after = evaluate(make(), benchmark.with_distractors([tmp_path / "more"]), cache=cache)
    assert len(seen) == 3
    assert np.all(after.ap <= before.ap)


def encoded(benchmark, queries, database, unmatched=None):
    none = np.zeros((0, queries.shape[1]), np.float32)
    return Encoded(benchmark, database, queries, none if unmatched is None else unmatched, 0.1)


def test_expansion_by_hand(cache, make, benchmark):
    queries, database = unit(np.eye(4, 6) + 0.2), unit(np.eye(8, 6) + 0.1)
    blind = dataclasses.replace(benchmark, unmatched=())
    run = score(make(), encoded(blind, queries, database), Protocol(expand="alpha:2:3", dba="uniform:1"), cache)
    similar = database @ database.T
    np.fill_diagonal(similar, -1)
    augmented = unit(database + database[similar.argmax(1)])
    for query, listed in zip(queries, run.queries, strict=True):
        s = augmented @ query
        two = np.argsort(-s, kind="stable")[:2]
        expanded = unit((query + (s[two, None] ** 3 * augmented[two]).sum(0))[None])[0]
        expected = np.sort(augmented @ expanded)[::-1]
        np.testing.assert_allclose([hit["score"] for hit in listed["hits"]], expected, atol=1e-5)
    assert run.open_set is None


@pytest.mark.parametrize("form", ["instance", "instance:rank"])
def test_averages_over_instances_need_labels(cache, make, benchmark, form):
    queries, database = unit(np.eye(4, 6) + 0.2), unit(np.random.default_rng(0).normal(size=(8, 6)))
    labels = ("a", "a", "b", "c", "c", "c", "d", "e")
    labelled = dataclasses.replace(benchmark, unmatched=(), labels=labels)
    run = score(make(), encoded(labelled, queries, database), Protocol(dba=form), cache)
    averaged = dba(database, None, "rank", labels=np.array(labels))
    if form == "instance":
        averaged = instance_means(database, np.array(labels))[[0, 0, 1, 2, 2, 2, 3, 4]]
    assert run.card["database_augmentation"] == form and not np.allclose(averaged, database)
    for query, listed in zip(queries, run.queries, strict=True):
        expected = np.sort(averaged @ query)[::-1]
        np.testing.assert_allclose([hit["score"] for hit in listed["hits"]], expected, atol=1e-5)
    with pytest.raises(BenchmarkError, match=f"augmentation '{form}' needs a benchmark whose database has labels"):
        evaluate(make(), benchmark, Protocol(dba=form), cache=cache)


def test_a_shortlist_is_re_ranked_and_timed(cache, make, benchmark):
    plain = evaluate(make(), benchmark, cache=cache)
    run = evaluate(make(), benchmark, Protocol(rerank="superglobal", depth=3), cache=cache)
    assert run.card["reranking"] == "superglobal" and run.measures["rerank_depth"] == 3
    assert run.milliseconds_per_query > 0
    for before, after in zip(plain.queries, run.queries, strict=True):
        listed = [[hit["path"] for hit in query["hits"]] for query in (before, after)]
        assert set(listed[0][:3]) == set(listed[1][:3]) and listed[0][3:] == listed[1][3:]


def test_measures_of_other_benchmarks(cache, make, benchmark):
    queries, database = unit(np.eye(4, 6) + 0.2), unit(np.eye(8, 6) + 0.1)
    pairs = np.array([[0, 0, 1], [1, 1, 1], [0, 5, 0], [2, 7, 0]])
    other = dataclasses.replace(benchmark, unmatched=(), measure="map@100", pairs=pairs)
    found = score(make(), encoded(other, queries, database), Protocol(), cache).measures
    assert found["map@100"] == 1 and found["recall_at"]["1"] == 1 and found["hit_at"]["1"] == 1
    assert found["pair_verification"]["auroc"] == 1 and found["pair_verification"]["true_positive_rate_at"]["0.01"] == 1
    groups = dataclasses.replace(other, measure="ukb", pairs=None)
    assert score(make(), encoded(groups, queries, database), Protocol(), cache).measures["ukb"] == 1


def test_queries_without_positives_have_no_value_and_leave_the_mean(cache, make, benchmark):
    none = dataclasses.replace(benchmark.queries[0], positives=np.zeros(0, np.int64))
    bare = dataclasses.replace(benchmark, queries=(none, *benchmark.queries[1:]))
    run = evaluate(make(), bare, cache=cache).to_json()
    assert run["per_query"][0]["ap"] is None and run["per_query"][0]["first"] == 0
    assert run["queries"] == 4 and run["scored_queries"] == 3
    assert run["map"] == pytest.approx(np.mean([query["ap"] for query in run["per_query"][1:]]))


def test_vectors_that_are_no_numbers_are_refused(cache, make, benchmark):
    broken = make(projection=[{"kind": "pca", "dim": 3, "shrinkage": 0.1}])
    broken.projection.fit(make().encode(list(benchmark.database)))
    broken.projection.matrix_[1, 2] = np.nan
    with pytest.raises(BenchmarkError, match="gallery: vector 0 holds values that are not finite"):
        evaluate(broken, benchmark, cache=cache)


def test_the_precision_recall_curve_by_hand():
    # relevant at junk-free ranks 0 and 3: precision 1 up to recall 1/2, then 2/4
    found = from_rankings([[0, 2, 3, 1]], [[0, 1]], None, database=4)
    assert precision_recall(found, 5).tolist() == [1, 1, 1, 0.5, 0.5]
    assert np.isnan(precision_recall(from_rankings([[0]], [[]], None, database=1))).all()
