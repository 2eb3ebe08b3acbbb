"""From photos to vectors: the same ones whatever the batch, refused photos, learning, saving."""

import json

import numpy as np
import pytest
import torch

from reseen.descriptor import Recipe, assemble, load
from reseen.descriptor.pipeline import cells_inside
from reseen.errors import NotFitted, PhotoRejected, RecipeError, WeightsMissing


def test_vectors_are_unit_rows_and_do_not_depend_on_the_batch(make, files):
    descriptor = make()
    vectors = descriptor.encode(files)
    assert vectors.shape == (12, descriptor.dim) and vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    for options in ({"batch_size": 1}, {"batch_size": 5}, {"workers": 3}):
        np.testing.assert_allclose(descriptor.encode(files, **options), vectors, atol=1e-5)
    alone = np.concatenate([descriptor.encode(path) for path in files])
    np.testing.assert_allclose(alone, vectors, atol=1e-5)
    assert np.abs(vectors[0] - vectors[4]).max() > 1e-3


def test_a_stream_keeps_order_and_reports_bad_photos(make, files):
    mixed = [files[0], "gone.jpg", b"", *files[1:], np.zeros((4, 4, 2), np.uint8)]
    items = list(make().stream(mixed, batch_size=4, tasks={"width": lambda photo: photo.size[0]}))
    assert [item.index for item in items] == list(range(len(mixed)))
    assert [i for i, item in enumerate(items) if item.rejected] == [1, 2, len(mixed) - 1]
    assert items[0].tasks == {"width": 96} and items[0].size == (96, 64)
    assert "gone.jpg: no such file" in str(items[1].rejected)
    with pytest.raises(PhotoRejected, match=r"gone\.jpg"):
        make().encode(mixed)


def test_blank_photos_give_finite_vectors(make):
    blank = [np.full((60, 80, 3), v, np.uint8) for v in (0, 128, 255)]
    assert np.isfinite(make().encode(blank)).all()


ALEXNET = {"name": "alexnet", "layers": ["conv5"], "weights": "random"}


def test_boxes(make, files):
    descriptor = make()
    whole = descriptor.encode([files[0]])
    np.testing.assert_allclose(descriptor.encode([files[0]], boxes=[(0, 0, 96, 64)]), whole, atol=1e-5)
    for crop in ("relative", "tight", "activations"):
        part = descriptor.encode([files[0]], boxes=[(40, 10, 90, 60)], crop=crop)
        assert np.abs(part - whole).max() > 1e-3
    assert make().encode(files[:2], boxes=[None, (0, 0, 30, 30)]).shape[0] == 2
    with pytest.raises(PhotoRejected, match="box"):
        descriptor.encode([files[0]], boxes=[(200, 200, 300, 300)])
    with pytest.raises(ValueError, match="2 photos but 1 boxes"):
        descriptor.encode(files[:2], boxes=[None])


def test_a_padded_box_is_the_box_grown_by_half_the_receptive_field(make):
    photo = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    descriptor = make(backbone=ALEXNET, images={"longest": 400})
    margin = 163 / 2
    padded = descriptor.encode([photo], boxes=[(150, 140, 230, 200)], crop="padded")
    grown = (150 - margin, 140 - margin, 230 + margin, 200 + margin)
    np.testing.assert_allclose(padded, descriptor.encode([photo], boxes=[grown], crop="relative"), atol=1e-5)
    with pytest.raises(RecipeError, match="receptive field"):
        make().encode([photo], boxes=[(150, 140, 230, 200)], crop="padded")


def test_activations_inside_a_box_are_the_cells_whose_centres_it_holds(make):
    assert cells_inside((0, 0, 1, 1), (3, 4)) == (0, 0, 4, 3)
    assert cells_inside((0.25, 0, 0.75, 0.5), (2, 4)) == (1, 0, 3, 1)
    assert cells_inside((0.0, 0, 0.12, 0.4), (2, 4)) == (0, 0, 1, 1)  # x reaches no centre before 0.125
    assert cells_inside((0.9, 0.9, 0.95, 0.95), (2, 4)) == (3, 1, 4, 2)
    descriptor = make(head={"kind": "gem"})
    photo = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    (maps,) = descriptor.maps([photo], boxes=[(0, 0, 40, 96)], crop="activations")
    (whole,) = descriptor.maps([photo])
    assert torch.equal(maps.maps[0], whole.maps[0][:, :, :1])


def test_multi_scale_is_the_mean_over_scales(make, files):
    single = make()
    half = make(images={"longest": 48})
    both = make(scales={"factors": [1.0, 0.5], "weights": [2.0, 1.4]})
    expected = 2 * single.encode(files[:1]) + 1.4 * half.encode(files[:1])
    expected /= np.linalg.norm(expected)
    np.testing.assert_allclose(both.encode(files[:1]), expected, atol=1e-5)
    gem = make(head={"kind": "gem"}, scales={"factors": [1.0, 0.5], "power": "gem"})
    rows = [make(head={"kind": "gem"}, images={"longest": n}).encode(files[:1])[0] for n in (96, 48)]
    power = ((rows[0] ** 3 + rows[1] ** 3) / 2) ** (1 / 3)
    np.testing.assert_allclose(gem.encode(files[:1])[0], power / np.linalg.norm(power), atol=1e-5)


