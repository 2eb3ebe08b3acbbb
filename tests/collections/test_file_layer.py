"""A fault at each call of our own file layer: the same promises as in ``test_faults.py``, without a second process.

The table's own library is not disturbed here, and no C compiler is needed.
"""

import errno
import os
import random

import pytest
from changes import Changes
from harness import calls

from reseen.collections import files
from reseen.collections.writing import Writer
from reseen.errors import ReseenError

FAULTS = {
    "EIO once": (errno.EIO, 1),
    "EIO from there on": (errno.EIO, 10**9),
    "ENOSPC from there on": (errno.ENOSPC, 10**9),
}


@pytest.fixture
def changes(tmp_path, paint, monkeypatch):
    """Changes of a collection of five photos."""
    paint(tmp_path / "photos", 8)
    paint(tmp_path / "changed", 2, start=20)
    monkeypatch.setattr("reseen.collections.writing.BATCH", 2)
    return Changes(tmp_path)


@pytest.fixture
def disturbed(changes, failing):
    """``disturbed(change, fault, at)`` makes a change whose ``at``-th call fails; whether it was refused, its calls."""

    def make(change, fault="EIO once", at=10**9):
        changes.before(change)
        calls = 0

        def wanted(name, arguments):
            nonlocal calls
            calls += 1
            return calls >= at

        failing(wanted, *FAULTS[fault])
        refused = False
        try:
            changes.make(change)
        except ReseenError:
            refused = True
        files.system = os
        return refused, calls

    return make


def all_of(changes):
    collection = changes.opened()
    assert collection.damage == () and collection.verify() == []
    return changes.state(collection)


def check(changes, disturbed, change, fault, at, sound):
    refused, _ = disturbed(change, fault, at)
    which = f"{change}, {fault} at call {at}"
    there = changes.created()
    if there:
        assert all_of(changes) in (sound if refused else sound[-1:]), which
    if not there or change != "create":
        changes.make(change)
    assert all_of(changes) == sound[-1], which
    return refused


def states(changes, disturbed, change, monkeypatch):
    """What is there before a change and after each of its acknowledgements; how many calls it has."""
    changes.before(change)
    found = [] if change == "create" else [all_of(changes)]
    with monkeypatch.context() as patch:
        turn = Writer._turn_to
        patch.setattr(Writer, "_turn_to", lambda *given: (turn(*given), found.append(changes.state(changes.opened()))))
        changes.make(change)
    return [*found, all_of(changes)], disturbed(change)[1]


def test_faults_at_some_calls_of_the_layer(changes, disturbed, monkeypatch):
    chance = random.Random(int(os.environ.get("RESEEN_SEED", "1")))
    refused = 0
    for change in Changes.names:
        sound, count = states(changes, disturbed, change, monkeypatch)
        for at in chance.sample(range(1, count + 1), 2):
            refused += check(changes, disturbed, change, chance.choice([*FAULTS]), at, sound)
    assert refused >= 4


def test_a_creation_is_whole_or_not_there(changes, disturbed, monkeypatch):
    sound, count = states(changes, disturbed, "create", monkeypatch)
    assert sum(check(changes, disturbed, "create", "EIO once", at, sound) for at in range(1, count + 1, 2)) > 8


@pytest.mark.long
@pytest.mark.parametrize("change", Changes.names)
def test_faults_at_every_call_of_the_layer(changes, disturbed, monkeypatch, change, record_property):
    sound, count = states(changes, disturbed, change, monkeypatch)
    struck = [(fault, at) for fault in FAULTS for at in calls(count)]
    ended = sum(check(changes, disturbed, change, *which, sound) for which in struck)
    record_property(
        "counts", f"{change}: file layer: {len(struck)} faults at {len(calls(count))} calls, {ended} ended it"
    )
