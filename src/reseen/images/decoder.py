"""The process that :mod:`reseen.images.budget` starts: photos from its input, pixels to its output."""

from __future__ import annotations

import contextlib
import json
import os
import sys

from reseen.errors import PhotoRejected
from reseen.images.budget import TooLarge, receive, send
from reseen.images.decode import decode_here
from reseen.images.limits import Limits


def main(memory: int) -> None:
    """Decode until the input ends; more than ``memory`` bytes beyond what the process has now are refused."""
    _limit(memory)
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints does not mix with the pixels
    while True:
        try:
            request = json.loads(receive(source))
            data = receive(source)
        except EOFError:
            return
        limits = Limits(**{**request["limits"], "formats": tuple(request["limits"]["formats"])})
        try:
            found = decode_here(data, request["name"], request["at_least"], limits, request["memory"])
        except PhotoRejected as error:
            send(target, json.dumps({"reason": error.reason}).encode())
        except TooLarge:
            send(target, json.dumps({"too_large": True}).encode())
        except MemoryError:
            send(target, json.dumps({"reason": "takes too much memory to decode"}).encode())
        else:
            send(target, json.dumps({"shape": found.pixels.shape, "size": found.size}).encode())
            send(target, found.pixels.data.cast("B"))
            del found


def _limit(memory: int) -> None:
    """Bound the address space where the system can (Linux)."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        with open("/proc/self/statm") as file:  # noqa: PTH123
            now = int(file.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + memory, now + memory))


if __name__ == "__main__":
    main(int(sys.argv[1]))
