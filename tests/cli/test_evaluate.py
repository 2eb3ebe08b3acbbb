"""``reseen evaluate`` and ``reseen compare``: what a program and a person get, and what is refused, in one line."""

from __future__ import annotations

import csv
import json

import pytest

from reseen.evaluation import VectorCache, evaluate, load_benchmarks


@pytest.fixture
def tiny(tmp_path, make):
    return make().save(tmp_path / "tiny")


@pytest.fixture
def other(tmp_path, make):
    return make(name="other", head={"kind": "mac"}).save(tmp_path / "other")


def test_json_is_one_object_of_runs(tmp_path, call, tiny, other, gallery, make):
    one, two = gallery("one"), gallery("two", start=20)
    code, out, err = call("evaluate", one, two.parent, "--recipe", tiny, "--recipe", other, "--json", "--quiet")
    assert (code, err) == (0, "") and len(out.splitlines()) == 1
    runs = json.loads(out)["runs"]
    assert [(r["recipe"], r["benchmark"]) for r in runs] == [
        (recipe, name) for recipe in ("tiny", "other") for name in ("one", "two")
    ]
    keys = {"recipe", "benchmark", "queries", "map", "precision_at", "interval", "seconds_per_photo", "fingerprint"}
    assert all(keys | {"per_query"} <= set(r) for r in runs)
    expected = evaluate(make(), load_benchmarks(one)[0], cache=VectorCache(tmp_path / "elsewhere")).to_json()
    timing = {"seconds_per_photo": 0}
    assert {**runs[0], **timing} == {**expected, **timing}


def test_every_option_reaches_the_card(tmp_path, call, tiny, gallery, paint):
    paint(tmp_path / "more", 3, start=400)
    manifest = gallery(boxes=True)
    options = ["--box", "activations", "--expand", "aqe:2", "--dba", "rank:1", "--scales", "1,0.5", "--size", 64]
    options += ["--distractors", tmp_path / "more", "--precision", "float32"]
    code, out, _ = call("evaluate", manifest, "--recipe", tiny, *options, "--json")
    (found,) = json.loads(out)["runs"]
    card = found["protocol"]
    assert code == 0 and found["benchmark"] == "gallery+3" and card["distractors"] == 3
    assert card["box"].startswith("Crop_X") and card["scales"]["factors"] == [1, 0.5]
    assert card["images"]["longest"] == 64 and card["precision"] == "float32"
    assert (card["expansion"], card["database_augmentation"]) == ("aqe:2", "rank:1")
    assert found["recipe"] == "tiny@64 x1,0.5" and found["per_query"][0]["box"] == [8, 4, 90, 60]


def test_a_second_evaluation_sees_no_photo(call, tiny, gallery, monkeypatch):
    from reseen.descriptor import pipeline

    manifest = gallery()
    first = call("evaluate", manifest, "--recipe", tiny, "--json")[1]
    monkeypatch.setattr(pipeline, "prepare_photo", None)
    code, out, _ = call("evaluate", manifest, "--recipe", tiny, "--json")
    assert code == 0 and out == first


