"""Compiled networks, kept in a folder of the user's own between processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import platformdirs

MOST = 8
"""Networks that are kept; those used longest ago make room."""


def kept_folder() -> Path:
    """``networks`` in ``RESEEN_CACHE``, or in the user's cache of reseen (``~/.cache/reseen``, or XDG's)."""
    return Path(os.environ.get("RESEEN_CACHE") or platformdirs.user_cache_path("reseen")) / "networks"


def key_of(facts: Mapping[str, Any]) -> str:
    """The name under which something made from these facts is kept."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def is_kept(key: str) -> bool:
    """Whether there is an entry, sound or not."""
    with _opened(make=False) as folder:
        if folder is None:
            return False
        try:
            os.stat(key, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True


def read(key: str) -> bytes | None:
    """What was kept under a key; None where there is nothing, or where it is not what was written."""
    with _opened(make=False) as folder:
        if folder is None:
            return None
        try:
            with os.fdopen(os.open(key, os.O_RDONLY | os.O_NOFOLLOW, dir_fd=folder), "rb") as file:
                manifest, content = file.readline(1000), file.read()
            if manifest != _manifest(key, content):
                return None
            os.utime(key, dir_fd=folder)
        except OSError:
            return None
        return content


def keep(key: str, content: bytes) -> bool:
    """Keep ``content`` under a key, whole or not at all; False where it cannot be, which is no error."""
    with _opened(make=True) as folder:
        if folder is None:
            return False
        beside = f".{secrets.token_hex(8)}"
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=folder), "wb") as file:
                file.write(_manifest(key, content) + content)
            os.rename(beside, key, src_dir_fd=folder, dst_dir_fd=folder)
            _make_room(folder)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(beside, dir_fd=folder)
            return False
        return True


def _manifest(key: str, content: bytes) -> bytes:
    """The first line of a file: what it is kept as, and the hash of all that follows."""
    return json.dumps({"key": key, "sha256": hashlib.sha256(content).hexdigest()}).encode() + b"\n"


@contextlib.contextmanager
def _opened(*, make: bool) -> Iterator[int | None]:
    """The folder as a descriptor, so that nobody can put another in its place; None unless it is ours alone."""
    path = kept_folder()
    try:
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                path.mkdir(0o700)
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        yield None
        return
    try:
        found = os.fstat(folder)
        yield folder if found.st_uid == os.geteuid() and not stat.S_IMODE(found.st_mode) & 0o077 else None
    finally:
        os.close(folder)


def _make_room(folder: int) -> None:
    """Remove all but the :data:`MOST` files used last; what was left half written goes with them."""
    times = {name: os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime_ns for name in os.listdir(folder)}
    for name in sorted(times, key=lambda name: times[name])[:-MOST]:
        os.unlink(name, dir_fd=folder)