def test_learning_saving_and_loading(make, files, tmp_path):
    raw = make(projection=[{"kind": "pca", "dim": 6, "shrinkage": 0.1}])
    with pytest.raises(NotFitted, match="reseen fit tiny"):
        raw.encode(files)
    fitted = raw.fit([*files, "gone.jpg"])
    assert not raw.fitted and fitted.fitted and fitted.dim == 6
    again = load(fitted.save(tmp_path / "saved"), engine="torch")
    assert again.fingerprint == fitted.fingerprint
    assert np.array_equal(again.encode(files), fitted.encode(files))


def test_the_fingerprint_tells_what_vectors_depend_on(make):
    one = make()
    assert make().fingerprint == one.fingerprint
    assert make(name="other", summary="text", training={"lr": 1}).fingerprint == one.fingerprint
    assert make(images={"longest": 97}).fingerprint != one.fingerprint
    assert make(head={"kind": "rmac", "levels": 2}).fingerprint != one.fingerprint
    other_seed = {"name": "timm:resnet10t", "layers": ["layer4"], "weights": "random", "seed": 1}
    assert make(backbone=other_seed).fingerprint != one.fingerprint
    assert one.replace(precision="bfloat16").fingerprint == one.fingerprint


def test_damaged_and_missing_descriptors(make, tmp_path):
    with pytest.raises(RecipeError, match="there is no recipe 'nope'; there are"):
        load("nope")
    folder = make().save(tmp_path / "saved")
    (folder / "weights.safetensors").write_bytes(b"junk")
    with pytest.raises(Exception, match="safetensors") as caught:
        load(folder)
    assert type(caught.value).__module__ == "reseen.errors"
    (folder / "weights.safetensors").unlink()
    with pytest.raises(WeightsMissing, match="no such weights file"):
        load(folder)
    (folder / "settings.json").write_text("{")
    with pytest.raises(RecipeError, match="damaged"):
        load(folder)


def test_no_weights_by_accident(make):
    with pytest.raises(WeightsMissing, match="names no weights"):
        make(backbone={"name": "timm:resnet10t", "layers": ["layer4"]})


def test_openvino_gives_the_same_vectors_at_odd_sizes():
    pytest.importorskip("openvino", reason="the fast extra is optional")
    rng = np.random.default_rng(1)
    shapes = [(97, 131), (128, 96), (101, 64)]
    photos = [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in shapes]
    backbone = {"name": "efficientnet-lite0", "layers": ["head"], "weights": "bundled"}
    recipe = Recipe.from_dict({"name": "x", "images": {"longest": 128}, "backbone": backbone, "head": {"kind": "rmac"}})
    slow = assemble(recipe, {}, engine="torch", precision="float32")
    fast = assemble(recipe, {}, engine="openvino", precision="float32")
    assert fast.runtime["engine"] == "openvino"
    np.testing.assert_allclose(fast.encode(photos), slow.encode(photos), atol=2e-5)


@pytest.mark.parametrize("layers", [["layer4"], ["layer4", "layer3"]])
def test_parts_of_maps_are_pooled_as_they_would_be_alone(make, layers):
    descriptor = make(
        backbone={"name": "timm:resnet10t", "layers": layers, "weights": "random"},
        head={"kind": "remap" if len(layers) > 1 else "rmac"},
        images={"longest": 192},
    )
    photo = np.random.default_rng(0).integers(0, 256, (128, 192, 3), np.uint8)
    maps = descriptor.photo_maps(photo)
    assert [m.shape[1:] for m in maps] == [(4, 6), (8, 12)][: len(layers)]
    parts = [(0, 0, 2, 2), (1, 0, 4, 3), (3, 1, 5, 3), (0, 0, 6, 4), (4, 2, 6, 4)]
    found = descriptor.pool_parts(maps, parts)
    for vector, (x0, y0, x1, y1) in zip(found, parts, strict=True):
        cut = [
            torch.from_numpy(m[:, y0 * s : y1 * s, x0 * s : x1 * s])[None] for m, s in zip(maps, (1, 2), strict=False)
        ]
        with torch.inference_mode():
            np.testing.assert_allclose(vector, descriptor.project(descriptor.head(cut).numpy())[0], atol=1e-5)
    np.testing.assert_allclose(found[3], descriptor.encode(photo)[0], atol=1e-5)


SELECTIVE = {"kind": "selective", "d": 8, "k": 20, "mask": "none", "sample": 500}


def test_descriptors_fitted_by_older_rules_are_refused_with_advice(make, files, tmp_path):
    fitted = make(head=SELECTIVE, projection=[{"kind": "rn"}]).fit(files)
    folder = fitted.save(tmp_path / "saved")
    assert load(folder, engine="torch").fingerprint == fitted.fingerprint
    settings = json.loads((folder / "settings.json").read_text())
    assert settings["rules"] == 2
    del settings["rules"]
    (folder / "settings.json").write_text(json.dumps(settings))
    with pytest.raises(RecipeError, match=r"older rules of head 'selective' .*reseen fit tiny PHOTOS --to FOLDER"):
        load(folder)


def test_rules_that_did_not_change_leave_saved_descriptors_and_fingerprints_alone(make, files, tmp_path):
    fitted = make(head={**SELECTIVE, "embedding": "vlad", "k": 4}).fit(files)
    folder = fitted.save(tmp_path / "saved")
    assert "rules" not in json.loads((folder / "settings.json").read_text())
    assert load(folder, engine="torch").fingerprint == fitted.fingerprint


def test_rules_are_part_of_the_fingerprint(make, monkeypatch):
    before = make().fingerprint
    descriptor = make()
    monkeypatch.setattr(type(descriptor.head), "rules", 2)
    assert descriptor.fingerprint != before
