"""A function over many sources in threads: bounded look-ahead, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def ordered_map(
    function: Callable[[A], B], items: Iterable[A], *, workers: int = 1, lookahead: int | None = None
) -> Iterator[B]:
    """``function`` of each item, in order, computed by ``workers`` threads no more than ``lookahead`` items ahead.

    An exception of ``function`` is raised where its result would come. When the caller stops early (Ctrl-C, a
    closed generator) nothing that waits is begun.
    """
    ahead = max(lookahead if lookahead is not None else 4 * workers, 1)
    pool = ThreadPoolExecutor(max(workers, 1), thread_name_prefix="reseen-decode")
    waiting: deque[Future[B]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