def test_people_get_tables_the_card_and_files(tmp_path, call, tiny, other, gallery):
    manifest, to = gallery(), tmp_path / "results"
    code, out, err = call("evaluate", manifest, "--recipe", tiny, "--recipe", other, "--to", to)
    assert code == 0
    assert "mAP (95 % interval) / precision@1" in out and "tiny" in out and "found at 1 % alarms" in out
    assert out.count("fingerprint") == 2 and "wrote" in err
    assert sorted(file.name for file in to.iterdir()) == [
        "protocol.json",
        "report.html",
        "results.csv",
        "results.json",
    ]
    with (to / "results.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 8
    assert "fingerprint" not in call("evaluate", manifest, "--recipe", tiny, "--quiet")[1]


def test_two_runs_are_compared(tmp_path, call, tiny, other, gallery):
    manifest, to = gallery(), tmp_path / "results"
    call("evaluate", manifest, "--recipe", tiny, "--recipe", other, "--to", to, "--quiet")
    code, out, _ = call("compare", f"{to}#tiny", f"{to}#2", "--json")
    (found,) = json.loads(out)["comparisons"]
    assert code == 0 and (found["first"], found["second"]) == ("tiny", "other")
    assert {"mean", "interval", "p_value", "better", "equal", "worse"} == set(found["map"])
    page = tmp_path / "compared.html"
    code, out, err = call("compare", f"{to}#tiny", f"{to}#2", "--html", page)
    assert code == 0 and "tiny -> other" in out and "wrote" in err
    assert "other against tiny" in page.read_text()
    for first, second, message in (
        (to, f"{to}#2", "several runs on gallery"),
        (f"{to}#9", f"{to}#2", "no run '9'"),
        (tmp_path / "gone", to, "cannot be read"),
    ):
        code, _, err = call("compare", first, second)
        assert code == 1 and message in err and len(err.strip().splitlines()) == 1


def test_distributed_sets_by_name_and_folder(tmp_path, call, tiny, paint):
    folder = tmp_path / "ukb"
    for i, photo in enumerate(paint(folder, 4)):
        photo.rename(folder / f"ukbench{i:05d}.png")
    code, _, err = call("evaluate", f"ukb:{folder}", "--recipe", tiny)
    assert code == 1 and "4 photos where ukb has 10200: the download is incomplete" in err
    code, out, err = call("evaluate", f"ukb:{folder}", "--recipe", tiny, "--partial", "--quiet")
    assert code == 0 and "ukb 4.00" in out and "partial set" in err


def test_what_is_wrong_is_one_line(tmp_path, call, tiny, gallery):
    manifest = gallery()
    for message, *arguments in (
        ("no such manifest", tmp_path / "gone.json"),
        ("'oxford9' is not known", f"oxford9:{tmp_path}"),
        ("box rule 'middle' is not known", manifest, "--box", "middle"),
        ("expansion 'aqe' is not", manifest, "--expand", "aqe"),
        ("expansion 'aqe:3' is not", manifest, "--dba", "aqe:3"),
        ("'geometri' is not known", manifest, "--rerank", "geometri"),
        ("neither kept nor removed", manifest, "--junk", "x"),
        ("not numbers separated by commas", manifest, "--scales", "1,half"),
        ("is not auto, float32 or bfloat16", manifest, "--precision", "int8"),
        ("no such folder", manifest, "--distractors", tmp_path / "gone"),
    ):
        code, out, err = call("evaluate", *arguments, "--recipe", tiny, "--json")
        assert code == 1 and out == "" and message in err and len(err.strip().splitlines()) == 1, (message, err)
    assert call("evaluate", manifest, "--recipe", "nothing")[0] == 1
    assert call("evaluate")[0] == 2
    broken = json.loads(manifest.read_text())
    broken["queries"][0]["junk"] = broken["queries"][0]["positives"]
    manifest.write_text(json.dumps(broken))
    code, _, err = call("evaluate", manifest, "--recipe", tiny)
    assert code == 1 and "both positive and junk" in err


def test_words_as_first_stage_and_alone(call, tiny, gallery):
    manifest = gallery()
    code, out, _ = call("evaluate", manifest, "-r", tiny, "-r", "bow-sift", "--first", "both", "--json", "--quiet")
    assert code == 0
    cards = [run["protocol"] for run in json.loads(out)["runs"]]
    assert [card["recipe"] for card in cards] == ["tiny", "bow-sift"]
    assert all("words" in card["first_stage"] for card in cards)
    code, _, err = call("evaluate", manifest, "-r", tiny, "--first", "words")
    assert code == 2 and "--first" in err


def test_as_typed_is_what_index_and_search_do(tmp_path, call, tiny, gallery):
    manifest = gallery()
    code, out, _ = call("evaluate", manifest, "--recipe", tiny, "--as-typed", "--json")
    (run,) = json.loads(out)["runs"]
    assert code == 0 and run["protocol"]["reranking"] == "as index and search do without an option"
    (benchmark,) = load_benchmarks(manifest)
    shelf = tmp_path / "shelf"
    assert call("index", *benchmark.database, "--to", shelf, "--recipe", tiny, "-q")[0] == 0
    for asked, scored in zip(benchmark.queries, run["per_query"], strict=True):
        hits = json.loads(call("search", shelf, asked.photo, "--json")[1])["hits"]
        assert [(hit["path"], round(hit["score"], 4)) for hit in hits[:3]] == [
            (hit["path"], round(hit["score"], 4)) for hit in scored["hits"][:3]
        ]
        assert hits[0]["score"] > hits[0]["similarity"]


@pytest.mark.parametrize(
    "option", [("--rerank", "auto"), ("--expand", "aqe:2"), ("--first", "local"), ("--depth", "9")]
)
def test_as_typed_leaves_no_room_for_options(call, tiny, gallery, option):
    code, _, err = call("evaluate", gallery(), "--recipe", tiny, "--as-typed", *option)
    assert code == 1 and "without an option" in err and len(err.strip().splitlines()) == 1
