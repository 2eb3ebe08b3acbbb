from __future__ import annotations

import math

import pytest
import torch

from reseen.errors import NotFitted, RecipeError
from reseen.heads import create_head
from reseen.heads.fisher import fisher_vector, posteriors

K, C, T = 3, 4, 6


def mixture(seed: int = 0) -> tuple[torch.Tensor, ...]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(1, T, C, generator=g, dtype=torch.float64)
    weights = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    means = torch.randn(K, C, generator=g, dtype=torch.float64)
    sigmas = 0.7 + torch.rand(K, C, generator=g, dtype=torch.float64)
    return x, weights, means, sigmas


def slow(x, weights, means, sigmas, posterior):
    """Eqs. 1 and 2 written out."""
    zeta = torch.zeros(K, C, dtype=torch.float64)
    for t in range(T):
        density = []
        for j in range(K):
            away = sum(((x[0, t, k] - means[j, k]) / sigmas[j, k]) ** 2 for k in range(C))
            value = math.exp(-0.5 * away)
            if posterior == "full":
                value *= float(weights[j]) / math.prod(float(s) for s in sigmas[j])
            density.append(value)
        for j in range(K):
            tau = density[j] / sum(density)
            for k in range(C):
                zeta[j, k] += tau * (x[0, t, k] - means[j, k]) / sigmas[j, k]
    return (zeta / T / weights.sqrt()[:, None]).flatten()


@pytest.mark.parametrize("posterior", ["full", "printed"])
def test_it_is_the_formula_written_out(posterior):
    x, *theta = mixture()
    torch.testing.assert_close(
        fisher_vector(x, *theta, posterior=posterior)[0], slow(x, *theta, posterior), rtol=1e-10, atol=1e-12
    )


@pytest.mark.parametrize("posterior", ["full", "printed"])
def test_gradients_agree_with_finite_differences(posterior):
    inputs = [t.requires_grad_() for t in mixture()]
    assert torch.autograd.gradcheck(lambda *a: fisher_vector(*a, posterior=posterior), inputs)


@pytest.mark.parametrize("posterior", ["full", "printed"])
def test_gradients_agree_with_derivatives_worked_out_by_hand(posterior):
    """Eqs. 3 to 6, derived anew: the diagonal terms d zeta_jk / d omega_j, sigma_jk, mu_jk, x_tk."""
    x, weights, means, sigmas = (t.requires_grad_() for t in mixture(1))
    zeta = fisher_vector(x, weights, means, sigmas, posterior=posterior).view(K, C)
    full = posterior == "full"
    with torch.no_grad():
        tau = posteriors(x, weights, means, sigmas, posterior)[0]  # (T, K)
        away = x[0][:, None] - means  # (T, K, C)
        norm = 1 / (T * weights.sqrt())[:, None]
        change = (tau * (1 - tau))[..., None]
        tau_mu = change * away / sigmas**2
        tau_sigma = change * (away**2 / sigmas**3 - (1 / sigmas if full else 0))
        tau_omega = change[..., 0] / weights if full else torch.zeros_like(tau)
        pull = -away / sigmas**2
        tau_x = tau[..., None] * (pull - (tau[..., None] * pull).sum(1, keepdim=True))
        by_omega = -(tau[..., None] * away / sigmas).sum(0) / (2 * T * weights[:, None] ** 1.5)
        by_omega = by_omega + norm * (tau_omega[..., None] * away / sigmas).sum(0)
        by_sigma = norm * (away * (sigmas * tau_sigma - tau[..., None]) / sigmas**2).sum(0)
        by_mu = norm * ((away * tau_mu - tau[..., None]) / sigmas).sum(0)
        by_x = norm * (away * tau_x + tau[..., None]) / sigmas
    for j in range(K):
        for k in range(C):
            gx, gw, gm, gs = torch.autograd.grad(
                zeta[j, k], [x, weights, means, sigmas], retain_graph=True, allow_unused=True
            )
            torch.testing.assert_close(gw[j], by_omega[j, k])
            torch.testing.assert_close(gs[j, k], by_sigma[j, k])
            torch.testing.assert_close(gm[j, k], by_mu[j, k])
            torch.testing.assert_close(gx[0, :, k], by_x[:, j, k])


def test_masked_features_take_no_part():
    x, *theta = mixture()
    valid = torch.ones(1, T, dtype=torch.bool)
    valid[0, 4:] = False
    torch.testing.assert_close(fisher_vector(x, *theta, valid), fisher_vector(x[:, :4], *theta))


def maps(n: int = 4, c: int = 6, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    where = torch.tensor([[-4.0], [4.0]])[torch.randint(0, 2, (n * 20,), generator=g)]
    x = where + torch.randn(n * 20, c, generator=g)
    return x.view(n, 4, 5, c).permute(0, 3, 1, 2)


def test_em_finds_the_gaussians_and_the_head_is_then_ready():
    head = create_head("fisher", [6], k=2)
    assert not head.fitted
    head.fit([([maps()], None)])
    assert head.fitted
    assert sorted(head.means.mean(1).tolist()) == pytest.approx([-4, 4], abs=0.5)
    assert head.sigmas.mean().item() == pytest.approx(1, abs=0.2)
    assert head.weights.sum().item() == pytest.approx(1)
    other = create_head("fisher", [6], k=2)
    other.load_state_dict(head.state_dict())
    assert other.fitted
    torch.testing.assert_close(other([maps(2, seed=3)]), head([maps(2, seed=3)]))


def test_size_length_and_every_parameter_learns():
    head = create_head("fisher", [6], k=8, posterior="printed")
    assert head.dim == 48
    head.fit([([maps()], None)])
    v = head([maps(3)])
    torch.testing.assert_close(v.norm(dim=1), torch.ones(3))
    v[:, 0].sum().backward()
    grads = {name: p.grad for name, p in head.named_parameters()}
    assert all(torch.isfinite(g).all() and g.abs().sum() > 0 for g in grads.values())


def test_siam_fv_has_4096_dimensions():
    assert create_head("fisher", [512], k=8).dim == 4096


def test_half_precision_maps_give_the_same_vector():
    head = create_head("fisher", [6], k=2).fit([([maps()], None)])
    exact = head([maps(2)])
    with torch.autocast("cpu", torch.bfloat16):
        rough = head([maps(2).bfloat16()])
    assert rough.dtype == torch.float32
    assert (exact * rough).sum(1).min() > 0.99


def test_too_little_to_learn_from_and_bad_settings():
    with pytest.raises(NotFitted):
        create_head("fisher", [6], k=8).fit([])
    with pytest.raises(NotFitted, match="8 Gaussians"):
        create_head("fisher", [6], k=8).fit([([torch.zeros(1, 6, 1, 2)], None)])
    with pytest.raises(RecipeError, match="one layer"):
        create_head("fisher", [6, 6])
    with pytest.raises(RecipeError, match="full, printed"):
        create_head("fisher", [6], posterior="hard")
