"""The page: whole in itself, safe whatever names hold, and there when photos are gone."""

from __future__ import annotations

import re

import pytest
from PIL import Image

from reseen.evaluation import evaluate, load_benchmarks
from reseen.evaluation.reports.report import thumbnail, write_report


@pytest.fixture
def runs(cache, make, gallery):
    (benchmark,) = load_benchmarks(gallery(boxes=True))
    recipes = (make(name="<i>first"), make(name="second", head={"kind": "mac"}))
    return [evaluate(recipe, benchmark, cache=cache).to_json() for recipe in recipes]


def test_the_page_holds_all_that_it_shows(tmp_path, runs):
    page = tmp_path / "deep" / "report.html"
    write_report(page, runs)
    text = page.read_text()
    assert text.count("data:image/jpeg;base64,") == 2 * 4 * (1 + 8)
    assert text.count("<svg") == 2  # the curves, and the difference
    for mark in ("positive", "negative", "junk"):
        assert f'class="{mark}"' in text
    assert "&lt;i&gt;first" in text and "<i>first" not in text
    assert "second against &lt;i&gt;first" in text and "paired bootstrap" in text
    addresses = re.findall(r'(?:src|href)="([^"#]+)', text)
    assert addresses and all(address.startswith("data:") for address in addresses)


def test_a_photo_that_is_gone_leaves_its_place(tmp_path, runs, gallery):
    for file in (tmp_path / "gallery" / "q").iterdir():
        file.unlink()
    write_report(tmp_path / "report.html", runs[:1])
    text = (tmp_path / "report.html").read_text()
    assert text.count("no photo") == 4 and text.count("data:image/jpeg;base64,") == 4 * 8


def test_runs_without_hits_or_values_are_shown_too(tmp_path, runs):
    for query in runs[0]["per_query"]:
        query["hits"] = []
    runs[1]["per_query"][0]["ap"] = None
    write_report(tmp_path / "report.html", runs)
    assert "Worst queries" in (tmp_path / "report.html").read_text()


def test_a_relevant_photo_stands_beside_the_query_where_none_was_found(tmp_path, runs):
    query = runs[0]["per_query"][0]
    query["hits"] = [hit for hit in query["hits"] if hit["mark"] != "positive"]
    write_report(tmp_path / "report.html", runs[:1])
    (wanted,) = re.findall(r'<figure class="wanted">.*?title="([^"]+)"', (tmp_path / "report.html").read_text(), re.S)
    assert wanted == query["wanted"] and wanted.endswith("db/0000.png")


def test_runs_of_one_recipe_are_told_apart(tmp_path, runs):
    expanded = {**runs[0], "protocol": {**runs[0]["protocol"], "expansion": "aqe:3"}}
    write_report(tmp_path / "report.html", [runs[0], expanded])
    text = (tmp_path / "report.html").read_text()
    assert "first (expansion aqe:3) against &lt;i&gt;first</h2>" in text


def test_thumbnails_show_what_the_box_holds(tmp_path):
    photo = Image.new("RGB", (400, 200), "red")
    photo.paste("blue", (200, 0, 400, 200))
    photo.save(tmp_path / "halves.png")
    assert thumbnail(str(tmp_path / "halves.png"), (250, 0, 390, 200)) != thumbnail(str(tmp_path / "halves.png"))
    assert thumbnail(str(tmp_path / "halves.png"), (900, 900, 950, 950)) is None  # empty inside the photo
    assert thumbnail(str(tmp_path / "gone.png")) is None
