"""reseen convert."""

import json

import pytest
import torch

import reseen
from reseen.backbones import create_backbone


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """cirtorch's layout, AlexNet and MAC."""
    backbone = create_backbone("alexnet", ["relu5"], "random")
    names = list(backbone.net)
    state = {}
    for key, value in backbone.state_dict().items():
        _, step, rest = key.split(".", 2)
        state[f"features.{names.index(step)}.{rest}"] = value
    whitening = {"m": torch.zeros(256, 1), "P": torch.eye(256)[:32]}
    meta = {"architecture": "alexnet", "pooling": "mac", "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    meta["Lw"] = {"retrieval-SfM-30k": {"ss": whitening, "ms": whitening}}
    path = tmp_path_factory.mktemp("c") / "siamac.pth"
    torch.save({"meta": meta, "state_dict": state}, path)
    return path


def test_a_converted_network_is_used_like_a_recipe(checkpoint, paint, tmp_path, call):
    code, out, _ = call("convert", checkpoint, "--to", tmp_path / "siamac", "--json")
    made = json.loads(out)
    assert code == 0 and (made["dim"], made["scales"], made["whitening"]) == (32, 1, True)
    assert reseen.load(made["descriptor"]).fingerprint == made["fingerprint"]
    photos = paint(tmp_path / "photos", 3)
    assert call("index", photos[0].parent, "--to", tmp_path / "c", "--recipe", tmp_path / "siamac", "-q")[0] == 0
    code, _, err = call("convert", checkpoint, "--to", tmp_path / "siamac", "--whitening", "none", "--multiscale")
    assert code == 0 and "256 dimensions, 3 scales, not whitened" in err


def test_what_is_wrong_is_one_line(checkpoint, tmp_path, call):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x.txt").write_text("mine")
    assert call("convert", checkpoint, "--to", tmp_path / "full")[0] == 2
    (tmp_path / "page.pth").write_text("<html>")
    for file, message in ((tmp_path / "page.pth", "refused"), (tmp_path / "none.pth", "no such file")):
        code, _, err = call("convert", file, "--to", tmp_path / "x")
        assert code == 1 and message in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "x").exists()
