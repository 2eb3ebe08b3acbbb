"""``reseen ablate``: a grid in one command."""

from __future__ import annotations

import csv
import json

import pytest


@pytest.fixture
def recipes(tmp_path, make):
    """``--recipe`` for two heads of one network."""
    saved = [make(name=kind, head={"kind": kind}).save(tmp_path / kind) for kind in ("mac", "gem")]
    return [argument for folder in saved for argument in ("--recipe", folder)]


@pytest.fixture
def lessons(tmp_path, paint):
    for i in range(5):
        paint(tmp_path / "lessons" / str(i), 3, start=100 + 3 * i)
    return f"folders:{tmp_path / 'lessons'}"


def test_a_grid_as_json_and_as_files(tmp_path, call, recipes, lessons, gallery):
    to = tmp_path / "grid"
    grid = ["-p", "raw", "-p", "pca:shrinkage=0.1", "-p", "lda:shrinkage=0.5", "-d", 8, "-d", "full", "--dba", "rank:1"]
    grid += ["--expand", "none", "--expand", "aqe:1", "--learn", lessons]
    code, out, err = call("ablate", gallery(), *recipes, *grid, "--to", to, "--json", "--quiet")
    runs = json.loads(out)["runs"]
    assert code == 0 and len(out.splitlines()) == 1 and "wrote" in err
    assert len(runs) == 2 * 3 * 2 * 2 and len({run["recipe"] for run in runs}) == len(runs)
    assert {run["dim"] for run in runs} == {8, 512} and {run["dba"] for run in runs} == {"rank:1"}
    assert {(run["base"], run["projection"]) for run in runs} == {
        (head, form) for head in ("mac", "gem") for form in ("raw", "pca:shrinkage=0.1", "lda:shrinkage=0.5")
    }
    learned = {run["projection"]: run["protocol"]["learned_on"] for run in runs}
    assert learned["raw"] == "nothing" and "lessons (15 photos, 15 pairs)" in learned["lda:shrinkage=0.5"]
    assert json.loads((to / "ablation.json").read_text()) == json.loads(out)
    with (to / "ablation.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(runs)
    assert (to / "ablation.svg").read_text().startswith("<svg")


def test_places_of_a_grid_can_be_compared(tmp_path, call, recipes, gallery):
    to = tmp_path / "grid"
    call("ablate", gallery(), *recipes, "-d", 8, "-d", "full", "--to", to, "--quiet")
    file, page = to / "ablation.json", tmp_path / "page.html"
    code, out, _ = call("compare", f"{file}#mac | own | 8", f"{file}#gem | own | 512", "--html", page)
    assert code == 0 and "mac | own | 8 -> gem | own | 512" in out and page.is_file()


def test_people_get_a_row_for_each_place(call, recipes, lessons, gallery):
    code, out, err = call("ablate", gallery(), *recipes, "-p", "own", "-p", "pca:shrinkage=0.1", "--learn", lessons)
    assert code == 0 and "learned on" in err and "(15 photos, 15 pairs)" in err
    assert len([line for line in out.splitlines() if line.startswith(("mac", "gem"))]) == 4


def test_too_few_photos_are_learned_from_with_a_warning(call, recipes, lessons, gallery, caplog):
    assert call("ablate", gallery(), *recipes, "-p", "pca:shrinkage=0.1", "--learn", lessons, "--json")[0] == 0
    assert "512 dimensions from 15 vectors" in caplog.text


def test_what_is_wrong_is_one_line(tmp_path, call, recipes, lessons, gallery):
    manifest = gallery()
    for expected, message, *arguments in (
        (1, "name some with --learn", "-p", "pca"),
        (1, "'whiten' is not known", "-p", "whiten", "--learn", lessons),
        (1, "is not own, raw, or KIND", "-p", "pca:power", "--learn", lessons),
        (1, "shrinkage 7 is not in 0..1", "-p", "pca:shrinkage=7", "--learn", lessons),
        (1, "pca to 9999 dimensions", "-p", "pca:dim=9999", "--learn", lessons),
        (1, "matching pairs: none", "-p", "lw", "--learn", f"photos:{tmp_path / 'lessons'}"),
        (1, "no such folder", "-p", "pca", "--learn", f"photos:{tmp_path / 'gone'}"),
        (1, "to learn from: photos, folders", "-p", "pca", "--learn", tmp_path / "gone.json"),
        (1, "dimensions must be 1 or more", "-d", 0),
        (2, "'many' is neither a number nor full", "-d", "many"),
        (1, "expansion 'aqe' is not", "--expand", "aqe"),
        (1, "box rule 'middle' is not known", "--box", "middle"),
    ):
        code, out, err = call("ablate", manifest, *recipes, *arguments, "--json", "--quiet")
        lines = [line for line in err.strip().splitlines() if line.startswith("reseen: ")]
        assert code == expected and out == "" and len(lines) == 1 and message in lines[0], (arguments, err)
