"""The selective head: learned, saved, batched, and never NaN."""

import pytest
import torch

from reseen.errors import NotFitted, RecipeError, ReseenError
from reseen.heads import create_head
from reseen.heads.selective import EMBEDDINGS, Selective, as_map
from reseen.heads.selective.local import LocalPCA, principal_axes


def make(**changes):
    sizes = {"d": 8, "k": 20} if changes.get("embedding", "temb") == "temb" else {"d": 4, "k": 5}
    return Selective([12], **{**sizes, "sample": 300, **changes})


@pytest.fixture(scope="module")
def stream():
    random = torch.Generator().manual_seed(0)
    return [([torch.randn(4, 12, 8, 8, generator=random)], None) for _ in range(6)]


@pytest.mark.parametrize("embedding", EMBEDDINGS)
@pytest.mark.parametrize("aggregation", ["sum", "average", "max", "democratic"])
def test_it_learns_saves_and_never_gives_nan(embedding, aggregation, stream):
    head = make(embedding=embedding, aggregation=aggregation)
    with pytest.raises(NotFitted, match="fit the descriptor"):
        head([torch.zeros(1, 12, 2, 2)])
    head.fit(stream, seed=1)
    twin = make(embedding=embedding, aggregation=aggregation)
    twin.load_state_dict(head.state_dict())
    assert twin.fitted
    blank, constant, one_cell = torch.zeros(2, 12, 3, 3), torch.ones(1, 12, 4, 4), torch.randn(1, 12, 1, 1)
    for maps in (stream[0][0][0], blank, constant, one_cell, one_cell.clamp_max(-1)):
        got = head([maps])
        assert got.isfinite().all() and got.shape == (len(maps), head.dim)
        assert torch.equal(got, twin([maps]))


@pytest.mark.parametrize("mask", ["none", "sum", "max", "sift"])
@pytest.mark.parametrize("maxpool", [False, True])
def test_a_batch_is_its_photos_one_by_one(mask, maxpool, stream):
    head = make(mask=mask, maxpool=maxpool).fit(stream)
    maps = stream[0][0][0]
    valid = torch.rand(4, 8, 8, generator=torch.Generator().manual_seed(5)) < 0.3 if mask == "sift" else None
    got = head([maps], valid)
    rows = [head([maps[i : i + 1]], valid[i : i + 1] if valid is not None else None) for i in range(4)]
    torch.testing.assert_close(got, torch.cat(rows), atol=1e-5, rtol=0)
    x, kept = head.local_features([maps], valid)
    assert x.shape[:2] == kept.shape and (kept.sum(1) <= (16 if maxpool else 64)).all()


def test_the_seed_decides_and_the_sample_bounds(stream):
    one, same, other = make().fit(stream, seed=1), make().fit(stream, seed=1), make().fit(stream, seed=2)
    assert all(a.equal(b) for a, b in zip(one.state_dict().values(), same.state_dict().values(), strict=True))
    assert not one.embedding.centroids.equal(other.embedding.centroids)


def test_local_descriptors_of_another_kind_are_a_map_of_one_row():
    descriptors = torch.rand(50, 128, generator=torch.Generator().manual_seed(0))
    head = Selective([128], d=8, k=20, mask="none")
    head.fit([([as_map(descriptors)], None)])
    x, kept = head.local_features([as_map(descriptors)])
    assert x[0].equal(descriptors) and kept.all()
    assert head([as_map(descriptors)]).norm() == pytest.approx(1)
    assert head([as_map(descriptors[:1])]).isfinite().all()
    assert as_map(descriptors[:0]).shape == (1, 128, 1, 1) and head([as_map(descriptors[:0])]).isfinite().all()


def test_what_does_not_fit_is_refused(stream):
    head = make().fit(stream)
    with pytest.raises(ReseenError, match="made for 12 channels, the map has 11"):
        head([torch.zeros(1, 11, 2, 2)])
    with pytest.raises(NotFitted, match="add photos"):
        make().fit([([torch.randn(1, 12, 1, 1)], None)])
    with pytest.raises(NotFitted, match="no photo"):
        make().fit([])
    with pytest.raises(RecipeError, match="1 to 12"):
        make(d=13)
    with pytest.raises(RecipeError, match="one layer, not 2"):
        Selective([12, 12])
    for setting in ("mask", "embedding", "aggregation", "signed"):
        with pytest.raises(RecipeError, match="does not know 'nonsense'"):
            create_head("selective", [12], **{setting: "nonsense"})
    smaller = make(k=19).state_dict()
    with pytest.raises(RuntimeError, match="size mismatch"):
        head.load_state_dict(smaller)


def test_principal_axes_of_blocks_are_those_of_all_rows():
    x = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) * torch.tensor([5.0, 4, 3, 2, 1, 0.5]) + 100
    mean, values, axes = principal_axes(x.split(64))
    centred = x.double() - x.double().mean(0)
    want = torch.linalg.eigvalsh(centred.T @ centred / len(x)).flip(0)
    torch.testing.assert_close(mean, x.double().mean(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(values, want, rtol=1e-4, atol=0)
    torch.testing.assert_close(axes @ axes.T, torch.eye(6, dtype=torch.float64), atol=1e-8, rtol=0)
    pca = LocalPCA(6, 3).fit(x)
    torch.testing.assert_close(pca(x).norm(dim=-1), torch.ones(500))
    assert pca(x.mean(0)[None] * 1).isfinite().all() and pca(pca.mean).abs().max() == 0


@pytest.mark.parametrize("kind", ["sum", "average", "democratic", "max"])
@pytest.mark.parametrize("embedding", ["temb", "faemb"])
def test_whitened_features_are_unit_length_as_published_or_as_asked(embedding, kind, stream):
    head = make(embedding=embedding, aggregation=kind, mask="none").fit(stream)
    x, _ = head.local_features(stream[0][0])
    lengths = head.embedding(head.pca(x)).norm(dim=-1)
    published = not (embedding == "temb" and kind in ("sum", "average"))
    assert bool((lengths - 1).abs().max() < 1e-4) == published
    for unit in (True, False):
        asked = make(embedding=embedding, aggregation=kind, mask="none", unit=unit)
        asked.load_state_dict(head.state_dict())
        assert bool((asked.embedding(asked.pca(x)).norm(dim=-1) - 1).abs().max() < 1e-4) == unit


def test_unit_is_a_setting_of_whitened_embeddings():
    with pytest.raises(RecipeError, match="not whitened"):
        make(embedding="vlad", unit=True)


@pytest.mark.parametrize(
    ("changes", "rules"),
    [({}, 2), ({"embedding": "faemb"}, 2), ({"embedding": "vlad"}, 1), ({"embedding": "fv", "mask": "sift"}, 2)],
)
def test_rules_grow_only_where_vectors_changed(changes, rules):
    assert make(**changes).rules == rules
