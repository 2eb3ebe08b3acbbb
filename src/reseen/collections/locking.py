"""One writer at a time."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable

from filelock import FileLock, Timeout

from reseen.collections.files import Disk
from reseen.errors import CollectionError, CollectionLocked

HOLDER = "lock-holder.json"
"""Who holds the lock; of no meaning while the lock is free."""
EVERY_S = 1.0
"""Seconds between two calls of ``waiting``."""


class WriterLock:
    """The writer's lock of a folder: held by this process, not by its children, and gone when it dies.

    Args:
        files: the collection.
        wait_s: seconds for which another writer is waited for.
        waiting: called about once a second meanwhile, with a line that says who holds the lock.
    """

    def __init__(self, files: Disk, wait_s: float = 0.0, waiting: Callable[[str], None] | None = None) -> None:
        self._files, self._wait_s, self._waiting = files, wait_s, waiting
        self._lock = FileLock(files.root / "lock", timeout=0)

    def __enter__(self) -> None:
        end = time.monotonic() + self._wait_s
        while not self._acquired():
            left = end - time.monotonic()
            if left <= 0:
                raise CollectionLocked(
                    f"{self._files.root}: {self._holder()} is writing to it; try again when it is done"
                )
            if self._waiting is not None:
                self._waiting(f"waiting for {self._holder()}, {left:.0f} s more at most")
            pause = min(end, time.monotonic() + EVERY_S)
            while time.monotonic() < pause and not self._acquired():
                time.sleep(0.02)
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": int(time.time())})
        with contextlib.suppress(OSError, CollectionError):  # only so that others can say who it is
            self._files.write(HOLDER, text.encode(), durable=False)

    def _acquired(self) -> bool:
        if self._lock.is_locked:
            return True
        try:
            self._lock.acquire()
        except Timeout:
            return False
        except OSError as error:
            raise CollectionError(f"{self._files.root}: cannot be written ({error.strerror or error})") from None
        return True

    def _holder(self) -> str:
        """Who holds the lock and since when, as text."""
        try:
            found = json.loads(self._files.read(HOLDER))
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(found["since"])))
            return f"process {int(found['pid'])} on {str(found['host'])[:100]}, since {since},"
        except (CollectionError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return "another process"

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(OSError):
            self._files.remove(HOLDER)
        self._lock.release()
