"""A fault at each call: what was acknowledged is there, nothing half is, the same command finishes.

Every system call on a file of the collection is counted, also those of the table's own library, and one of them fails
(or it and all after it), or kills the process.
"""

import os
import random

import pytest
from changes import Changes
from harness import FAULTS, calls

SAMPLE = 12


def check(harness, change, fault, at):
    """One fault; whether it ended the command."""
    harness.undisturbed(change)
    harness.ask("prepare", change)
    told = harness.disturbed(change, {**FAULTS[fault], "at": at})
    harness.check(change, told, f"{change}, {fault} at call {at}")
    return told["killed"] or told["outcome"] == "refused"


def test_faults_at_some_calls(harness):
    chance = random.Random(int(os.environ.get("RESEEN_SEED", "1")))
    struck = 0
    for change in chance.sample(Changes.names, 4):
        for _ in range(SAMPLE // 4):
            fault = chance.choice([fault for fault in FAULTS if harness.calls(change, fault)])
            struck += check(harness, change, fault, chance.randint(1, harness.calls(change, fault)))
    assert struck >= SAMPLE // 4


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("change", Changes.names)
def test_faults_at_every_call(harness, change, fault, record_property):
    struck = calls(harness.calls(change, fault))
    ended = sum(check(harness, change, fault, at) for at in struck)
    record_property("counts", f"{change}: {fault}: {len(struck)} calls, {ended} ended the command")
