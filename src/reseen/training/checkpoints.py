"""The state of a run on disk: tensors and plain values in one safetensors file, replaced as a whole."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from reseen.errors import TrainingError
from reseen.photosets import PhotoSet

STATE = "state.safetensors"


def write_state(path: Path, tensors: Mapping[str, Tensor], values: Mapping[str, Any]) -> None:
    """Write beside ``path``, flush to the disk, rename: a kill leaves the old file or the new one."""
    new = path.with_suffix(".new")
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, new, metadata={"values": json.dumps(values)})
    with new.open("rb") as file:
        os.fsync(file.fileno())
    new.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """(tensors, values) of :func:`write_state`; TrainingError when the file is damaged."""
    try:
        with safe_open(path, "pt") as file:
            values = json.loads(file.metadata()["values"])
            return {name: file.get_tensor(name) for name in file.keys()}, values  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise TrainingError(f"{path}: damaged ({error}); start again in an empty folder") from None


@dataclass
class Position:
    """Where a run is: everything but tensors that a resumed run needs."""

    epoch: int = 0
    done: int = 0
    update: int = 0
    mined_at: int = -1
    loss: float = 0.0
    terms: int = 0
    active: int = 0
    tuples: int = 0
    best: float | None = None
    best_epoch: int = 0
    since_best: int = 0
    seconds: float = 0.0
    likeness: float = 0.0
    finished: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)


def has_run(folder: Path) -> bool:
    """Whether a run has left a state in the folder."""
    return (folder / STATE).is_file()


def save_run(
    folder: Path,
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    data: PhotoSet,
    mined: NDArray[np.int64],
    at: Position,
    rejected: Mapping[int, str],
) -> None:
    """All that a run needs to go on: weights, moments, pairs, mined negatives, random state, position."""
    tensors = {f"network.{name}": value for name, value in network.state_dict().items()}
    tensors |= _moments(optimizer)
    tensors |= {
        "mined": torch.from_numpy(mined),
        "pairs": torch.from_numpy(data.pairs),
        "negatives": torch.from_numpy(data.negatives),
        "random": torch.get_rng_state(),
    }
    if data.candidates is not None:
        tensors["candidates"] = torch.from_numpy(data.candidates)
    write_state(folder / STATE, tensors, {**asdict(at), "rejected_numbers": {str(k): v for k, v in rejected.items()}})


def restore_run(
    folder: Path, network: nn.Module, optimizer: torch.optim.Optimizer, data: PhotoSet
) -> tuple[PhotoSet, NDArray[np.int64], Position, dict[int, str]]:
    """Take a saved state back into network, optimizer and torch's generator.

    Returns:
        The set with the run's pairs and candidates, the mined negatives, the position, the rejected photos.
    """
    tensors, values = read_state(folder / STATE)
    weights = {name.partition(".")[2]: value for name, value in tensors.items() if name.startswith("network.")}
    network.load_state_dict(weights)
    _restore_moments(optimizer, tensors)
    torch.set_rng_state(tensors["random"])
    rejected = {int(number): reason for number, reason in values.pop("rejected_numbers").items()}
    candidates = tensors["candidates"].numpy() if "candidates" in tensors else None
    chosen = replace(
        data, pairs=tensors["pairs"].numpy(), negatives=tensors["negatives"].numpy(), candidates=candidates
    )
    return chosen, tensors["mined"].numpy(), Position(**values), rejected


def _moments(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's moments: ``optimizer.NUMBER.NAME``."""
    return {
        f"optimizer.{number}.{name}": value if isinstance(value, Tensor) else torch.tensor(value)
        for number, moments in optimizer.state_dict()["state"].items()
        for name, value in moments.items()
        if value is not None
    }


def _restore_moments(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Take the moments back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        part, _, rest = key.partition(".")
        if part == "optimizer":
            number, _, name = rest.partition(".")
            state.setdefault(int(number), {})[name] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
