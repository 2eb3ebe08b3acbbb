"""A network that need not be made: its compiled form may be all that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from reseen.backbones import Backbone


@dataclass(frozen=True)
class KnownNetwork:
    """A backbone by its name, layers and tensors, made only when something beside its compiled form is needed.

    Attributes:
        name, layers: of the backbone.
        tensors: all that its state holds.
        make: the backbone with these tensors, the same one each time.
    """

    name: str
    layers: tuple[str, ...]
    tensors: Mapping[str, NDArray[Any]]
    make: Callable[[], Backbone]
    convertible = True

    @classmethod
    def of(cls, backbone: Backbone) -> KnownNetwork:
        """A backbone that is made already."""
        return cls(backbone.name, tuple(layer.name for layer in backbone.layers), state_of(backbone), lambda: backbone)


def state_of(module: nn.Module) -> dict[str, NDArray[Any]]:
    """Every tensor that vectors depend on, by its name."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in module.state_dict().items() if matters(name)}


def matters(name: str) -> bool:
    """Whether vectors depend on a tensor of a module's state."""
    return not name.endswith("num_batches_tracked")


def hash_tensors(digest: Any, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Add tensors with their names, types and shapes to a digest of hashlib."""
    for name, tensor in sorted(tensors.items()):
        array = np.ascontiguousarray(tensor)
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
