from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from reseen.errors import NotFitted, RecipeError
from reseen.heads import create_head
from reseen.heads.netvlad import RATIO, netvlad


def test_it_is_the_formula_written_out():
    g = torch.Generator().manual_seed(0)
    x, w, c = (torch.randn(*s, generator=g, dtype=torch.float64) for s in ((2, 7, 5), (3, 5), (3, 5)))
    b = torch.randn(3, generator=g, dtype=torch.float64)
    got = netvlad(x, w, b, c).view(2, 3, 5)
    for i in range(2):
        share = (x[i] @ w.T + b).exp()
        share = share / share.sum(1, keepdim=True)
        for k in range(3):
            v = sum(share[t, k] * (x[i, t] - c[k]) for t in range(7))
            torch.testing.assert_close(got[i, k], v / v.norm())
    valid = torch.tensor([[True] * 4 + [False] * 3] * 2)
    torch.testing.assert_close(netvlad(x, w, b, c, valid), netvlad(x[:, :4], w, b, c))


def test_gradients():
    g = torch.Generator().manual_seed(1)
    shapes = ((1, 4, 3), (2, 3), (2,), (2, 3))
    inputs = [torch.randn(*s, generator=g, dtype=torch.float64).requires_grad_() for s in shapes]
    assert torch.autograd.gradcheck(netvlad, inputs)


def test_fit_and_the_chosen_sharpness():
    g = torch.Generator().manual_seed(0)
    maps = torch.randn(6, 8, 5, 5, generator=g)
    head = create_head("netvlad", [8], k=4)
    assert not head.fitted
    head.fit([([maps], None)], seed=1)
    assert head.fitted
    x = F.normalize(maps.flatten(2).transpose(1, 2).reshape(-1, 8), dim=1)
    first, second = (head.assign(x)).topk(2, dim=1).values.T
    assert (first - second).mean().item() == pytest.approx(torch.tensor(RATIO).log().item(), rel=1e-3)
    v = head([maps])
    assert v.shape == (6, 32) == (6, head.dim)
    torch.testing.assert_close(v.norm(dim=1), torch.ones(6))
    v[:, 0].sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in head.parameters())


def test_errors():
    with pytest.raises(NotFitted, match="4 clusters"):
        create_head("netvlad", [8], k=4).fit([([torch.ones(1, 8, 1, 1)], None)])
    with pytest.raises(RecipeError, match="one layer"):
        create_head("netvlad", [8, 8])
