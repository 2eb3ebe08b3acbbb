"""Two runs, and results on disk."""

from __future__ import annotations

import copy
import csv
import json

import pytest

from reseen.errors import BenchmarkError
from reseen.evaluation import evaluate, load_benchmarks
from reseen.evaluation.reports import results
from reseen.evaluation.reports.compare import compare, matching


@pytest.fixture
def runs(cache, make, gallery):
    (benchmark,) = load_benchmarks(gallery())
    found = [evaluate(make(), benchmark, cache=cache).to_json()]
    found.append(evaluate(make(name="other", head={"kind": "mac"}), benchmark, cache=cache).to_json())
    return found


def with_ap(run, values):
    changed = copy.deepcopy(run)
    for query, value in zip(changed["per_query"], values, strict=True):
        query["ap"] = value
    return changed


def test_the_second_minus_the_first_query_by_query(runs):
    found = compare(with_ap(runs[0], [0.5, 1.0, 0.2, None]), with_ap(runs[1], [0.75, 0.5, 0.2, 0.9]))
    assert found.map.mean == pytest.approx(-0.25 / 3)
    assert (found.map.better, found.map.equal, found.map.worse) == (1, 1, 1)
    assert [delta for _, a, b in found.queries for delta in [b - a]] == [-0.5, 0, 0.25]
    assert (found.first, found.second, found.benchmark) == ("tiny", "other", "gallery")
    json.dumps(found.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [("truth", "x", "ground truth .the files differ"), ("database", 9, "number of database photos differs: 8 and 9")],
)
def test_runs_on_other_things_are_refused(runs, key, value, message):
    other = copy.deepcopy(runs[1])
    other["protocol"][key] = value
    with pytest.raises(BenchmarkError, match=message):
        compare(runs[0], other)


def test_runs_of_other_queries_are_refused(runs):
    other = copy.deepcopy(runs[1])
    other["per_query"][0]["box"] = [1, 2, 3, 4]
    with pytest.raises(BenchmarkError, match="their queries are not the same"):
        compare(runs[0], other)


def test_runs_are_matched_by_benchmark(runs):
    elsewhere = {**runs[1], "benchmark": "elsewhere"}
    assert matching([runs[0], elsewhere], [runs[1]]) == [(runs[0], runs[1])]
    with pytest.raises(BenchmarkError, match="no benchmark in common: gallery and elsewhere"):
        matching([runs[0]], [elsewhere])
    with pytest.raises(BenchmarkError, match="several runs on gallery: pick one with FILE#RECIPE"):
        matching(runs, [runs[0]])


def test_results_are_saved_read_and_picked(tmp_path, runs):
    folder = tmp_path / "run#1"
    results.save(folder, runs)
    assert results.read_runs(folder) == results.read_runs(folder / "results.json") == runs
    plain = tmp_path / "run"
    results.save(plain, runs)
    assert results.read_runs(f"{plain}#other") == results.read_runs(f"{plain}#2") == [runs[1]]
    assert results.read_runs(f"{plain}/results.json#other@gallery") == [runs[1]]
    with pytest.raises(BenchmarkError, match="no run 'third'; it has tiny@gallery, other@gallery"):
        results.read_runs(f"{plain}#third")
    assert [card["recipe"] for card in json.loads((plain / "protocol.json").read_text())] == ["tiny", "other"]
    with (plain / "results.csv").open(newline="") as file:
        listed = list(csv.DictReader(file))
    assert len(listed) == 8 and listed[0]["recipe"] == "tiny" and listed[7]["benchmark"] == "gallery"
    assert float(listed[0]["ap"]) == pytest.approx(runs[0]["per_query"][0]["ap"], abs=1e-6)


@pytest.mark.parametrize("text", ["{", "[]", '{"runs": [{"recipe": "a"}]}', '{"runs": 3}'])
def test_what_holds_no_results_is_said(tmp_path, text):
    file = tmp_path / "results.json"
    file.write_text(text)
    with pytest.raises(BenchmarkError, match="not the results of `reseen evaluate`"):
        results.read_runs(file)
    with pytest.raises(BenchmarkError, match="cannot be read"):
        results.read_runs(tmp_path / "nowhere")


def test_labels_tell_what_differs_between_runs_of_one_recipe(runs):
    def made(**changes):
        return {**runs[0], "protocol": {**runs[0]["protocol"], **changes}}

    assert results.labels(runs) == ["tiny", "other"]
    expanded = made(expansion="aqe:3", database_augmentation="rank:2")
    assert results.labels([runs[0], expanded, runs[1]]) == [
        "tiny",
        "tiny (expansion aqe:3, database augmentation rank:2)",
        "other",
    ]
    assert results.labels([runs[0], made(fingerprint="0" * 64)])[1] == f"tiny (fingerprint {'0' * 24})"
    second = {**expanded, "benchmark": "second"}  # another benchmark is no other run
    assert results.labels([runs[0], second]) == ["tiny", "tiny"]
    assert [row[0] for row in results.table([runs[0], expanded])[1]] == results.labels([runs[0], expanded])


def test_differences_for_people():
    assert [results.signed(value) for value in (0.0123, -0.0004, 0.0, -0.012)] == ["+1.2", "0.0", "0.0", "-1.2"]


def test_the_table_has_a_recipe_per_row_and_its_mean(runs):
    second = [{**run, "benchmark": "second", "map": 0.5} for run in runs[:1]]
    columns, rows = results.table([*runs, *second])
    assert columns == ["recipe", "gallery", "second", "mean mAP"]
    assert [row[0] for row in rows] == ["tiny", "other"]
    assert rows[0][3] == results.percent((runs[0]["map"] + 0.5) / 2) and rows[1][2:] == ["-", "-"]
    ukb = {**runs[0], "measures": {"ukb": 3.456}}
    assert results.headline(ukb) == ("ukb", 3.456) and results.cell(ukb).startswith("ukb 3.46 / ")
