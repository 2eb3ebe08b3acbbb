"""Instances of a collection, and what stands for them."""

import numpy as np
import pytest

from reseen.collections.gallery import Gallery, couples
from reseen.errors import CollectionError


def unit(rng, n, d=8):
    x = rng.normal(size=(n, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def test_labels_are_instances(museum):
    collection = museum(4, 3)
    gallery = Gallery.of(collection)
    assert gallery.names == ("work 0", "work 1", "work 2", "work 3")
    assert gallery.instance.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]
    ids, vectors = collection.vectors()
    by_id = dict(zip(ids.tolist(), vectors, strict=True))
    assert all(np.array_equal(by_id[row.id], v) for row, v in zip(gallery.rows, gallery.vectors, strict=True))


def test_scores_are_the_best_photo_of_each_instance():
    rng = np.random.default_rng(0)
    gallery = Gallery(("a", "b", "c"), unit(rng, 6), np.array([0, 0, 0, 1, 2, 2]))
    similar = gallery.similarities(unit(rng, 4))
    expected = np.stack([similar[:, :3].max(1), similar[:, 3], similar[:, 4:].max(1)], 1)
    np.testing.assert_array_equal(gallery.scores(similar), expected)


def test_without_any_label_each_photo_is_an_instance(museum):
    gallery = Gallery.of(museum(3, 2, labels=False))
    assert gallery.names == ("0-0", "0-1", "1-0", "1-1", "2-0", "2-1")


def test_unlabelled_photos_among_labelled_ones_take_no_part(museum):
    collection = museum(3, 2)
    gone = collection.photos()[0]
    collection.set_labels({gone.id: None})
    gallery = Gallery.of(collection)
    assert gone.id not in {row.id for row in gallery.rows} and len(gallery.rows) == 5


def test_names_of_files_that_meet_are_whole_paths(tmp_path, tiny, paint):
    from reseen.collections import Collection

    paths = [*paint(tmp_path / "a", 1), *paint(tmp_path / "b", 1, start=0)]
    collection = Collection.create(tmp_path / "m", tiny)
    collection.add(tmp_path / "a", tmp_path / "b")
    assert Gallery.of(collection).names == tuple(str(p) for p in paths)


def test_one_photo_under_two_labels_is_named_and_refused(museum, tmp_path):
    collection = museum(2, 1)
    (tmp_path / "photos" / "work 9").mkdir()
    twin = tmp_path / "photos" / "work 9" / "twin.png"
    twin.write_bytes((tmp_path / "photos" / "work 0" / "0-0.png").read_bytes())
    collection.add(tmp_path / "photos", label_from_folder=True)
    with pytest.raises(CollectionError, match=r"two labels: .*0-0.png is 'work 0', .*twin.png is 'work 9'"):
        Gallery.of(collection)
    assert len(Gallery.of(collection, force=True)) == 3


def test_an_empty_collection_is_refused(tmp_path, tiny):
    from reseen.collections import Collection

    with pytest.raises(CollectionError, match="no photos"):
        Gallery.of(Collection.create(tmp_path / "m", tiny))


def test_standing_changes_the_references_not_the_instances(museum):
    gallery = Gallery.of(museum(3, 2))
    average = gallery.standing("average")
    assert average.names == gallery.names and average.vectors.shape[0] == 3
    assert average.scores(average.similarities(gallery.vectors)).argmax(1).tolist() == gallery.instance.tolist()
    assert gallery.standing("photos") is gallery
    ranked = gallery.standing("ranked", k=1)
    assert ranked.rows == gallery.rows
    first, second = gallery.vectors[:2]  # the one other photo of its instance weighs 1/2
    expected = (first + second / 2) / np.linalg.norm(first + second / 2)
    np.testing.assert_allclose(ranked.vectors[0], expected, atol=1e-6)


def test_couples_are_pairs_of_one_instance():
    assert couples(np.array([0, 0, 1, 2, 2, 2])).tolist() == [[0, 1], [3, 4], [3, 5], [4, 5]]
    assert couples(np.array([0, 1])).shape == (0, 2)
