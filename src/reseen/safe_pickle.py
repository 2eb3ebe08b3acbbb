"""Pickles of plain data, read without running what they say.

Ground truth of the field is distributed as pickles. A pickle is a program: loading one can run
anything. This reader admits plain containers, numbers, text and numpy arrays, and nothing else; numpy's own
unpickling code is not called either, arrays are made anew from their bytes.
"""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from reseen.errors import UntrustedFile

_ARRAY_CLASS = object()

MAX_BYTES = 500_000_000
"""Of a pickle file; the published ones have at most some tens of millions."""
MAX_VALUES = 50_000_000
"""Values that a pickle stands for when everything that it refers to twice is written out twice."""
_Key = str | bytes | int | float | bool | None


def read_pickle(path: str | os.PathLike[str]) -> Any:
    """The plain data in a pickle file of any protocol, Python 2's included (its text read as latin-1).

    Time and memory follow from the file's size: every instruction is a byte or more, what is referred to often is
    counted as often, and keys are text or numbers of 64 bits, whose hashes do not collide.

    Raises:
        UntrustedFile: the pickle asks for anything but plain containers, numbers, text and numpy arrays, for too many
            of them, or is damaged. OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    try:
        if len(data) > MAX_BYTES:
            raise UntrustedFile(f"the pickle is larger than {MAX_BYTES} bytes")
        return _Plain().of(_Reader(io.BytesIO(data)).load())
    except UntrustedFile as error:
        raise UntrustedFile(f"{path}: {error}; refused") from None
    except (Exception, RecursionError) as error:
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


def _keys(found: Any) -> list[_Key]:
    """Members of a set, or keys; tuples and sets among them could be made to collide."""
    listed = list(found)
    for key in listed:
        if not isinstance(key, str | bytes | int | float | None):
            raise UntrustedFile(f"the pickle has a {type(key).__name__} for a key or a member of a set")
        if isinstance(key, int):
            _number(key)
    return listed


def _number(value: int) -> int:
    if value.bit_length() > 64:
        raise UntrustedFile("the pickle holds a number of more than 64 bits")
    return value


def _set(members: Any = ()) -> set[_Key]:
    return set(_keys(members))


def _ordered(pairs: Any = ()) -> dict[_Key, Any]:
    pairs = [(key, value) for key, value in pairs]
    _keys(key for key, _ in pairs)
    return dict(pairs)


_ADMITTED: dict[str, Any] = {
    "builtins.set": _set,
    "builtins.frozenset": _set,
    "__builtin__.set": _set,
    "__builtin__.frozenset": _set,
    "collections.OrderedDict": _ordered,
    "_codecs.encode": _encode,
    "numpy.ndarray": _ARRAY_CLASS,
    "numpy.dtype": _Dtype,
    **{f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _Buffer for core in ("core", "_core")},
}


def torch_globals() -> list[tuple[Any, str]]:
    """What ``torch.serialization.safe_globals`` admits for numpy arrays in files of torch; read with :func:`plain`."""
    return [(made, name) for name, made in _ADMITTED.items() if name.startswith("numpy.") or name == "_codecs.encode"]


def plain(value: Any) -> Any:
    """What was read with :func:`torch_globals`, with numpy's own arrays; UntrustedFile as in :func:`read_pickle`."""
    return _Plain().of(value)


def _checked(load: Callable[[Any], None]) -> Callable[[Any], None]:
    """An instruction that loads a number, and a look at it."""

    def checked(reader: Any) -> None:
        load(reader)
        if isinstance(reader.stack[-1], int):
            _number(reader.stack[-1])

    return checked


_PythonsReader: Any = pickle._Unpickler


class _Reader(_PythonsReader):  # type: ignore[misc]
    """Python's own reader of pickles, in which each instruction can be looked at.

    Its memo is a dictionary, so that an index of thousands of millions takes no room.
    """

    dispatch: ClassVar[dict[int, Any]] = dict(_PythonsReader.dispatch)

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__(file, encoding="latin1")

    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ADMITTED[f"{module}.{name}"]
        except KeyError:
            raise UntrustedFile(f"the pickle asks for {module}.{name}, which is not plain data") from None

    def persistent_load(self, pid: Any) -> Any:
        raise UntrustedFile("the pickle refers to data outside itself")

    def load_dict(self) -> None:
        items = self.pop_mark()
        _keys(items[::2])
        self.append({items[i]: items[i + 1] for i in range(0, len(items), 2)})

    def load_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._filled()[_keys([key])[0]] = value

    def load_setitems(self) -> None:
        items = self.pop_mark()
        keys = _keys(items[::2])
        self._filled().update(zip(keys, items[1::2], strict=True))

    def load_additems(self) -> None:
        members = _keys(self.pop_mark())
        if not isinstance(self.stack[-1], set):
            raise UntrustedFile("the pickle adds to what is no set")
        self.stack[-1].update(members)

    def load_frozenset(self) -> None:
        members = self.pop_mark()
        self.append(_set(members))

    def _filled(self) -> dict[_Key, Any]:
        if not isinstance(self.stack[-1], dict):
            raise UntrustedFile("the pickle sets an item of what is no dictionary")
        return self.stack[-1]

    dispatch |= {
        pickle.DICT[0]: load_dict,
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.ADDITEMS[0]: load_additems,
        pickle.FROZENSET[0]: load_frozenset,
        **{
            code[0]: _checked(_PythonsReader.dispatch[code[0]])
            for code in (pickle.INT, pickle.LONG, pickle.LONG1, pickle.LONG4)
        },
    }


class _Plain:
    """What a pickle's values stand for, with the readers' own classes replaced; what is shared stays shared."""

    def __init__(self) -> None:
        self.made: dict[int, tuple[Any, int]] = {}

    def of(self, value: Any) -> Any:
        """The plain value. UntrustedFile when it stands for too many, or holds itself."""
        return self._made(value)[0]

    def _made(self, value: Any) -> tuple[Any, int]:
        """The plain value, and how many values it stands for."""
        if isinstance(value, _Array | _Buffer):
            return value.value, 1
        if isinstance(value, _Dtype):
            return value.dtype, 1
        if not isinstance(value, dict | list | tuple):
            return value, 1
        known = self.made.get(id(value))
        if known is not None:
            if known[1] < 0:
                raise UntrustedFile("the pickle holds a container that holds itself")
            return known
        self.made[id(value)] = (None, -1)
        items = [self._made(item) for item in (value.values() if isinstance(value, dict) else value)]
        weight = 1 + sum(item[1] for item in items)
        if weight > MAX_VALUES:
            raise UntrustedFile(f"the pickle stands for more than {MAX_VALUES} values")
        plain = [item[0] for item in items]
        made: Any = dict(zip(value, plain, strict=True)) if isinstance(value, dict) else type(value)(plain)
        self.made[id(value)] = (made, weight)
        return made, weight
