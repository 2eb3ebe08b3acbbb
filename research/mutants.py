"""Small wrong changes of a source file, one at a time, and how to put one into functions that are already loaded."""

from __future__ import annotations

import ast
import functools
import gc
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COMPARED = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
COMPUTED = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.MatMult: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
NAMED = {
    "max": "min", "min": "max", "amax": "amin", "amin": "amax", "argmax": "argmin", "argmin": "argmax",
    "maximum": "minimum", "minimum": "maximum", "sum": "mean", "mean": "sum", "any": "all", "all": "any",
    "clamp_min": "clamp_max", "clamp_max": "clamp_min", "zeros": "ones", "ones": "zeros", "sqrt": "square",
    "square": "sqrt", "rsqrt": "sqrt", "ceil": "floor", "floor": "ceil", "log": "exp", "exp": "log",
    "break": "continue", "union": "intersection",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: where it is, what it is, and the outermost function that holds it."""

    file: Path
    line: int
    change: str
    place: int
    """Number among the file's changes; the same source gives the same numbers."""
    first_line: int
    """Where the code of the outermost function begins (at its first decorator)."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.change}"


def mutants(file: Path) -> list[Mutant]:
    """Every change of a file's functions."""
    found = []
    for place, (node, change, _, function) in enumerate(_changes(ast.parse(file.read_text("utf-8")))):
        first = min([function.lineno, *(d.lineno for d in function.decorator_list)])
        found.append(Mutant(file, node.lineno, change, place, first))
    return found


def changed(mutant: Mutant) -> ast.Module:
    """The file's tree with the change made."""
    tree = ast.parse(mutant.file.read_text("utf-8"))
    for place, (_, _, apply, _) in enumerate(_changes(tree)):
        if place == mutant.place:
            apply()
            return ast.fix_missing_locations(tree)
    raise IndexError(f"{mutant} is not there")


def _changes(tree: ast.Module) -> Iterator[tuple[Any, str, Callable[[], None], ast.FunctionDef]]:
    """(node, what changes, a call that changes it, outermost function) in the order of the source."""
    for function in _outermost(tree):
        for node, change, apply in _inside(function):
            yield node, change, apply, function


def _outermost(tree: ast.Module | ast.ClassDef) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node
        elif isinstance(node, ast.ClassDef):
            yield from _outermost(node)


def _inside(root: ast.AST) -> Iterator[tuple[Any, str, Callable[[], None]]]:
    for node in _walk(root):
        if isinstance(node, ast.Compare):
            for i, operator in enumerate(node.ops):
                other = COMPARED[type(operator)]
                yield node, f"{_name(operator)} -> {other.__name__}", _put(node.ops, i, other())
        elif isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in COMPUTED:
            other = COMPUTED[type(node.op)]
            yield node, f"{_name(node.op)} -> {other.__name__}", _set(node, "op", other())
        elif isinstance(node, ast.BoolOp):
            other = ast.Or if isinstance(node.op, ast.And) else ast.And
            yield node, f"{_name(node.op)} -> {other.__name__}", _set(node, "op", other())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Invert):
            yield node, f"{_name(node.op)} left out", _set(node, "op", ast.UAdd())
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield node, "Not left out", _set(node, "operand", ast.UnaryOp(ast.Not(), node.operand))
        elif isinstance(node, ast.If | ast.IfExp | ast.While) and not isinstance(node.test, ast.UnaryOp | ast.Compare):
            yield node, "condition turned round", _set(node, "test", ast.UnaryOp(ast.Not(), node.test))
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, f"{node.value} -> {not node.value}", _set(node, "value", not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            small = isinstance(node.value, int) and node.value < 10
            other = node.value + 1 if small else node.value * 2 + (node.value == 0)
            yield node, f"{node.value} -> {other}", _set(node, "value", other)
        elif isinstance(node, ast.Attribute) and node.attr in NAMED:
            yield node, f".{node.attr} -> .{NAMED[node.attr]}", _set(node, "attr", NAMED[node.attr])
        elif isinstance(node, ast.Name) and node.id in NAMED:
            yield node, f"{node.id} -> {NAMED[node.id]}", _set(node, "id", NAMED[node.id])
        elif isinstance(node, ast.Call) and node.keywords:
            for i, keyword in enumerate(node.keywords):
                if keyword.arg not in (None, "strict", "device"):  # guards; all tests run on one device
                    yield node, f"{keyword.arg}= left out", _drop(node.keywords, i)
        for block in (getattr(node, name, None) for name in ("body", "orelse")):
            for i, statement in enumerate(block if isinstance(block, list) else []):
                if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
                    yield statement, f"{ast.unparse(statement)[:60]} left out", _put(block, i, ast.Pass())


def _walk(node: ast.AST) -> Iterator[ast.AST]:
    """Nodes in order, without types, defaults and decorators, and the messages of errors."""
    yield node
    if isinstance(node, ast.Raise | ast.JoinedStr):
        return
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list") or isinstance(value, ast.arguments):
            continue
        if isinstance(node, ast.keyword) and node.arg == "strict":
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from _walk(child)


def _name(operator: ast.AST) -> str:
    return type(operator).__name__


def _set(node: ast.AST, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(node, name, value)


def _put(items: list[Any], place: int, value: Any) -> Callable[[], None]:
    def apply() -> None:
        items[place] = value

    return apply


def _drop(items: list[Any], place: int) -> Callable[[], None]:
    def apply() -> None:
        del items[place]

    return apply


def loaded_functions(file: Path) -> dict[int, list[types.FunctionType]]:
    """Functions and methods of a file that this process holds, by the first line of their code."""
    found: dict[int, list[types.FunctionType]] = {}
    for thing in gc.get_objects():
        if type(thing) is types.FunctionType and thing.__code__.co_filename == str(file):
            found.setdefault(thing.__code__.co_firstlineno, []).append(thing)
    return found


def put_in(mutant: Mutant) -> None:
    """Give the loaded functions the changed code, wherever they are bound, and forget what was cached."""
    module = compile(changed(mutant), str(mutant.file), "exec")
    code = next(code for code in _codes(module) if code.co_firstlineno == mutant.first_line)
    for function in loaded_functions(mutant.file)[mutant.first_line]:
        function.__code__ = code
    for thing in gc.get_objects():
        if type(thing) is functools._lru_cache_wrapper and thing.__module__.startswith("reseen"):
            thing.cache_clear()


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Code of the functions and methods of a module, not of those inside functions."""
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            if constant.co_flags & 0x2:  # CO_NEWLOCALS: a function; a class body has none
                yield constant
            else:
                yield from _codes(constant)
