from __future__ import annotations

import json

import numpy as np
import pytest

from reseen.errors import TrainingError
from reseen.evaluation.benchmarks import load_benchmarks
from reseen.photosets import class_folders, join, references
from reseen.training.validation import from_benchmark, from_set


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
