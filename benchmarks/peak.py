"""Seconds and peak memory of a step, for the benchmarks; Linux."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def anonymous_bytes() -> int:
    """Memory of this process that is no file's: what it cannot do without."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return 1024 * int(line.split()[1])
    raise OSError("/proc/self/status tells no RssAnon")


def measured(step: Callable[[], Any]) -> tuple[Any, float, int]:
    """What ``step`` returns, its seconds, and by how many bytes anonymous memory rose at most (seen every ms)."""
    before, seen, done = anonymous_bytes(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.001):
            seen.append(anonymous_bytes() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    try:
        result = step()
    finally:
        seconds = time.perf_counter() - began
        done.set()
        watcher.join()
    return result, seconds, max(seen)


def alone(function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function`` returns in a fresh process."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(function, arguments)
