"""Instances named by the classifier itself."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image

from reseen.cli.main import run
from reseen.collections import Collection
from reseen.collections.gallery import Gallery
from reseen.descriptor import Recipe, assemble
from reseen.descriptor.recipes import read_recipe
from reseen.errors import CollectionError, PhotoRejected
from reseen.identify import Identifier, calibrate, identify
from reseen.identify.calibration import measure, stored
from reseen.identify.classify import Classes, shares
from reseen.scenes import paint as paint_picture

WORKS = ("a", "b", "c")


def picture(number):
    return Image.fromarray(paint_picture(number, longest=320).pixels)


@pytest.fixture(scope="module")
def museum_of_classes(tmp_path_factory):
    """Three paintings whose classes are their mean features, in another order than the names'; a fourth came later."""
    folder = tmp_path_factory.mktemp("museum")
    for number, name in enumerate((*WORKS, "later")):
        (folder / "photos" / name).mkdir(parents=True)
        picture(number).save(folder / "photos" / name / "1.png")
    table = read_recipe("museum-lite0").to_dict()
    table["images"] = {"exact": [224, 224]}
    table["head"] = {"kind": "logits", "grid": 7, "labels": ["c", "a", "b", "gone"]}
    made = assemble(Recipe.from_dict(table), {}, engine="torch", precision="float32")
    photos = [np.asarray(picture(i)) for i in (2, 0, 1)] + [np.full((224, 224, 3), 190, np.uint8)]
    means = torch.nn.functional.normalize(torch.stack([i.maps[0].mean((1, 2)) for i in made.maps(photos)]), dim=1)
    made.head.classifier[-1].weight.data.copy_(means[..., None, None])
    made.head.classifier[-1].bias.data.zero_()
    collection = Collection.create(folder / "c", made)
    collection.add(folder / "photos", label_from_folder=True)
    return collection


def seen(number):
    """A painting from a little aside, in worse light."""
    pixels = np.asarray(picture(number))[10:-20, 20:-10]
    return (pixels * 0.8).astype(np.uint8)


def test_the_class_of_highest_activation_is_named_under_its_label(museum_of_classes):
    identifier = Identifier(museum_of_classes, by="classifier")
    for number, name in enumerate(WORKS):
        answer = identifier.identify(seen(number))
        assert answer.hits[0].instance == name and len(answer.hits) == 3
        assert answer.hits[0].photos[0].endswith(f"{name}/1.png") and answer.hits[0].confidence is None
        scores = [hit.score for hit in answer.hits]
        assert scores == sorted(scores, reverse=True) and sum(scores) == pytest.approx(1, abs=1e-5)
    maps = museum_of_classes.encoder.photo_maps(seen(1))
    mean = museum_of_classes.encoder.head.activations([torch.from_numpy(maps[0])[None]]).mean((-2, -1))[0].tolist()
    got = Classes(museum_of_classes.encoder, identifier.photos).scores(maps)
    np.testing.assert_allclose(got, [mean[1], mean[2], mean[0], -np.inf], rtol=1e-5)


def test_instances_without_a_class_are_said_and_never_named(museum_of_classes):
    identifier = Identifier(museum_of_classes, by="classifier")
    assert identifier.classes.missing == ("later",)
    assert "later" not in {hit.instance for hit in identifier.identify(seen(3), k=9).hits}
    assert Identifier(museum_of_classes).identify(seen(3)).hits[0].instance == "later"


def test_it_differs_from_the_neighbours(museum_of_classes):
    """The same photos, with the classes given to other works: neighbours do not see that, the classifier does."""
    gallery = dataclasses.replace(Gallery.of(museum_of_classes), names=("b", "c", "a", "later"))
    turned = Classes(museum_of_classes.encoder, gallery)
    named = [
        gallery.names[int(turned.scores(museum_of_classes.encoder.photo_maps(seen(i))).argmax())] for i in range(3)
    ]
    assert named == ["a", "b", "c"]
    assert [answer.hits[0].instance for answer in identify(museum_of_classes, [seen(i) for i in range(3)])] == [
        "a",
        "b",
        "c",
    ]


def test_its_calibration_is_its_own(museum_of_classes):
    gallery = Gallery.of(museum_of_classes)
    version = museum_of_classes.version
    found = measure(museum_of_classes, gallery, trials=24, by="classifier")
    assert museum_of_classes.version == version
    assert found != measure(museum_of_classes, gallery, trials=24)
    assert found.known == 24  # no reference stands for itself
    kept = calibrate(museum_of_classes, gallery, trials=24, by="classifier")
    assert kept == found == stored(museum_of_classes, gallery, "classifier")
    assert stored(museum_of_classes, gallery) is None
    identifier = Identifier(museum_of_classes, by="classifier")
    right = identifier.identify(seen(0))
    assert identifier.calibration == kept and identifier.threshold == kept.threshold
    assert 0 <= right.hits[0].confidence <= 1
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    assert identifier.identify(noise).hits[0].confidence < right.hits[0].confidence


def test_shares_are_a_softmax():
    np.testing.assert_allclose(shares(np.array([0.0, np.log(3), -np.inf], np.float32)), [0.25, 0.75, 0], atol=1e-6)
    np.testing.assert_allclose(shares(np.array([[1000.0, 0.0]], np.float32)), [[1, 0]])


def test_what_cannot_classify_is_said(museum, museum_of_classes, tmp_path):
    with pytest.raises(CollectionError, match="has no classifier of these instances: train one"):
        Identifier(museum(2, 1), by="classifier")
    picture(7).save(tmp_path / "other.png")
    strange = Collection.create(tmp_path / "s", museum_of_classes.encoder)
    strange.add(tmp_path / "other.png")
    with pytest.raises(CollectionError, match="none of the 4 classes"):
        Identifier(strange, by="classifier")
    identifier = Identifier(museum_of_classes, by="classifier")
    with pytest.raises(ValueError, match="by neighbours only"):
        identifier.identify(seen(0), objects=True)
    with pytest.raises(PhotoRejected, match="only its vector"):
        identifier.identify(museum_of_classes.vectors()[1][0])


def test_the_command(museum_of_classes, tmp_path, capsys):
    photo = tmp_path / "visit.png"
    Image.fromarray(seen(2)).save(photo)
    folder = str(museum_of_classes.folder)
    assert run(["identify", folder, str(photo), "--by", "classifier", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["hits"][0]["instance"] == "c" and "1 objects came after" in err
    assert run(["identify", folder, str(photo), "--by", "classifier", "--objects"]) == 2
    assert run(["identify", folder, str(photo), "--by", "names"]) == 2
    assert run(["calibrate", folder, "--by", "names"]) == 2
    capsys.readouterr()
    assert run(["calibrate", folder, "--by", "classifier", "--trials", "12", "--json"]) == 0
    assert json.loads(capsys.readouterr()[0])["known"] == 12
