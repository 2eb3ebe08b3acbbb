"""What every backbone is: a network whose feature layers are read by name."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from reseen.errors import RecipeError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Layer:
    """A feature layer that is read.

    ``stride`` is in pixels of the input per cell; ``signed`` says that values below 0 occur; ``receptive_field`` is
    the side in pixels of what one cell sees, and ``centre`` the middle of what the first cell of a row or column sees,
    in pixels from the border; None where they are not known.
    """

    name: str
    channels: int
    stride: int
    signed: bool
    receptive_field: int | None = None
    centre: float | None = None


class Backbone(nn.Module):
    """A network up to the last of the feature layers that are read.

    Args:
        name: its name in the registry.
        layers: the layers that ``forward`` returns, in this order.
        mean, std: normalisation of RGB in 0..1.
    """

    convertible: ClassVar[bool] = False
    """Whether it keeps its meaning at every photo size when another engine's compiler traces it."""
    mean: Tensor
    std: Tensor

    def __init__(self, name: str, layers: Sequence[Layer], mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.name = name
        self.layers = tuple(layers)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each layer that is read."""
        return tuple(layer.channels for layer in self.layers)

    def normalise(self, pixels: Tensor) -> Tensor:
        """``uint8 (B, H, W, 3)`` RGB -> float ``(B, 3, H, W)``, channels last in memory."""
        return (pixels.permute(0, 3, 1, 2).to(self.mean.dtype) - self.mean) / self.std

    def forward(self, x: Tensor) -> list[Tensor]:
        """Normalised photos ``(B, 3, H, W)`` -> the maps ``(B, C, h, w)`` of each layer."""
        raise NotImplementedError


class StepsBackbone(Backbone):
    """A network that is a chain of named modules; it runs no further than the last layer read."""

    convertible = True

    def __init__(
        self,
        name: str,
        steps: Mapping[str, nn.Module],
        layers: Sequence[str],
        signed: Mapping[str, bool],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        order = list(steps)
        unknown = [layer for layer in layers if layer not in order]
        if unknown or not layers:
            raise RecipeError(
                f"backbone {name!r} has no layer {', '.join(map(repr, unknown)) or '(none was named)'}; "
                f"it has {', '.join(order)}"
            )
        kept = order[: max(order.index(layer) for layer in layers) + 1]
        shapes = _shapes([steps[step] for step in kept])
        found = {
            step: Layer(step, channels, stride, signed[step], field, centre)
            for step, (channels, stride, field, centre) in zip(kept, shapes, strict=True)
        }
        super().__init__(name, [found[layer] for layer in layers], mean, std)
        self.net = nn.ModuleDict({step.replace(".", "_"): steps[step] for step in kept})
        self._wanted = {step.replace(".", "_"): step for step in layers}

    def forward(self, x: Tensor) -> list[Tensor]:
        """See :meth:`Backbone.forward`."""
        found: dict[str, Tensor] = {}
        for key, module in self.net.items():
            x = module(x)
            if key in self._wanted:
                found[self._wanted[key]] = x
        return [found[layer.name] for layer in self.layers]


def _shapes(modules: Sequence[nn.Module], side: int = 512) -> list[tuple[int, int, int, float]]:
    """(channels, stride, receptive field, its first centre) after each module of a chain, on shapes alone.

    The stride is what the input grows by for one more cell: borders do not enter. The receptive field grows by each
    window that is met, and its centre moves by half the window less what was filled up before it; side branches of a
    block must have none (shortcuts of a residual block are 1 x 1).
    """
    field, centre = 1, 0.5

    def met(window: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal field, centre
        reach = (_side(window.kernel_size) - 1) * _side(getattr(window, "dilation", 1))
        pixels = round(2 * side / inputs[0].shape[2])
        field += reach * pixels
        if reach:
            centre += (reach / 2 - _before(window, inputs[0].shape[2], output.shape[2], reach)) * pixels

    shapes = []
    small, large = (torch.empty(1, 3, n, n, device="meta") for n in (side, 2 * side))
    with torch.no_grad():
        for module in modules:
            named = itertools.chain(module.named_parameters(), module.named_buffers())
            shadow = {name: tensor.to("meta") for name, tensor in named}
            small = functional_call(module, shadow, (small,))
            windows = [part for part in module.modules() if hasattr(part, "kernel_size")]
            hooks = [window.register_forward_hook(met) for window in windows]
            large = functional_call(module, shadow, (large,))
            for hook in hooks:
                hook.remove()
            stride = round(side / (int(large.shape[2]) - int(small.shape[2])))
            shapes.append((int(small.shape[1]), stride, field, centre))
    return shapes


def _before(window: nn.Module, cells: int, made: int, reach: int) -> int:
    """Cells that a window fills up before the first one; TensorFlow's networks fill up as many as the size needs."""
    own = _side(getattr(window, "padding", 0))
    missing = (made - 1) * _side(window.stride) + reach + 1 - cells
    return own if own or missing <= 0 else missing // 2


def _side(size: Any) -> int:
    """Of a square window, given as torch's modules hold it."""
    return int(size if isinstance(size, int) else size[0])
