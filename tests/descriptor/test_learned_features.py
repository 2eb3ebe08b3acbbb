from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from reseen.descriptor.learned_features import LearnedFeatures
from reseen.errors import ReseenError, WeightsMissing
from reseen.search.geometry import verify
from reseen.search.local import RootSift, create_extractor


@pytest.fixture(scope="module")
def noise():
    rough = np.random.default_rng(3).integers(0, 256, (45, 60, 3), dtype=np.uint8)
    return cv2.resize(rough, (480, 360), interpolation=cv2.INTER_CUBIC)


class Corners(nn.Module):
    """Corners with their neighbourhood of 9 x 9 pixels for a descriptor, in DISK's form or in LocalFeature's."""

    def __init__(self, frames=False):
        super().__init__()
        self.frames = frames

    def forward(self, photo):
        grey = photo.mean(1)[0].numpy()
        places = cv2.goodFeaturesToTrack(grey, 300, 0.01, 5)[:, 0]
        inside = (places > 8).all(1) & (places < np.array(grey.shape)[::-1] - 8).all(1)
        places = places[inside]
        patches = np.stack([cv2.getRectSubPix(grey, (9, 9), p.tolist()).ravel() for p in places])
        patches = torch.from_numpy(patches - patches.mean(1, keepdims=True))
        places, scores = torch.from_numpy(places), torch.linspace(1, 0, len(places))
        if not self.frames:
            return [SimpleNamespace(keypoints=places, descriptors=patches, keypoint_scores=scores)]
        shape = 8 * torch.eye(2).expand(len(places), 2, 2)
        return torch.cat([shape, places[..., None]], 2)[None], scores[None], patches[None]


@pytest.mark.parametrize("frames", [False, True])
def test_any_network_stands_in_sifts_place(noise, frames):
    extractor = LearnedFeatures(Corners(frames), "corners", limit=200)
    shifted = np.roll(noise, (20, 30), (0, 1))
    found = extractor.extract(noise)
    assert len(found) == 200
    assert (found.frames is not None) is frames
    match = verify(found, [extractor.extract(shifted), extractor.extract(noise[::-1].copy())])
    assert match[0].kind == "homography"
    assert match[0].inliers > 60 > 4 * match[1].inliers
    assert np.abs(np.array(match[0].outline) - [[30, 20], [510, 20], [510, 380], [30, 380]]).max() < 3


def test_signed_descriptors_survive_a_byte_a_dimension(noise):
    noise = noise[:352]
    found = LearnedFeatures(Corners(), "corners").extract(noise)
    raw = Corners()(torch.from_numpy(noise).permute(2, 0, 1)[None].float() / 255)[0].descriptors.numpy()
    unit = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    assert np.einsum("nd,nd->n", found.vectors(), unit[: len(found)]).min() > 0.998


@pytest.mark.parametrize("text", ["sift", "sift-500-100-0.02-3-40"])
def test_an_extractor_is_made_again_from_its_name(text):
    extractor = create_extractor(text)
    assert isinstance(extractor, RootSift)
    assert create_extractor(extractor.name) == extractor


@pytest.mark.parametrize("text", ["surf", "disk", "disk:", "sift-640", ""])
def test_unknown_extractors_are_named(text):
    with pytest.raises(ReseenError, match="use sift, disk:FILE, aliked:FILE"):
        create_extractor(text)


@pytest.mark.parametrize("kind", ["disk", "aliked"])
def test_kornias_networks_with_weights_from_a_file(noise, tmp_path, kind):
    features = pytest.importorskip("kornia.feature", reason="kornia is not installed: pip install 'reseen[learned]'")
    torch.manual_seed(0)
    network = features.DISK() if kind == "disk" else features.ALIKED()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    extractor = create_extractor(f"{kind}:{tmp_path / 'weights.pth'}")
    found = extractor.extract(noise[:200, :250])
    assert extractor.name == f"{kind}:{tmp_path / 'weights.pth'}"
    assert len(found) > 50
    assert np.abs(found.points).max() <= 126
    again = verify(found, [found])[0]
    assert again.kind == "homography"
    assert again.inliers > 40
    with pytest.raises(WeightsMissing, match="no such weights file"):
        create_extractor(f"{kind}:{tmp_path / 'gone.pth'}")
    other = "aliked" if kind == "disk" else "disk"
    with pytest.raises(WeightsMissing, match="lacks"):
        create_extractor(f"{other}:{tmp_path / 'weights.pth'}")


def test_without_kornia_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kornia", None)
    with pytest.raises(WeightsMissing, match="pip install"):
        create_extractor("disk:weights.pth")
