"""How the cores are shared between a network and the decoding of its photos."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def share_threads(decode: int | None = None) -> tuple[int, int]:
    """(threads of the network, decoding threads): together no more than the cores this process may use.

    By default a quarter of the cores decodes. ``OMP_NUM_THREADS`` counts as the number of cores when it is smaller.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cores = min(cores, int(os.environ.get("OMP_NUM_THREADS") or cores))
    chosen = decode if decode is not None else max(1, cores // 4)
    return max(1, cores - chosen), max(1, chosen)


@contextmanager
def network_threads(count: int) -> Iterator[None]:
    """Torch has ``count`` threads within, and as many as before afterwards.

    Never held across a ``yield``: what runs meanwhile would get these threads, and take its own away.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
