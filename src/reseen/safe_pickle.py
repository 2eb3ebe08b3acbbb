"""Pickles of plain data, read without running what they say.

Ground truth of the field is distributed as pickles. A pickle is a program: loading one can run
anything. This reader admits plain containers, numbers, text and numpy arrays, and nothing else; numpy's own
unpickling code is not called either, arrays are made anew from their bytes.
"""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from reseen.errors import UntrustedFile

_ARRAY_CLASS = object()


def read_pickle(path: str | os.PathLike[str]) -> Any:
    """The plain data in a pickle file of any protocol, Python 2's included (its text read as latin-1).

    Raises:
        UntrustedFile: the pickle asks for anything but plain containers, numbers, text and numpy arrays, or
            is damaged. OSError: it cannot be read.
    """
    data = Path(path).read_bytes()
    try:
        return _plain(_Reader(io.BytesIO(data), encoding="latin1").load())
    except UntrustedFile as error:
        raise UntrustedFile(f"{path}: {error}; refused") from None
    except Exception as error:
        raise UntrustedFile(f"{path}: not a readable pickle ({type(error).__name__}: {error})") from None


class _Dtype:
    """A dtype as pickles describe it: a kind and size first, byte order in its state."""

    def __init__(self, code: str, *_: Any) -> None:
        self.dtype: np.dtype[Any] = np.dtype(str(code))
        if self.dtype.kind not in "biufcSU":
            raise UntrustedFile(f"the pickle holds an array of dtype {self.dtype}, which is not plain data")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.dtype = self.dtype.newbyteorder("S" if state[1] == ">" and self.dtype.str[0] == "<" else "=")


class _Array:
    """An array as pickles describe it; the contents are in its state."""

    def __init__(self, kind: object, *_: Any) -> None:
        if kind is not _ARRAY_CLASS:
            raise UntrustedFile("the pickle asks for a subclass of array")
        self.value = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, fortran, data = state
        self.value = _from_bytes(data, dtype, shape, "F" if fortran else "C")


class _Buffer:
    """An array whose contents stand in the pickle as one buffer (protocol 5)."""

    def __init__(self, data: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str, *axes: Any) -> None:
        if any(axis is not None for axis in axes):
            raise UntrustedFile("the pickle holds an array with permuted axes")
        self.value = _from_bytes(data, dtype, shape, order)


def _from_bytes(data: Any, dtype: Any, shape: Any, order: str) -> Any:
    if not isinstance(dtype, _Dtype) or not isinstance(data, bytes | bytearray | str):
        raise UntrustedFile("the pickle holds an array that is not plain data")
    raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
    return np.frombuffer(raw, dtype.dtype).reshape(tuple(shape), order="F" if order == "F" else "C").copy()


def _scalar(dtype: Any, data: Any) -> Any:
    return _from_bytes(data, dtype, (1,), "C")[0]


def _encode(text: str, encoding: str) -> bytes:
    """``codecs.encode``, which is how Python 3 writes bytes in protocols 0 to 2."""
    if encoding != "latin1":
        raise UntrustedFile(f"the pickle asks for the codec {encoding!r}")
    return text.encode("latin1")


_ADMITTED: dict[str, Any] = {
    "builtins.set": set,
    "builtins.frozenset": frozenset,
    "__builtin__.set": set,
    "__builtin__.frozenset": frozenset,
    "collections.OrderedDict": dict,
    "_codecs.encode": _encode,
    "numpy.ndarray": _ARRAY_CLASS,
    "numpy.dtype": _Dtype,
    **{f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _Buffer for core in ("core", "_core")},
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[f"{module}.{name}"]
        except KeyError:
            raise UntrustedFile(f"the pickle asks for {module}.{name}, which is not plain data") from None

    def persistent_load(self, pid: Any) -> Any:
        raise UntrustedFile("the pickle refers to data outside itself")


def _plain(value: Any) -> Any:
    if isinstance(value, _Array | _Buffer):
        return value.value
    if isinstance(value, _Dtype):
        return value.dtype
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, tuple):
        return tuple(_plain(item) for item in value)
    return value
