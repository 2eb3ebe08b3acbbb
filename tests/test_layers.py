"""The rooms of the house stand in one order, and imports only go down it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "reseen"
ROOMS = (
    "types",
    "errors",
    "lazy",
    "safe_pickle",
    "registry",
    "schema",
    "images",
    "encoder",
    "scenes",
    "photosets",
    "backbones",
    "heads",
    "projections",
    "local_features",
    "descriptor",
    "search",
    "collections",
    "identify",
    "evaluation",
    "training",
    "service",
    "cluster",
    "cli",
    "__main__",
)
"""From the ground up: a room imports itself and those before it."""
WITHOUT_TORCH = {*ROOMS[: ROOMS.index("backbones")], "search", "collections"}
TORCH = {"torch", "torchvision", "timm", "kornia"}
TOP = "reseen"
"""The package itself: it names what is public, and everything may read its version."""


class Import(NamedTuple):
    module: str
    line: int
    imported: str

    def __str__(self) -> str:
        return f"{self.module}, line {self.line}: {self.imported}"


def modules(source: Path = SOURCE) -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for file in sorted(source.rglob("*.py")):
        parts = (TOP, *file.relative_to(source).with_suffix("").parts)
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports(module: str, text: str, known: set[str]) -> Iterator[Import]:
    """Every import of a file, those inside functions and for types only included."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, node.lineno, alias.name)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}, line {node.lineno}: imports are absolute"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield Import(module, node.lineno, inner if inner in known else str(node.module))


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else TOP


def faults(found: list[Import]) -> list[str]:
    """Imports that go up, and networks where there should be none."""
    wrong = []
    for line in found:
        here, there = room(line.module), room(line.imported)
        if line.imported.split(".")[0] == TOP and TOP not in (here, there) and ROOMS.index(there) > ROOMS.index(here):
            wrong.append(f"{line} stands above")
        if line.imported.split(".")[0] in TORCH and here in WITHOUT_TORCH:
            wrong.append(f"{line}: {here} knows no network")
    return wrong


@pytest.fixture(scope="module")
def found() -> list[Import]:
    files = modules()
    return [line for name, file in files.items() for line in imports(name, file.read_text("utf-8"), set(files))]


def test_every_room_has_its_place(found):
    assert {room(name) for name in modules()} - {TOP} <= set(ROOMS)


def test_imports_only_go_down_and_networks_stay_out_of_search_and_collections(found):
    assert not faults(found)


def test_no_module_imports_itself_through_others(found):
    graph: dict[str, set[str]] = {}
    for line in found:
        if line.imported.split(".")[0] == TOP and TOP not in (line.module, line.imported):
            graph.setdefault(line.module, set()).add(line.imported)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail("a circle of imports: " + " <- ".join(error.args[1]))


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("reseen.images.decode", "from reseen.search import Hit"),
        ("reseen.heads.rmac", "def f():\n    import reseen.training.loop"),
        ("reseen.search.ranking", "def f():\n    from torch import nn"),
        ("reseen.collections.table", "import torch.nn.functional as F"),
    ],
)
def test_what_the_test_is_for(module, text):
    assert faults(list(imports(module, text, set())))
    assert not faults(list(imports("reseen.training.loop", text.replace("reseen.training", "reseen.heads"), set())))
