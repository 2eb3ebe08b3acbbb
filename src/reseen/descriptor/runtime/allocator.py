"""glibc's allocator set up for large feature maps."""

from __future__ import annotations

import ctypes
import platform
from functools import cache

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8


@cache
def tune_allocator() -> bool:
    """Keep freed maps mapped instead of returning them to the kernel after every photo.

    At 1024 px the page faults of glibc's defaults take longer than the network itself. Done once per
    process, by whoever first runs a network on a CPU; False where there is no glibc.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all(
        [
            mallopt(_M_MMAP_MAX, 0),
            mallopt(_M_TRIM_THRESHOLD, 2**31 - 1),
            mallopt(_M_TOP_PAD, 256 << 20),
            mallopt(_M_ARENA_MAX, 1),
        ]
    )
