from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_array

from reseen.errors import TrainingError
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.photosets import Geometry, class_folders, join, references
from reseen.training.settings import Pairs, TrainingSettings
from reseen.training.validation import from_benchmark, from_set, held_out_validation


def encoder(rows):
    """Vectors at angles of ``rows[(photo, kind)]`` degrees."""

    def encode(views):
        a = np.radians([rows[v.photo, v.kind] for v in views])
        return np.stack([np.cos(a), np.sin(a)], 1).astype(np.float32)

    return encode


def test_a_held_out_part_is_ranked_without_the_query_itself(classes):
    data = class_folders(classes).keep(np.arange(32) < 8)
    validation = from_set(data)
    assert len(validation.queries) == len(validation.database) == 8
    apart = {(i, "plain"): 90.0 * (i // 4) + i for i in range(8)}
    assert validation.measure(encoder(apart)) == pytest.approx(1)
    mixed = {(i, "plain"): 10.0 * i if i != 3 else 75.0 for i in range(8)}
    assert validation.measure(encoder(mixed)) < 0.9


def test_virtual_photos_are_searched_for_among_references(classes):
    validation = from_set(references(classes / "c0"))
    right = {(i, kind): 20.0 * i for i in range(4) for kind in ("mild", "virtual")}
    assert validation.measure(encoder(right)) == pytest.approx(1)
    wrong = {(i, kind): 20.0 * (i if kind == "mild" else 3 - i) for i in range(4) for kind in ("mild", "virtual")}
    assert validation.measure(encoder(wrong)) < 0.5


def test_sets_may_be_mixed_and_queries_are_limited(classes):
    data = join([class_folders(classes), references(classes / "c0")])
    assert len(from_set(data, queries=7).queries) == 7
    lonely = class_folders(classes).keep(np.arange(32) % 4 == 0)
    with pytest.raises(TrainingError, match="no matching photos"):
        from_set(lonely)


def test_a_benchmark_is_read_with_its_junk(classes):
    names = [f"c{c}/{i}.png" for c in range(3) for i in range(3)]
    queries = [
        {"image": "c0/3.png", "box": None, "positives": ["c0/0.png"], "junk": ["c0/1.png"]},
        {"image": "c1/3.png", "box": None, "positives": [], "junk": []},
    ]
    file = classes / "manifest.json"
    file.write_text(json.dumps({"name": "x", "database": names, "queries": queries}))
    benchmark = load_benchmarks(file)[0]
    validation = from_benchmark(benchmark)
    assert len(validation.database) == 9
    assert len(validation.queries) == 1
    rows = {(i, "plain"): 10.0 * i for i in range(9)} | {(9, "plain"): 9.0}
    assert validation.measure(encoder(rows)) == pytest.approx(1)  # the photo at 10 degrees is junk
    file.write_text(json.dumps({"name": "x", "database": names, "queries": queries[1:]}))
    with pytest.raises(TrainingError, match="no query has a positive"):
        from_benchmark(load_benchmarks(file)[0])


def angles(vectors):
    """An encoder that gives plain photos these angles in degrees."""
    return encoder({(i, "plain"): angle for i, angle in enumerate(vectors)})


def listed(classes, pairs, negatives=()):
    """Classes 0 to 3 of four photos, of which some pairs are known to match."""
    data = class_folders(classes).keep(np.arange(32) < 16)
    pairs = np.asarray(pairs)
    return replace(data, pairs=pairs, negatives=np.zeros((len(pairs), 0), np.int64), unpaired=np.zeros(16, bool))


def test_a_whole_cluster_is_no_match_where_pairs_are_known(classes):
    """Photo 1 matches 0; 2 and 3, of the same cluster, count neither way."""
    validation = from_set(listed(classes, [[0, 1]]))
    assert [view.photo for view in validation.queries] == [0]
    assert [rows.tolist() for rows in validation.positives] == [[1]]
    far = [0, 10, 80, 85, *np.linspace(20, 60, 12)]
    assert validation.measure(angles(far)) == pytest.approx(1)  # counting 2 and 3 as matches would give less
    near = [0, 30, 1, 2, 10, *np.linspace(40, 60, 11)]
    assert validation.measure(angles(near)) == pytest.approx(0.25)  # 4 stands before it; 2 and 3 do not count


def test_every_given_pair_is_asked_for(classes):
    validation = from_set(listed(classes, [[0, 1], [0, 2], [5, 4]]))
    assert [(v.photo, *p.tolist()) for v, p in zip(validation.queries, validation.positives, strict=True)] == [
        (0, 1),
        (0, 2),
        (5, 4),
    ]
    assert len(from_set(listed(classes, [[0, 1], [0, 2], [5, 4]]), queries=2).queries) == 2


def test_tuples_rank_the_positive_among_mined_photos_of_other_clusters(classes):
    """The positive at 30 degrees; cluster 1 at 10, 11, 12, 13, cluster 2 at 20 to 23, cluster 3 at 50 to 53."""
    rows = [0, 30, 1, 2, 10, 11, 12, 13, 20, 21, 22, 23, 50, 51, 52, 53]
    data = listed(classes, [[0, 1]])
    # among all others eight photos stand before it, among the nearest of each cluster two
    assert from_set(data).measure(angles(rows)) == pytest.approx((0 + 1 / 9) / 2)
    assert from_set(data, negatives=3).measure(angles(rows)) == pytest.approx((0 + 1 / 3) / 2)
    assert from_set(data, negatives=1).measure(angles(rows)) == pytest.approx((0 + 1 / 2) / 2)
    rows[4:8] = [70, 71, 72, 73]
    assert from_set(data, negatives=3).measure(angles(rows)) == pytest.approx((0 + 1 / 2) / 2)


def test_reconstructions_are_validated_on_pairs_that_share_points(classes):
    data = class_folders(classes).keep(np.arange(32) < 16)
    visible = np.zeros((16, 40), bool)
    for i in range(16):  # photos 0 and 1 of a cluster see the same, 2 and 3 something else each
        visible[i, i // 4 * 10 + max(0, i % 4 - 1) * 3 :][:3] = True
    data = replace(data, geometry=Geometry(np.zeros((16, 3)), csr_array(visible), np.ones(16)))
    for rule in ("m1", "m2", "m3"):
        settings = TrainingSettings(pairs=Pairs(rule=rule, share=1.0), validation_negatives=5)
        found = held_out_validation(data, settings)
        assert sorted((v.photo, *p.tolist()) for v, p in zip(found.queries, found.positives, strict=True)) == sorted(
            (4 * c + a, 4 * c + 1 - a) for c in range(4) for a in (0, 1)
        )
        assert found.negatives == 5
    assert len(held_out_validation(data, TrainingSettings()).queries) == 16  # pairs drawn by class: all of it matches


def test_a_view_is_encoded_once(classes):
    data = class_folders(classes).keep(np.arange(32) < 8)
    seen = []

    def encode(views):
        seen.extend(views)
        return angles(range(8))(views)

    from_set(data).measure(encode)
    assert len(seen) == len(set(seen)) == 8
