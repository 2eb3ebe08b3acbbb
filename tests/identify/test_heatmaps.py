"""Heat maps and label maps."""

import numpy as np
import pytest
import torch
from PIL import Image

from reseen.collections import Collection
from reseen.descriptor import Recipe, assemble
from reseen.descriptor.recipes import read_recipe
from reseen.identify import Identifier
from reseen.identify.heatmaps import LONGEST, HeatMap, classifier_heat, draw, heat, picture, save_picture
from reseen.identify.objects import photo_windows
from reseen.scenes import paint as paint_picture
from reseen.search import Query

PAINTINGS = 3


def painting(number, side=224):
    pixels = paint_picture(number, longest=400).pixels
    return Image.fromarray(pixels).resize((side, side), Image.Resampling.LANCZOS)


@pytest.fixture(scope="module", params=["regions", "squares"])
def classifier(request):
    """The bundled network and three paintings as classes, without training.

    The weights of a class are the mean features of its painting less those of a wall.
    """
    table = read_recipe("museum-lite0").to_dict()
    table["head"] = {"kind": "instance", "grid": 7, "dim": 4, "places": 2, "labels": [str(i) for i in range(PAINTINGS)]}
    if request.param != "regions":
        table["images"] = {"exact": [224, 224]}
        table["head"] = {"kind": "logits", "grid": 7, "labels": table["head"]["labels"]}
    made = assemble(Recipe.from_dict(table), {}, engine="torch", precision="float32")
    squares = made.replace(recipe=Recipe.from_dict({**table, "images": {"exact": [224, 224]}}))
    photos = [np.asarray(painting(i)) for i in range(PAINTINGS)] + [np.full((224, 224, 3), 190, np.uint8)]
    means = torch.stack([item.maps[0].mean((1, 2)) for item in squares.maps(photos)])
    weights = torch.nn.functional.normalize(means[:-1] - means[-1], dim=1)
    made.head.classifier[-1].weight.data.copy_(weights[..., None, None])
    made.head.classifier[-1].bias.data.copy_(-weights @ means[-1])
    return made


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((900, 600), (114, 114, 364, 364)),
        ((900, 600), (593, 293, 843, 543)),
        ((600, 900), (114, 560, 364, 810)),
        ((640, 640), (300, 140, 500, 340)),
        ((1600, 400), (1280, 90, 1560, 370)),
    ],
)
def test_the_highest_activation_lies_in_the_objects_box(classifier, size, box):
    for number in range(PAINTINGS):
        scene = Image.new("RGB", size, (190, 190, 190))
        scene.paste(painting(number, box[2] - box[0]), box[:2])
        found = classifier_heat(classifier, Query(np.asarray(scene)))
        x, y = found.hottest[0] * size[0], found.hottest[1] * size[1]
        assert box[0] < x < box[2] and box[1] < y < box[3], (x, y)
        assert found.instance.ravel()[found.activation.argmax()] == number


def test_the_drawn_heat_is_where_the_map_says(classifier):
    size, box = (900, 600), (593, 293, 843, 543)
    scene = Image.new("RGB", size, (190, 190, 190))
    scene.paste(painting(1, 250), box[:2])
    pixels = np.asarray(scene)
    found = classifier_heat(classifier, Query(pixels))
    columns, rows = found.cells(*size)
    level = found.activation[np.rint(rows).astype(int)[:, None], np.rint(columns).astype(int)]
    inside = np.zeros(level.shape, bool)
    inside[box[1] : box[3], box[0] : box[2]] = True
    assert inside[level == level.max()].mean() > 0.5
    shown = draw(np.full_like(pixels, 128), found)[:, LONGEST + 8 : 2 * LONGEST + 8].astype(int)
    warm = shown[..., 0] - shown[..., 2]
    factor = LONGEST / size[0]
    x0, y0, x1, y1 = (round(v * factor) for v in box)
    assert warm[y0:y1, x0:x1].mean() > warm.mean() + 50
    y, x = np.argwhere(warm == warm.max()).mean(0)
    assert x0 < x < x1 and y0 < y < y1


def test_the_hot_side_is_red_and_labels_show_only_above_the_mean():
    activation = np.linspace(0, 1, 8, dtype=np.float32)[None].repeat(6, 0)
    labels = (activation > 0.8).astype(np.int64)
    found = HeatMap(activation, labels, ("left", "right"), (1 / 16, 1 / 12), (1 / 8, 1 / 6))
    grey = np.full((300, 400, 3), 128, np.uint8)
    pictured = draw(grey, found).astype(int)
    width = LONGEST
    assert pictured.shape == (480, 3 * width + 16, 3)
    hot = pictured[:, width + 8 : 2 * width + 8]
    assert hot[200, -20, 0] > hot[200, 20, 0] and hot[200, 40, 2] > hot[200, -5, 2]
    labelled = pictured[:, 2 * width + 16 :]
    assert np.ptp(labelled[100, 20]) == 0  # below the mean: grey
    assert np.ptp(labelled[100, -20]) > 50


def test_cells_stand_where_they_are_said_to_be():
    activation = np.zeros((2, 3), np.float32)
    activation[1, 2] = 1
    found = HeatMap(activation, np.zeros((2, 3), np.int64), ("a",), (0.25, 0.3), (0.2, 0.4))
    assert found.hottest == pytest.approx((0.65, 0.7))
    columns, rows = found.cells(100, 10)
    assert columns[[0, 24, 44, 64, 99]] == pytest.approx([0, 0, 0.975, 1.975, 2], abs=1e-5)
    assert rows[[0, 6, 9]] == pytest.approx([0, 0.875, 1], abs=1e-5)


def test_windows_show_where_an_object_of_any_collection_is(tmp_path, tiny_lite0):
    collection = Collection.create(tmp_path / "c", tiny_lite0)
    (tmp_path / "p").mkdir()
    for i in range(PAINTINGS):
        painting(i).save(tmp_path / "p" / f"{i}.png")
    collection.add(tmp_path / "p")
    scene = Image.new("RGB", (900, 600), (190, 190, 190))
    scene.paste(painting(2, 280), (590, 300))
    found = heat(Identifier(collection), np.asarray(scene))
    x, y = found.hottest[0] * 900, found.hottest[1] * 600
    assert 590 < x < 870 and 300 < y < 580
    assert found.names[found.instance.ravel()[found.activation.argmax()]] == "2"
    save_picture(picture(Identifier(collection), np.asarray(scene)), tmp_path / "heat.png")
    assert Image.open(tmp_path / "heat.png").size == (3 * LONGEST + 16, 427)


@pytest.fixture(scope="module")
def tiny_lite0():
    table = read_recipe("mac-lite0").to_dict()
    table |= {"images": {"longest": 640}, "projection": []}
    return assemble(Recipe.from_dict(table), {}, engine="torch", precision="float32")


def test_windows_of_a_panorama_lie_in_it_and_not_in_what_fills_it_up(museum_recipe):
    table = museum_recipe().to_dict()
    table["head"]["labels"] = ["a", "b"]
    made = assemble(Recipe.from_dict(table), {}, engine="torch")
    boxes, vectors = photo_windows(made, Query(np.full((40, 400, 3), 90, np.uint8)))
    assert boxes[0].tolist() == [0, 0, 400, 40] and len(boxes) == len(vectors)
    assert (boxes[:, 2:] > boxes[:, :2]).all() and (boxes >= 0).all() and (boxes <= [400, 40, 400, 40]).all()
