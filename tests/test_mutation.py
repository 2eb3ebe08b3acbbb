"""Small wrong changes of the code: how they are made here, and by ``make long`` that the tests notice them."""

from __future__ import annotations

import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SOURCE = '''
import functools

class Counter:
    """Docstrings are not changed."""

    @functools.lru_cache
    def count(self, numbers: "tuple[int, ...]", limit=3):
        if not numbers:
            raise ValueError(f"no more than {limit + 1}")
        return sum(number < limit for number in numbers) + 1
'''


@pytest.fixture
def research(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return importlib.import_module("research.mutants"), importlib.import_module("research.mutation")


@pytest.fixture
def counter(tmp_path):
    """A module whose one method is changed, and its file."""
    file = tmp_path / "counter.py"
    file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("counter", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return file, module


def test_changes_are_of_what_code_does_and_each_is_made_alone(research, counter):
    mutants, _ = research
    file, _ = counter
    found = mutants.mutants(file)
    assert sorted(mutant.change for mutant in found) == [
        "1 -> 2",
        "Add -> Sub",
        "Lt -> LtE",
        "Not left out",
        "sum -> mean",
    ]
    sources = {mutants.ast.unparse(mutants.changed(mutant)) for mutant in found}
    assert len(sources) == len(found) and mutants.ast.unparse(mutants.ast.parse(SOURCE)) not in sources


def test_a_change_reaches_functions_that_are_bound_already(research, counter):
    mutants, _ = research
    file, module = counter
    bound = module.Counter.count.__wrapped__
    assert bound(None, (1, 2, 3)) == 3
    mutants.put_in(next(mutant for mutant in mutants.mutants(file) if mutant.change == "Lt -> LtE"))
    assert bound(None, (1, 2, 3)) == 4


def test_a_larger_sample_holds_the_smaller_one(research):
    _, mutation = research
    room = mutation.ROOMS["losses"]
    few, more = mutation.sample(room, 5, 0), mutation.sample(room, 9, 0)
    assert more[:5] == few and len({*more}) == 9
    assert mutation.sample(room, 9, 1) != more


@pytest.mark.long
@pytest.mark.parametrize(
    ("room", "share"),
    [("heads", 0.85), ("projections", 0.85), ("losses", 0.85), ("metrics", 0.85), ("mining", 0.8), ("expansion", 0.78)],
)
def test_small_wrong_changes_are_noticed(room, share, tmp_path, record_property):
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", "research.mutation", room, "--mutants", "300", "--jobs", "1", "--to", str(results)]
    subprocess.run(command, cwd=ROOT, check=True)
    outcomes = list(json.loads(results.read_text())[room].values())
    noticed = sum(how in ("noticed", "stopped") for how in outcomes)
    record_property("counts", f"mutation of {room}: {noticed} of {len(outcomes)} changes noticed")
    assert noticed >= share * len(outcomes)
