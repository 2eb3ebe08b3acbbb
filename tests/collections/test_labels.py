"""Labels: which photo a row means."""

import os

import pytest

from reseen.collections import Collection, read_labels
from reseen.errors import CollectionError


@pytest.fixture
def odd(tmp_path, pixels, paint):
    """Two photos whose names are displayed alike, ``caf\\xe9.png``, and a plain one."""
    paths = paint(tmp_path / "photos", 3)
    folder = os.fsencode(tmp_path / "photos")
    latin, escaped = folder + b"/caf\xe9.png", folder + b"/caf\\xe9.png"
    os.rename(paths[0], latin)
    os.rename(paths[1], escaped)
    collection = Collection.create(tmp_path / "c", pixels)
    return collection, latin, escaped, os.fsencode(paths[2])


def labelled(collection):
    return {row.path: row.label for row in collection.photos() if row.label is not None}


def test_rows_are_joined_by_the_bytes_of_paths(odd, tmp_path):
    collection, latin, escaped, plain = odd
    (tmp_path / "l.csv").write_bytes(b"path,label\nphotos/caf\xe9.png,latin\nphotos/caf\\xe9.png,escaped\n")
    collection.add(tmp_path / "photos", labels=read_labels(tmp_path / "l.csv"))
    assert labelled(collection) == {latin: "latin", escaped: "escaped"}
    collection.add(tmp_path / "photos", labels={plain: "by bytes", latin: ""})
    assert labelled(collection) == {plain: "by bytes", escaped: "escaped"}


def test_a_displayed_name_is_taken_where_it_means_one_photo(odd, tmp_path):
    collection, latin, escaped, _ = odd
    os.unlink(escaped)
    (tmp_path / "l.csv").write_text("path,label\nphotos/caf\\xe9.png,latin\n")
    collection.add(tmp_path / "photos", labels=read_labels(tmp_path / "l.csv"))
    assert labelled(collection) == {latin: "latin"}


def test_a_row_that_means_several_photos_labels_none(tmp_path, pixels, paint):
    from reseen.collections.labels import join

    paths = [b"/p/a\xe9.png", b"/p/a\xe8.png", b"/p/b.png"]
    joined = join({"/p/b.png": "b", "/p/c.png": "c", "/p/a\\xe9.png": "e"}, paths)
    assert joined.labels == {b"/p/b.png": "b", b"/p/a\xe9.png": "e"} and joined.unknown == ["/p/c.png"]
    both = join({"/p/\x01.png": "x"}, [b"/p/\\x01.png", b"/p/\x01\x00.png"])
    assert both.labels == {b"/p/\\x01.png": "x"}
    several = join({b"/p/./q/../\\x02.png": "x", "/p/\\xe9\\x01.png": "y"}, [b"/p/\xe9\x01.png", b"/p/\xe9\\x01.png"])
    assert several.labels == {} and several.ambiguous == ["/p/\\xe9\\x01.png"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"path,label\na.png,x\n,y\n", "line 3: has no path"),
        (b'path,label\n"a\nb.png",x\n  ,y\n', "line 4: has no path"),
        (b"label,path\nx\n", "line 2: has no path"),
        (b"path,label\na.png,x\n./a.png,y\n", "line 3: line 2 gives './a.png' another label"),
        (b"path,label\na.png,caf\xe9\n", "line 2: 'caf.*xe9' is no UTF-8 text"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_its_line(tmp_path, text, said):
    (tmp_path / "l.csv").write_bytes(text)
    with pytest.raises(CollectionError, match=said):
        read_labels(tmp_path / "l.csv")


def test_folders_label_what_lies_below_the_root(tmp_path, pixels, paint):
    folder = os.path.join(os.fsencode(tmp_path), b"root", b"caf\xe9")
    os.makedirs(folder)
    loose, inside = paint(tmp_path / "root", 2)
    os.rename(inside, os.path.join(folder, b"x.png"))
    collection = Collection.create(tmp_path / "c", pixels)
    collection.add(tmp_path / "root", label_from_folder=True)
    assert labelled(collection) == {os.path.join(folder, b"x.png"): "caf\\xe9"}
    collection.add(loose, label_from_folder=True)  # named itself, so that its folder was meant
    assert labelled(collection)[os.fsencode(loose)] == "root"


def test_labels_and_names_that_are_no_text_are_refused(indexed):
    rows = indexed.photos()
    for attempt in (
        lambda: indexed.set_labels({rows[0].id: "\udce9"}),
        lambda: indexed.add_photos([("\udce9", b"")]),
        lambda: indexed.add(os.fsdecode(rows[0].path), labels={rows[0].path: "\udce9"}),
    ):
        with pytest.raises(CollectionError, match="is no UTF-8 text"):
            attempt()
