"""Heat maps and label maps."""

import numpy as np
from PIL import Image

from reseen.identify import Identifier
from reseen.identify.heatmaps import LONGEST, HeatMap, draw, heat, save_picture


def test_the_hot_side_is_red_and_labels_show_only_above_the_mean():
    activation = np.linspace(0, 1, 8, dtype=np.float32)[None].repeat(6, 0)
    found = HeatMap(activation, (activation > 0.8).astype(np.int64), ("left", "right"))
    grey = np.full((300, 400, 3), 128, np.uint8)
    picture = draw(grey, found).astype(int)
    width = LONGEST
    assert picture.shape == (480, 3 * width + 16, 3)
    hot = picture[:, width + 8 : 2 * width + 8]
    assert hot[200, -20, 0] > hot[200, 20, 0] and hot[200, 40, 2] > hot[200, -5, 2]
    labelled = picture[:, 2 * width + 16 :]
    assert np.ptp(labelled[100, 20]) == 0  # below the mean: grey
    assert np.ptp(labelled[100, -20]) > 50


def test_a_photo_of_a_collection(museum, tmp_path):
    collection = museum(4, 1)
    row = collection.photos()[2]
    found = heat(Identifier(collection), row.name)
    assert found.activation.shape == found.instance.shape and np.isfinite(found.activation).all()
    assert found.names[np.bincount(found.instance.ravel()).argmax()] == row.label
    save_picture(draw(np.asarray(Image.open(row.name)), found), tmp_path / "heat.png")
    assert Image.open(tmp_path / "heat.png").size[0] == 3 * LONGEST + 16 or Image.open(tmp_path / "heat.png").size[1]
