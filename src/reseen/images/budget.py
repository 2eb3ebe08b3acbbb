"""What one photo may cost: an estimate of the memory that decoding takes, and a process that can be stopped."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

import numpy as np

from reseen.errors import PhotoRejected
from reseen.images.limits import Limits
from reseen.types import Pixels

SMALL = 300_000_000
"""Bytes that decoding a photo of 40 megapixels stays below; what needs more is decoded one photo at a time."""
_LENGTH = struct.Struct(">Q")
_one_large = threading.Lock()
_idle: list[Decoder] = []
_idle_lock = threading.Lock()


class TooLarge(Exception):
    """A photo that needs more memory than it was given; it is decoded alone."""


@contextlib.contextmanager
def room_for(needed: int, given: int | None) -> Iterator[None]:
    """Hold the turn of large photos while one that needs so many bytes is decoded; small ones need none.

    Raises:
        TooLarge: more is needed than was ``given``.
    """
    if given is not None and needed > given:
        raise TooLarge
    if given is not None or needed <= SMALL:
        yield
        return
    with _one_large:
        yield


class Decoder:
    """A process that decodes photos one after another, and is killed when one takes too long.

    It is a plain subprocess of this Python with pipes, so that scripts without a guard may use it. It ends with its
    parent: its input ends.
    """

    def __init__(self, memory: int) -> None:
        home = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {**os.environ, "PYTHONPATH": path, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
        self.memory = memory
        self._process = subprocess.Popen(
            [sys.executable, "-m", "reseen.images.decoder", str(memory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self._expired = False

    def __call__(self, data: bytes, request: dict[str, Any], seconds: float) -> tuple[Pixels, tuple[int, int]]:
        """Pixels and full size of one photo.

        Raises:
            PhotoRejected: with its reason, or because it took more than ``seconds``, or the memory.
            TooLarge: it needs more than the ``memory`` of the request.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        name = request["name"]
        timer = threading.Timer(seconds, self._expire)
        timer.start()
        try:
            send(self._process.stdin, json.dumps(request).encode())
            send(self._process.stdin, data)
            answer = json.loads(receive(self._process.stdout))
            pixels = receive(self._process.stdout) if "shape" in answer else b""
        except (OSError, EOFError, ValueError):
            self.stop()
            if self._expired:
                raise PhotoRejected(name, f"takes more than {seconds:g} seconds to decode") from None
            raise PhotoRejected(name, "cannot be decoded (the decoder failed, or ran out of memory)") from None
        finally:
            timer.cancel()
        if "too_large" in answer:
            raise TooLarge
        if "shape" not in answer:
            raise PhotoRejected(name, answer["reason"])
        return np.frombuffer(pixels, np.uint8).reshape(answer["shape"]), tuple(answer["size"])

    @property
    def alive(self) -> bool:
        """Whether it can take another photo."""
        return self._process.poll() is None and not self._expired

    def _expire(self) -> None:
        self._expired = True
        self._process.kill()

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def decode_apart(data: bytes, name: str, at_least: int | None, limits: Limits) -> tuple[Pixels, tuple[int, int]]:
    """Upright pixels and full size of a photo, decoded by another process within the limits.

    Raises:
        PhotoRejected: it is no photo, or costs too much. OSError: no process can be started.
    """
    request = {"name": name, "at_least": at_least, "limits": asdict(limits), "memory": SMALL}
    try:
        return _ask(data, request, limits)
    except TooLarge:
        with _one_large:
            return _ask(data, request | {"memory": limits.max_memory}, limits)


def _ask(data: bytes, request: dict[str, Any], limits: Limits) -> tuple[Pixels, tuple[int, int]]:
    with _idle_lock:
        decoder = _idle.pop() if _idle else None
    if decoder is None or decoder.memory != limits.max_memory or not decoder.alive:
        if decoder is not None:
            decoder.stop()
        decoder = Decoder(limits.max_memory)
    try:
        return decoder(data, request, limits.max_seconds)
    finally:
        if decoder.alive:
            with _idle_lock:
                _idle.append(decoder)
        else:
            decoder.stop()


@atexit.register
def _stop_all() -> None:
    while _idle:
        _idle.pop().stop()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a fork does not share its parent's pipes


def send(pipe: IO[bytes], data: bytes | memoryview) -> None:
    """Length and bytes."""
    pipe.write(_LENGTH.pack(len(data)))
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> bytes:
    """What :func:`send` sent; EOFError where it ends early."""
    head = pipe.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    data = pipe.read(length)
    if len(data) < length:
        raise EOFError
    return data
