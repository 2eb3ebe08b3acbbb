"""Many small jobs in threads of their own: the libraries below must not start threads beside them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import cv2
from threadpoolctl import ThreadpoolController

_lock = threading.Lock()
_state: dict[str, Any] = {"users": 0}


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextlib.contextmanager
def one_thread_each() -> Iterator[None]:
    """BLAS and OpenCV use one thread; the last of several users that overlap gives them back theirs."""
    with _lock:
        if _state["users"] == 0:
            _state.update(opencv=cv2.getNumThreads(), blas=_controller().limit(limits=1, user_api="blas"))
            cv2.setNumThreads(1)
        _state["users"] += 1
    try:
        yield
    finally:
        with _lock:
            _state["users"] -= 1
            if _state["users"] == 0:
                cv2.setNumThreads(_state["opencv"])
                _state["blas"].restore_original_limits()
