"""Older collections are given local features: only those that are missing, and nothing else changes."""

import pytest

from reseen.collections import Collection
from reseen.errors import CollectionError


@pytest.fixture
def plain(tmp_path, pixels, paint):
    """Six photos without local features, one of them an upload."""
    collection = Collection.create(tmp_path / "c", pixels, local="none")
    paths = paint(tmp_path / "photos", 6)
    collection.add(*paths[:5], labels={paths[0]: "first"})
    collection.add_photos([("upload", paths[5].read_bytes())])
    return collection


def without(collection):
    held = collection.features([row.id for row in collection.photos()])
    return [row.name for row in collection.photos() if row.id not in held]


def test_photos_without_features_get_them_and_keep_all_else(plain, pixels, tmp_path):
    rows, vectors = plain.photos(), plain.vectors()[1].copy()
    report = plain.add_local_features()
    assert report.filled == 5 and [(r.path, r.reason) for r in report.rejected] == [
        ("upload", "an upload: give it again")
    ]
    opened = Collection.open(plain.folder, pixels)
    assert opened.manifest.local.startswith("sift-") and opened.verify() == []
    assert without(opened) == ["upload"]
    told = {row.id: (row.path, row.label, row.sha256, row.mtime_ns) for row in opened.photos()}
    assert told == {row.id: (row.path, row.label, row.sha256, row.mtime_ns) for row in rows}
    assert sorted(opened.vectors()[1].tolist()) == sorted(vectors.tolist())
    fresh = Collection.create(tmp_path / "fresh", pixels)
    fresh.add(tmp_path / "photos" / "0002.png")
    (expected,) = fresh.features([row.id for row in fresh.photos()]).values()
    row = next(row for row in opened.photos() if row.name.endswith("0002.png"))
    assert opened.features([row.id]) == {row.id: expected}
    ranking = opened.search(tmp_path / "photos" / "0002.png")
    assert ranking[0].id == row.id and ranking[0].verified


def test_only_what_is_missing_is_read(plain, tmp_path):
    plain.add_local_features()
    version = plain.version
    for path in (tmp_path / "photos").iterdir():
        path.unlink()
    report = plain.add_local_features()
    assert report.filled == 0 and plain.version == version
    assert [item.path for item in report.rejected] == ["upload"]


def test_begun_work_goes_on(plain, monkeypatch):
    from reseen.collections import writing

    monkeypatch.setattr(writing, "BATCH", 2)
    real, calls = writing.Writer._rewrite, []

    def dies(writer, *given):
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(writer, *given)

    monkeypatch.setattr(writing.Writer, "_rewrite", dies)
    with pytest.raises(KeyboardInterrupt):
        plain.add_local_features()
    opened = Collection.open(plain.folder)
    assert len(without(opened)) == 4 and opened.verify() == []
    assert opened.add_local_features().filled == 3


def test_photos_that_changed_or_are_gone_are_reported(plain, tmp_path, paint):
    (tmp_path / "photos" / "0001.png").unlink()
    (changed,) = paint(tmp_path / "other", 1, start=40)
    changed.rename(tmp_path / "photos" / "0002.png")
    report = plain.add_local_features()
    reasons = {item.path.rpartition("/")[2]: item.reason for item in report.rejected}
    assert reasons["0002.png"] == "changed since it was indexed" and "no such file" in reasons["0001.png"].lower()
    assert report.filled == 3
    assert plain.add(tmp_path / "photos" / "0002.png").updated == 1
    assert sorted(name.rpartition("/")[2] for name in without(plain)) == ["0001.png", "upload"]


def test_a_collection_that_keeps_some_takes_no_others(plain):
    plain.add_local_features("sift-320-100-0.01-3-40")
    plain.add_local_features("sift")
    assert plain.manifest.local == "sift-320-100-0.01-3-40"
    with pytest.raises(CollectionError, match="keeps sift-320-100-0.01-3-40; index into a new collection for sift-640"):
        plain.add_local_features("sift-640-100-0.01-3-40")
    with pytest.raises(CollectionError, match="not known"):
        plain.add_local_features("surf")
