from __future__ import annotations

import json

import pytest

from reseen.errors import BenchmarkError
from reseen.evaluation import load_benchmarks


@pytest.fixture
def written(tmp_path, shoot):
    """Writes a manifest, changed, beside its photos."""
    for name in ("db/a.jpg", "db/b.jpg", "db/c.jpg", "q/a.jpg", "q/z.jpg"):
        shoot(tmp_path / name)

    def write(**changes):
        data = {
            "name": "small",
            "database": ["db/a.jpg", "db/b.jpg", "db/c.jpg"],
            "queries": [{"image": "q/a.jpg", "box": [1, 2, 10.5, 12], "positives": ["db/a.jpg"], "junk": ["db/c.jpg"]}],
            "unmatched": ["q/z.jpg"],
            "comment": "ignored",
            **changes,
        }
        (tmp_path / "manifest.json").write_text(json.dumps(data))
        return tmp_path / "manifest.json"

    return write


def test_a_manifest_is_read_from_its_path_or_its_folder(written):
    path = written()
    for spec in (path, path.parent, str(path)):
        (found,) = load_benchmarks(spec)
        (query,) = found.queries
        assert found.name == "small" and len(found.database) == 3
        assert query.box == (1, 2, 10.5, 12)
        assert query.positives.tolist() == [0] and query.junk.tolist() == [2]
        assert [p.name for p in found.unmatched] == ["z.jpg"]
        assert found.shown(found.database[1]) == "db/b.jpg"


def test_optional_keys_may_be_missing(written):
    (found,) = load_benchmarks(written(queries=[{"image": "q/a.jpg", "positives": ["db/a.jpg"]}], unmatched=None))
    assert found.queries[0].box is None and len(found.queries[0].junk) == 0 and found.unmatched == ()


def test_queries_without_positives_are_noted(written):
    queries = [{"image": "q/a.jpg", "positives": ["db/a.jpg"]}, {"image": "q/z.jpg", "positives": []}]
    (found,) = load_benchmarks(written(queries=queries, unmatched=[]))
    assert found.notes == ("1 of 2 queries have no positives and are left out of the means",)


def test_truth_enters_the_digest(written):
    (first,) = load_benchmarks(written())
    (same,) = load_benchmarks(written())
    (other,) = load_benchmarks(written(comment="changed"))
    assert first.truth == same.truth != other.truth


QUERY = {"image": "q/a.jpg", "positives": ["db/a.jpg"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queries": [{**QUERY, "image": "q/gone.jpg"}]}, r"1 of 5 photos are missing or empty.*gone\.jpg"),
        ({"database": ["db/a.jpg", "db/gone.jpg"], "queries": [QUERY]}, "missing or empty"),
        ({"queries": [{**QUERY, "positives": ["db/nowhere.jpg"]}]}, r"names 'db/nowhere\.jpg', which is not in the da"),
        ({"queries": [{**QUERY, "junk": ["db/a.jpg"]}]}, "both positive and junk"),
        ({"queries": []}, "no queries"),
        ({"database": []}, "not in the database|no database photos"),
        ({"database": ["db/a.jpg", "db/a.jpg"], "queries": [QUERY]}, "in the database twice"),
        ({"queries": [{"image": "q/a.jpg"}]}, "'positives' is missing"),
        ({"queries": [{**QUERY, "box": [1, 2, 3]}]}, "not a benchmark manifest"),
        ({"database": "db"}, "a list of paths was expected"),
    ],
)
def test_manifests_that_contradict_themselves_or_the_files_are_refused(written, changes, message):
    with pytest.raises(BenchmarkError, match=message):
        load_benchmarks(written(**changes))


def test_what_is_no_manifest_is_said(tmp_path):
    path = tmp_path / "manifest.json"
    with pytest.raises(BenchmarkError, match="cannot be read"):
        load_benchmarks(tmp_path)
    path.write_text("{")
    with pytest.raises(BenchmarkError, match="not a JSON file"):
        load_benchmarks(path)
    path.write_text("[1]")
    with pytest.raises(BenchmarkError, match="not a benchmark manifest"):
        load_benchmarks(path)


@pytest.mark.photos
@pytest.mark.parametrize("name", ["paris-sub", "smvs-landmarks", "smvs-dvd", "landmarks-web"])
def test_the_shared_manifests_are_whole(photos, name):
    (found,) = load_benchmarks(photos / name)
    assert found.name == name and all(len(query.positives) for query in found.queries)
