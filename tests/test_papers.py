"""``docs/papers.md`` and the docstrings say the same of each other."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from reseen.descriptor.recipes import list_recipes

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "papers.md"
PLACE = r"(?:Eq|Section|Table|Figure)s?\.? "
NUMBER = r"(?:[IVX]+(?:-[A-Z])?|\d+(?:\.\d+)*)\b"
CITED = re.compile(rf"({PLACE})({NUMBER}(?:(?:,? (?:and|to) |, ){NUMBER})*)")
INDEX = "## From a function to its paper"
PAPERS = {
    "siaMAC": "siaMAC",
    "SIAM-FV": "SIAM-FV",
    "REMAP": "REMAP",
    "Selective deep convolutional features": "selective features",
    "Instance search": "instance search",
    "Others": "others",
}


def places(text: str) -> list[str]:
    """Equations, sections, tables and figures that a text names, each alone: ``Eqs. 2 and 3`` is two."""
    found = []
    for kind, numbers in CITED.findall(" ".join(text.split())):
        word = kind.strip(" .").removesuffix("s")
        found += [f"{'Eq.' if word == 'Eq' else word} {number}" for number in re.findall(NUMBER, numbers)]
    return found


def rows() -> Iterator[tuple[str, list[str], list[str]]]:
    """(paper, places, what is named here) of each row of the tables by paper."""
    for part in PAGE.read_text("utf-8").split(INDEX)[0].split("\n## ")[1:]:
        for line in part.splitlines():
            if line.startswith("| ") and not line.startswith("| in the paper"):
                where, _, here = line.strip("| ").split(" | ")
                yield PAPERS[part.splitlines()[0]], places(where), re.findall(r"`([^`]+)`", here)


def index() -> list[str]:
    """The last table, as the tables before it make it."""
    found: dict[str, dict[str, list[str]]] = {}
    for paper, where, here in rows():
        for name in here:
            if not name.startswith("python "):
                listed = found.setdefault(name, {}).setdefault(paper, [])
                listed += [place for place in where if place not in listed]
    return [
        f"| `{name}` | " + "; ".join(f"{paper}: {', '.join(where)}" for paper, where in by.items()) + " |"
        for name, by in sorted(found.items(), key=lambda item: item[0].lower())
    ]


def cited() -> Iterator[tuple[str, list[str]]]:
    """(dotted name below ``reseen``, places) of every public function and class whose docstring cites a paper."""

    def inside(node: ast.AST, name: str) -> Iterator[tuple[str, list[str]]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef) and not child.name.startswith("_"):
                found = places(ast.get_docstring(child) or "")
                if found:
                    yield f"{name}.{child.name}", found
                if isinstance(child, ast.ClassDef):
                    yield from inside(child, f"{name}.{child.name}")

    source = ROOT / "src" / "reseen"
    for file in sorted(source.rglob("*.py")):
        if "benchmarks" not in file.parts:  # readers cite the papers of the data
            name = ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
            yield from inside(ast.parse(file.read_text("utf-8")), name)


def resolve(name: str) -> object:
    """What a dotted name below ``reseen`` stands for."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(["reseen", *parts[:cut]]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found
    raise AssertionError(f"{name}: there is no such module")


def test_everything_it_names_exists():
    names = {name for _, _, here in rows() for name in here}
    assert len(names) > 80
    for name in names:
        if name.startswith("python -m "):
            assert (ROOT / (name.split()[2].replace(".", "/") + ".py")).is_file()
        else:
            resolve(name)
    for line in re.findall(r"Recipes? ((?:`[\w-]+`(?:, |\.))+)", PAGE.read_text("utf-8")):
        assert set(re.findall(r"`([^`]+)`", line)) <= set(list_recipes())


@pytest.mark.parametrize(("name", "found"), list(cited()), ids=lambda value: value if isinstance(value, str) else "")
def test_what_a_docstring_cites_is_there(name, found):
    known = {place for _, where, here in rows() if name in here for place in where}
    assert known, f"{name} is missing in {PAGE.name}"
    assert set(found) <= known


def test_every_row_has_a_place_and_both_directions_agree():
    assert all(where and here for _, where, here in rows())
    listed = [line for line in PAGE.read_text("utf-8").split(INDEX)[1].splitlines() if line.startswith("| `")]
    assert listed == index(), "python tests/test_papers.py writes the last table anew"


def test_it_is_read_as_meant():
    assert places("REMAP (Section IV-B, Eqs. 2 to 4)") == ["Section IV-B", "Eq. 2", "Eq. 4"]
    assert places("(Tables 2 and 4) Section 3.4.1. In 2019, Figure 2") == [
        "Table 2",
        "Table 4",
        "Section 3.4.1",
        "Figure 2",
    ]


if __name__ == "__main__":
    head, _, last = PAGE.read_text("utf-8").partition(INDEX)
    title, rule, _ = last.partition("|---|---|\n")
    PAGE.write_text("".join([head, INDEX, title, rule, *(f"{line}\n" for line in index())]), "utf-8")
