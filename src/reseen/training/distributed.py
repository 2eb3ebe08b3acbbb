"""One process or many: what torchrun's workers tell each other.

Gradients are summed over the workers once per update, after all the passes of a batch; every worker then holds the
gradient that one process would have had for the whole batch.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch import Tensor, nn


@dataclass(frozen=True)
class Workers:
    """The number of one worker and how many there are; alone by default."""

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this worker writes the files and draws the progress."""
        return self.rank == 0

    def share(self, n: int) -> range:
        """Its places among n: every ``count``-th."""
        return range(self.rank, n, self.count)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Gradients of each parameter become their sum over all workers; all are reduced in one message."""
        if self.count == 1:
            return
        listed = list(parameters)
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in listed])
        dist.all_reduce(flat)
        for p, part in zip(listed, torch.split(flat, [p.numel() for p in listed]), strict=True):
            p.grad = part.view_as(p)

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum over all workers."""
        if self.count > 1:
            dist.all_reduce(values)
        return values

    def gather_rows(self, rows: NDArray[np.float32], n: int) -> NDArray[np.float32]:
        """Each worker's :meth:`share` of n rows, in the order of its share -> all n rows."""
        if self.count == 1:
            return rows
        everyone: list[Any] = [None] * self.count
        dist.all_gather_object(everyone, rows)
        whole = np.zeros((n, rows.shape[1]), np.float32)
        for rank, part in enumerate(everyone):
            whole[rank :: self.count] = part
        return whole

    def merge(self, known: dict[int, str]) -> dict[int, str]:
        """The union of each worker's dictionary."""
        if self.count == 1:
            return known
        everyone: list[Any] = [None] * self.count
        dist.all_gather_object(everyone, known)
        return {key: value for part in everyone for key, value in part.items()}

    def wait(self) -> None:
        """Until every worker is here."""
        if self.count > 1:
            dist.barrier()


def local_device(name: str) -> torch.device:
    """``auto``: this worker's own GPU when there is one, else the CPU; any other name as it is."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


@contextmanager
def workers(device: torch.device) -> Iterator[Workers]:
    """The workers that torchrun started (its variables are in the environment), or this process alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Workers()
        return
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield Workers(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()
