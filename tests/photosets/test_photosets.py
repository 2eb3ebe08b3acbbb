from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from reseen.errors import PhotoSetError, UntrustedFile
from reseen.photosets import class_folders, join, parse, read_photo_set, references, unrelated
from reseen.photosets.lists import google_landmarks, labels_file, retrieval_sfm, tuples_file


def read(spec):
    return read_photo_set(parse(spec))


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_folders_are_classes_and_loose_photos_stand_alone(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/deep/2.jpg", "b/1.png", "loose.jpg", "other.jpg", "a/notes.txt")
    data = class_folders(tmp_path)
    by_name = dict(zip((p.relative_to(tmp_path).as_posix() for p in data.photos), data.clusters, strict=True))
    assert set(by_name) == {"a/1.jpg", "a/deep/2.jpg", "b/1.png", "loose.jpg", "other.jpg"}
    assert by_name["a/1.jpg"] == by_name["a/deep/2.jpg"]
    assert len(set(by_name.values())) == 4


def test_folders_may_match_virtual_photos_too(tmp_path):
    for name in ("a/0.jpg", "a/1.jpg", "b/0.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    got = read(f"folders+virtual:{tmp_path}")
    assert got.clusters.tolist() == [0, 0, 1]
    assert got.virtual_pairs.tolist() == got.pairs.tolist() == [[0, 0], [1, 1], [2, 2]]
    assert got.unpaired.all()
    assert not got.virtual.any()
    assert got.name == f"folders+virtual:{tmp_path.parent.name}/{tmp_path.name}"
    assert not len(read(str(tmp_path)).virtual_pairs)


def test_an_empty_folder_is_an_error(tmp_path):
    for read in (class_folders, references):
        with pytest.raises(PhotoSetError, match="no photos"):
            read(tmp_path)


def test_references_match_themselves(tmp_path):
    touch(tmp_path, "1.jpg", "2.jpg")
    data = references(tmp_path)
    assert data.pairs.tolist() == [[0, 0], [1, 1]]
    assert data.virtual.all()


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_tuples_with_negatives_and_unknown_photos(tmp_path, kind):
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg")
    rows = [("a.jpg", "b.jpg", ["d.jpg", "gone.jpg"]), ("b.jpg", "c.jpg", []), ("d.jpg", "lost.jpg", ["a.jpg"])]
    file = tmp_path / f"t.{kind}"
    if kind == "csv":
        lines = [f"{q},{p},{','.join([*n, '', ''][:2])}" for q, p, n in rows]
        file.write_text("query,positive,negative1,negative2\n" + "\n".join(lines))
    else:
        file.write_text("\n".join(json.dumps({"query": q, "positive": p, "negatives": n}) for q, p, n in rows))
    data = tuples_file(file)
    names = [p.name for p in data.photos]
    assert names == ["a.jpg", "b.jpg", "d.jpg", "c.jpg"]
    assert [[names[i] for i in pair] for pair in data.pairs] == [["a.jpg", "b.jpg"], ["b.jpg", "c.jpg"]]
    assert data.negatives.tolist() == [[2], [-1]]
    assert data.clusters[0] == data.clusters[1] == data.clusters[3] != data.clusters[2]
    assert [line.split(": ")[1] for line in data.skipped] == ["gone.jpg", "lost.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "query,match\na.jpg,b.jpg\n", "line 2: 'positive' is missing"),
        ("a.jsonl", '{"query": 1', "line 1: not JSON"),
        ("a.jsonl", "[1]", "not a JSON object"),
        ("a.jsonl", '{"query": "x.jpg", "positive": "y.jpg", "negatives": "z"}', "must be a list"),
        ("a.csv", "query,positive\nx.jpg,y.jpg\n", "no usable pair .*x.jpg: no such photo"),
    ],
)
def test_bad_tuple_files(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(PhotoSetError, match=message):
        tuples_file(tmp_path / name)
    with pytest.raises(PhotoSetError, match="no such file"):
        tuples_file(tmp_path / "none.csv")


def test_labels_file(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg")
    (tmp_path / "labels.csv").write_text("photo,label\na.jpg,x\nb.jpg,y\nc.jpg,x\ngone.jpg,y\n")
    data = labels_file(tmp_path / "labels.csv")
    assert data.clusters.tolist() == [0, 1, 0]
    assert len(data.skipped) == 1


@pytest.mark.parametrize("clean", [True, False])
def test_google_landmarks(tmp_path, clean):
    touch(tmp_path / "train", "a/b/c/abc1.jpg", "a/b/d/abd2.jpg", "f/f/f/fff3.jpg")
    rows = (
        "landmark_id,images\n7,abc1 abd2\n9,fff3 aaaa\n"
        if clean
        else "id,url,landmark_id\nabc1,u,7\nabd2,u,7\nfff3,u,9\naaaa,u,9\n"
    )
    (tmp_path / "list.csv").write_text(rows)
    data = google_landmarks(tmp_path / "list.csv")
    assert [p.stem for p in data.photos] == ["abc1", "abd2", "fff3"]
    assert data.clusters.tolist() == [0, 0, 1]
    assert "1 photos" in data.skipped[0]


def test_retrieval_sfm(tmp_path):
    cids = ["0001aabbccddeeff", "0002aabbccddeeaa", "0003aabbccddeebb"]
    for cid in cids[:2]:
        touch(tmp_path, f"{cid[-2:]}/{cid[-4:-2]}/{cid[-6:-4]}/{cid}")
    table = {"train": {"cids": cids, "cluster": [5, 5, 8], "qidxs": [0, 2], "pidxs": [1, 1]}}
    data = retrieval_sfm(table, tmp_path, "sfm")
    assert [p.name for p in data.photos] == cids[:2]
    assert data.pairs.tolist() == [[0, 1]]
    assert data.clusters.tolist() == [5, 5]
    with pytest.raises(PhotoSetError, match="part 'val'"):
        retrieval_sfm(table, tmp_path, "sfm", "val")
    table["train"]["pidxs"] = [1, 9]
    with pytest.raises(PhotoSetError, match="damaged"):
        retrieval_sfm(table, tmp_path, "sfm")


def test_the_lists_validation_and_whitening_parts(tmp_path):
    import pickle

    cids = [f"000{i}aabbccddee{i:02d}" for i in range(6)]
    for cid in cids:
        touch(tmp_path / "ims", f"{cid[-2:]}/{cid[-4:-2]}/{cid[-6:-4]}/{cid}")
    train = {"cids": cids[:2], "cluster": [0, 0], "qidxs": [0], "pidxs": [1]}
    val = {"cids": cids[2:], "cluster": [7, 7, 7, 9], "qidxs": [0, 0], "pidxs": [2, 1]}
    (tmp_path / "sfm.pkl").write_bytes(pickle.dumps({"train": train, "val": val}))
    data = read_photo_set(parse(f"sfm-val:{tmp_path / 'sfm.pkl'}"))
    assert [p.name for p in data.photos] == cids[2:] and data.name == "sfm:sfm, val"
    assert data.pairs.tolist() == [[0, 2], [0, 1]] and data.clusters.tolist() == [7, 7, 7, 9]
    assert not data.unpaired.any()
    whiten = {"cids": cids, "qidxs": np.array([0, 1, 4]), "pidxs": np.array([1, 3, 5])}
    (tmp_path / "sfm-whiten.pkl").write_bytes(pickle.dumps(whiten))
    data = read_photo_set(parse(f"sfm:{tmp_path / 'sfm-whiten.pkl'}"))
    assert data.pairs.tolist() == [[0, 1], [1, 3], [4, 5]]
    assert len(set(data.clusters[[0, 1, 3]])) == 1 and len(set(data.clusters[[0, 2, 4]])) == 3
    (tmp_path / "sfm-whiten.pkl").write_bytes(pickle.dumps({**whiten, "pidxs": np.array([1, 3, 6])}))
    with pytest.raises(PhotoSetError, match="damaged"):
        read_photo_set(parse(f"sfm:{tmp_path / 'sfm-whiten.pkl'}"))


def test_joined_sets_keep_their_pairs_and_stay_apart(tmp_path):
    touch(tmp_path, "c/a/1.jpg", "c/a/2.jpg", "r/3.jpg", "r/4.jpg", "p/5.jpg", "p/6.jpg", "p/7.jpg")
    (tmp_path / "p" / "t.csv").write_text("query,positive,negative\n5.jpg,6.jpg,7.jpg\n")
    data = join([class_folders(tmp_path / "c"), references(tmp_path / "r"), tuples_file(tmp_path / "p" / "t.csv")])
    assert [p.name for p in data.photos] == [f"{i}.jpg" for i in range(1, 8)]
    assert data.clusters.tolist() == [0, 0, 1, 2, 3, 3, 4]
    assert data.pairs.tolist() == [[2, 2], [3, 3], [4, 5]]
    assert data.negatives.tolist() == [[-1], [-1], [6]]
    assert data.virtual.tolist() == [False] * 2 + [True] * 2 + [False] * 3
    assert len(join([]).photos) == 0 and join([]).matching.shape == (0, 2)


def test_split_holds_out_whole_clusters(tmp_path):
    touch(tmp_path, *(f"{c}/{i}.jpg" for c in "abcdefghij" for i in range(3)), "alone/1.jpg")
    data = class_folders(tmp_path)
    train, held = data.split(0.2)
    assert (len(train.photos), len(held.photos)) == (25, 6)
    assert not {p.parent for p in train.photos} & {p.parent for p in held.photos}
    with pytest.raises(PhotoSetError, match="too few to hold out"):
        data.keep(data.clusters < 2).split(0.2)


def test_keep_numbers_anew(tmp_path):
    touch(tmp_path, "a.jpg", "b.jpg", "c.jpg", "d.jpg")
    (tmp_path / "t.csv").write_text("query,positive,negative\na.jpg,b.jpg,c.jpg\nc.jpg,d.jpg,a.jpg\n")
    data = tuples_file(tmp_path / "t.csv")
    kept = data.keep(np.array([False, True, True, True]))
    assert [p.name for p in kept.photos] == ["b.jpg", "c.jpg", "d.jpg"]
    assert kept.pairs.tolist() == [[1, 2]]
    assert kept.negatives.tolist() == [[-1]]
    assert kept.fingerprint != data.fingerprint


def test_specifications(tmp_path):
    touch(tmp_path, "a/1.jpg", "a/2.jpg", "odd:name/b/1.jpg")
    assert read(f"virtual:{tmp_path}").virtual.all()
    assert read(str(tmp_path)).name.startswith("folders:")
    assert len(read(str(tmp_path / "odd:name")).photos) == 1
    (tmp_path / "t.csv").write_text("query,positive\na/1.jpg,a/2.jpg\n")
    assert read(str(tmp_path / "t.csv")).pairs.tolist() == [[0, 1]]
    (tmp_path / "manifest.json").touch()
    assert [read(spec) for spec in (str(tmp_path), "oxford5k:there", str(tmp_path / "none"))] == [None] * 3
    assert parse("roxford5k-hard:a/b") == ("roxford5k-hard", tmp_path.cwd() / "a" / "b")


def test_what_matches(tmp_path):
    touch(tmp_path, *(f"{name}.jpg" for name in ("b/0", "a/0", "b/1", "a/1", "b/2", "loose")))

    def names(data):
        return [{data.photos[i].relative_to(tmp_path).as_posix() for i in pair} for pair in data.matching.tolist()]

    of_classes = [{"a/0.jpg", "a/1.jpg"}, {"b/0.jpg", "b/1.jpg"}, {"b/0.jpg", "b/2.jpg"}, {"b/1.jpg", "b/2.jpg"}]
    assert names(class_folders(tmp_path)) == names(class_folders(tmp_path, virtual=True)) == of_classes
    assert names(unrelated(tmp_path)) == names(references(tmp_path)) == []
    (tmp_path / "t.csv").write_text("query,positive\na/0.jpg,loose.jpg\n")
    both = join([class_folders(tmp_path), tuples_file(tmp_path / "t.csv")])
    assert names(both) == [{"a/0.jpg", "loose.jpg"}, *of_classes]


def test_the_lists_pickle_is_read_without_running_code(tmp_path):
    import os
    import pickle

    cid = "0001aabbccddeeff"
    touch(tmp_path / "ims", f"{cid[-2:]}/{cid[-4:-2]}/{cid[-6:-4]}/{cid}")
    table = {"train": {"cids": [cid], "cluster": np.array([5]), "qidxs": [0], "pidxs": [0]}}
    (tmp_path / "sfm.pkl").write_bytes(pickle.dumps(table))
    data = read(f"sfm:{tmp_path / 'sfm.pkl'}")
    assert data.pairs.tolist() == [[0, 0]]

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "evil"),)

    (tmp_path / "sfm.pkl").write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UntrustedFile):
        read(f"sfm:{tmp_path / 'sfm.pkl'}")
    assert not (tmp_path / "evil").exists()
    with pytest.raises(PhotoSetError, match="cannot be read"):
        read(f"sfm:{tmp_path / 'none.pkl'}")
