"""Kept vectors: no photo is seen twice by one network, and what is kept is what the descriptor gives."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from reseen.errors import BenchmarkError
from reseen.evaluation import VectorCache
from reseen.evaluation.vectors import check_vectors


@pytest.fixture
def seen(monkeypatch):
    """Counts the photos that pass a network."""
    from reseen.descriptor import pipeline

    count = []
    prepare = pipeline.prepare_photo

    def counting(index, *arguments):
        count.append(index)
        return prepare(index, *arguments)

    monkeypatch.setattr(pipeline, "prepare_photo", counting)
    return count


def test_vectors_are_the_descriptors_own_and_no_photo_is_seen_twice(tmp_path, cache, make, paint, seen):
    photos, descriptor = paint(tmp_path / "p", 5), make()
    first = cache.encode(descriptor, photos)
    assert len(seen) == 5 and first.seconds_per_photo > 0 and first.rejected == {}
    copied = shutil.copy(photos[2], tmp_path / "copied.png")
    again = VectorCache(tmp_path / "cache").encode(make(), [*photos[::-1], tmp_path / copied])
    assert len(seen) == 5  # nor when it lies elsewhere
    assert np.array_equal(again.vectors[:5], first.vectors[::-1]) and np.array_equal(again.vectors[5], first.vectors[2])
    np.testing.assert_allclose(first.vectors, descriptor.encode(photos), atol=1e-6)


def test_only_new_photos_are_extracted(tmp_path, cache, make, paint, seen):
    photos = paint(tmp_path / "p", 6)
    cache.encode(make(), photos[:4])
    found = cache.encode(make(), photos)
    assert len(seen) == 6
    np.testing.assert_allclose(found.vectors, make().encode(photos), atol=1e-6)


def test_projections_share_what_is_kept_and_other_networks_and_sizes_do_not(tmp_path, cache, make, paint, seen):
    photos, plain = paint(tmp_path / "p", 6), make()
    cache.encode(plain, photos)
    whitened = make(projection=[{"kind": "pca", "dim": 4, "shrinkage": 0.1}])
    whitened.projection.fit(plain.encode(photos))
    seen.clear()
    projected = cache.encode(whitened, photos)
    assert seen == [] and projected.vectors.shape == (6, 4)
    np.testing.assert_allclose(projected.vectors, whitened.encode(photos), atol=1e-5)
    assert cache.encode(whitened, photos, project=False).vectors.shape == (6, plain.dim)
    seen.clear()
    cache.encode(make(images={"longest": 64}), photos)
    cache.encode(make(head={"kind": "gem"}), photos)
    assert len(seen) == 12


def test_boxes_and_what_they_mean_are_told_apart(tmp_path, cache, make, paint, seen):
    photos, boxes = paint(tmp_path / "p", 2), [(0, 0, 50, 40), None]
    whole = cache.encode(make(), photos)
    cropped = cache.encode(make(), photos, boxes)
    kept = cache.encode(make(), photos, boxes, crop="activations")
    assert len(seen) == 4  # the photo without a box once
    assert not np.allclose(cropped.vectors[0], kept.vectors[0])
    assert np.array_equal(cropped.vectors[1], whole.vectors[1])
    np.testing.assert_allclose(cropped.vectors, make().encode(photos, boxes), atol=1e-6)


def test_photos_that_cannot_be_used_are_reported_each_time(tmp_path, cache, make, paint):
    photos = paint(tmp_path / "p", 2)
    photos[0].write_bytes(b"")
    photos.append(tmp_path / "gone.png")
    for _ in range(2):
        found = cache.encode(make(), photos)
        assert set(found.rejected) == {0, 2} and "empty" in str(found.rejected[0])
        assert not found.vectors[0].any() and found.vectors[1].any()


HEADS = ({"kind": "mac"}, {"kind": "gem"}, {"kind": "rmac"})


@pytest.mark.parametrize("scales", [[1.0], [1.0, 0.5]])
@pytest.mark.parametrize("crop", ["relative", "activations"])
def test_heads_of_one_network_share_a_pass(tmp_path, cache, make, paint, seen, scales, crop):
    photos, boxes = paint(tmp_path / "p", 4), [(0, 0, 50, 40), None, None, (10, 10, 90, 60)]
    descriptors = [make(head=head, scales={"factors": scales}) for head in HEADS]
    cache.fill(descriptors, photos, boxes, crop=crop)
    assert len(seen) == 4
    for descriptor in descriptors:
        found = cache.encode(descriptor, photos, boxes, crop=crop)
        expected = [item.vector for item in descriptor.stream(photos, boxes, crop=crop)]
        np.testing.assert_allclose(found.vectors, expected, atol=1e-5)
    assert len(seen) == 4 * 4  # that is, the cache's own were none


def test_what_one_head_has_is_not_extracted_for_it_again(tmp_path, cache, make, paint, seen):
    photos = paint(tmp_path / "p", 3)
    mac, gem = make(head={"kind": "mac"}), make(head={"kind": "gem"})
    cache.encode(mac, photos)
    cache.fill([mac, gem, mac, make(head={"kind": "gem"}, images={"longest": 64})], photos)
    assert len(seen) == 9  # one pass for gem, one at another size
    cache.fill([mac, gem], photos)
    assert len(seen) == 9


def test_a_damaged_file_is_named(tmp_path, cache, make, paint):
    photos = paint(tmp_path / "p", 2)
    cache.encode(make(), photos)
    for file in cache.folder.rglob("*.vectors.npy"):
        file.write_bytes(b"torn")
    with pytest.raises(BenchmarkError, match=r"vectors\.npy: damaged .* remove"):
        VectorCache(tmp_path / "cache").encode(make(), photos)


def test_photos_and_boxes_must_be_as_many(tmp_path, cache, make, paint):
    with pytest.raises(BenchmarkError, match="2 photos but 1 boxes"):
        cache.encode(make(), paint(tmp_path / "p", 2), [None])


def test_vectors_that_are_not_finite_or_not_of_unit_length_are_refused():
    good = np.eye(4, dtype=np.float32)
    good[1] = 0  # a blank photo's
    check_vectors(good, "set")
    with pytest.raises(BenchmarkError, match="set: vector 0 has length 2, not 1; normalise"):
        check_vectors(2 * good, "set")
    good[3, 0] = np.nan
    with pytest.raises(BenchmarkError, match="vector 3 holds values that are not finite"):
        check_vectors(good, "set")
