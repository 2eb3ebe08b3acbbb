"""Fisher vectors with a trainable Gaussian mixture (SIAM-FV)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from reseen.errors import RecipeError
from reseen.heads.base import EPS, Head
from reseen.heads.codebooks import local_features, mixture, sample_features

Posterior = Literal["full", "printed"]


def posteriors(x: Tensor, weights: Tensor, means: Tensor, sigmas: Tensor, posterior: Posterior = "full") -> Tensor:
    """Soft assignment of local features to the Gaussians: ``(B, N, C)`` -> ``(B, N, K)``.

    ``full`` is the mixture's posterior, with its weights ``(K,)`` and the Gaussians' normalisers; ``printed``
    leaves both out, as SIAM-FV's Eq. 1 does. ``means`` and ``sigmas`` are ``(K, C)``.
    """
    precision = sigmas.square().reciprocal()
    centre = means.mean(0)  # distances are differences of large numbers unless the features are centred
    y, m = x - centre, means - centre
    squared = y.square() @ precision.T - 2 * y @ (m * precision).T + (m.square() * precision).sum(1)
    logits = -0.5 * squared
    if posterior == "full":
        logits = logits + weights.log() - sigmas.log().sum(1)
    return logits.softmax(-1)


def fisher_vector(
    x: Tensor,
    weights: Tensor,
    means: Tensor,
    sigmas: Tensor,
    valid: Tensor | None = None,
    *,
    posterior: Posterior = "full",
) -> Tensor:
    """First-order Fisher vector of local features: ``(B, N, C)`` -> ``(B, K C)``, not normalised.

    SIAM-FV Eq. 2 with ``sigma^-1`` as in its Eqs. 3 to 6:
    ``zeta_j = 1 / (T sqrt(omega_j)) sum_t tau_tj (x_t - mu_j) / sigma_j``. ``valid (B, N)`` bool leaves features
    out; T counts those that stay.
    """
    tau = posteriors(x, weights, means, sigmas, posterior)
    count: Tensor | int = x.shape[1]
    if valid is not None:
        tau = tau * valid[..., None].to(tau.dtype)
        count = valid.sum(1).clamp_min(1)[:, None, None].to(tau.dtype)
    centre = means.mean(0)
    first = tau.transpose(1, 2) @ (x - centre)
    zero = tau.sum(1)[..., None]
    zeta = (first - zero * (means - centre)) / sigmas / weights.sqrt()[:, None] / count
    return zeta.flatten(1)


class Fisher(Head):
    """See :func:`fisher_vector`; mixture weights, means and deviations move in training.

    They are kept as logits and logarithms, so they stay valid whatever the optimiser does.

    Args:
        channels: of the one layer read; it may be signed.
        k: Gaussians (SIAM-FV Section 4.1: 8; REMAP Section IV-F: 16).
        posterior: see :func:`posteriors`.
        sample: the most local features that ``fit`` keeps.
        fc: a trainable linear layer afterwards.
    """

    kind = "fisher"
    undecayed = frozenset({"logits", "log_sigmas"})
    learned: Tensor

    @classmethod
    def learns(cls, settings: Mapping[str, Any]) -> bool:
        """Always."""
        return True

    def __init__(
        self,
        channels: Sequence[int],
        *,
        k: int = 8,
        posterior: Posterior = "full",
        sample: int = 50_000,
        fc: int | None = None,
    ) -> None:
        super().__init__(channels, fc=fc, k=k, posterior=posterior, sample=sample)
        if posterior not in get_args(Posterior):
            raise RecipeError(f"posterior {posterior!r} is not one of {', '.join(get_args(Posterior))}")
        self.k, self.posterior, self.sample = k, posterior, sample
        c = self.channels[0]
        self.logits = nn.Parameter(torch.zeros(k))
        self.means = nn.Parameter(torch.randn(k, c))
        self.log_sigmas = nn.Parameter(torch.zeros(k, c))
        self.register_buffer("learned", torch.tensor(False))
        self._add_fc()

    @classmethod
    def raw_dim_of(cls, settings: Mapping[str, Any], channels: Sequence[int]) -> int:
        """K times the layer's channels."""
        return int(settings["k"]) * sum(channels)

    @property
    def fitted(self) -> bool:
        """Whether the mixture has been learned."""
        return bool(self.learned)

    @property
    def weights(self) -> Tensor:
        """Mixture weights ``(K,)``, above 0, with sum 1."""
        return self.logits.softmax(0)

    @property
    def sigmas(self) -> Tensor:
        """Standard deviations ``(K, C)``, above 0."""
        return self.log_sigmas.exp()

    def pool(self, maps: Sequence[Tensor], valid: Tensor | None = None) -> Tensor:
        """``[(B, C, H, W)]`` -> ``(B, K C)``."""
        with torch.autocast(maps[0].device.type, enabled=False):
            x = local_features(maps[0])
            seen = valid.flatten(1) if valid is not None else None
            return fisher_vector(x, self.weights, self.means, self.sigmas, seen, posterior=self.posterior)

    def fit(self, maps: Iterable[tuple[Sequence[Tensor], Tensor | None]], *, seed: int = 0) -> Fisher:
        """Learn the mixture by EM from a sample of the local features (SIAM-FV Section 4.1)."""
        weights, means, sigmas = mixture(sample_features(maps, self.sample, seed), self.k, seed)
        with torch.no_grad():
            self.logits.copy_(weights.clamp_min(EPS).log())
            self.means.copy_(means)
            self.log_sigmas.copy_(sigmas.log())
            self.learned.fill_(True)
        return self
