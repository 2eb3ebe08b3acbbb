from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reseen.cli.main import run
from reseen.cli.options import changed
from reseen.errors import RecipeError

SMALL = [
    *("--set", "epochs=1", "--set", "tuples_per_epoch=4", "--set", "batch=2"),
    *("--set", "views.virtual=[160, 120]", "--set", "negatives.pool=0", "--set", "validation=0"),
    *("--set", "fit_photos=8"),
]


@pytest.fixture
def photos_of_classes(tmp_path: Path) -> Path:
    random = np.random.default_rng(0)
    for c in "abc":
        base = random.integers(0, 255, (6, 8, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
        for i in range(3):
            noisy = base + random.normal(0, 10, base.shape)
            path = tmp_path / "photos" / c / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path)
    return tmp_path / "photos"


def test_train_and_use_the_result(photos_of_classes, tmp_path, capsys, fits):
    data = ["--data", str(photos_of_classes), "--data", f"virtual:{photos_of_classes / 'a'}"]
    small = [*SMALL, "--set", "views.exact=[160, 120]"]
    assert run(["train", "remap-lite0", *data, "--to", str(tmp_path / "run"), *small, "--json"]) == 0
    out = capsys.readouterr().out
    fits("train", out)
    result = json.loads(out)
    assert result["epochs"] == 1
    assert result["photos"] == 12
    assert result["validation_map"] is None
    assert result["rejected"] == []
    import reseen

    trained = reseen.load(result["descriptor"])
    assert trained.fingerprint == result["fingerprint"]
    vectors = trained.encode(sorted(photos_of_classes.glob("a/*.jpg")))
    assert vectors.shape == (3, result["dim"])
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_unknown_photos_are_skipped_and_a_run_keeps_its_settings(photos_of_classes, tmp_path, capsys):
    rows = [f"{path.relative_to(photos_of_classes)},{path.parent.name}" for path in photos_of_classes.glob("*/*.jpg")]
    labels = photos_of_classes / "labels.csv"
    labels.write_text("\n".join(["photo,label", *rows, "a/gone.jpg,a"]))
    small = [*SMALL, "--set", "views.longest=96", "--set", "pairs.inliers=[]"]
    command = ["train", "siamac-lite0", "--data", f"labels:{labels}", "--to", str(tmp_path / "run"), *small]
    assert run([*command, "--quiet"]) == 0
    said = capsys.readouterr().err
    assert "skipped: labels.csv: a/gone.jpg: no such photo" in said
    assert "trained descriptor" in said
    assert "labels.csv: a/gone.jpg" in (tmp_path / "run" / "card.md").read_text()
    assert run([*command, "--set", "lr=0.5"]) == 1
    assert "training.lr: 0.0003 -> 0.5" in capsys.readouterr().err.replace("\n", " ")


def test_mistakes_are_one_line(photos_of_classes, tmp_path, capsys):
    data = ["--data", str(photos_of_classes), "--to", str(tmp_path / "run")]
    for arguments, code, message in [
        (["train", "siamac-lite0", "--data", str(tmp_path / "none"), "--to", str(tmp_path / "x")], 1, "KIND:PATH"),
        (["train", "siamac-lite0", *data, "--set", "lrr=3"], 1, "does not know 'lrr'"),
        (["train", "siamac-lite0", *data, "--set", "lr"], 2, "KEY=VALUE"),
        (["train", "nothing", *data], 1, "no recipe 'nothing'"),
        (["train", "siamac-vgg16", *data], 1, "weights of 'vgg16'"),
    ]:
        assert run(arguments) == code
        captured = capsys.readouterr()
        assert message in captured.err.replace("\n", " ")
        assert captured.out == ""
        assert "Traceback" not in captured.err


def test_assignments_read_values_as_toml():
    table = {"lr": 1e-3, "views": {"longest": 362}}
    got = changed(table, ["lr=0.1", "views.flip=0.5", "loss.kind=triplet", "views.crop=[0.8, 1.0]"])
    assert got == {
        "lr": 0.1,
        "views": {"longest": 362, "flip": 0.5, "crop": [0.8, 1.0]},
        "loss": {"kind": "triplet"},
    }
    assert table["views"] == {"longest": 362}
    with pytest.raises(RecipeError, match="not a table"):
        changed(table, ["lr.x=1"])
