"""A fault at each call: what was acknowledged is there, nothing half is, the same command finishes.

Every system call on a file of the collection is counted, also those of the table's own library, and one of them fails
(or it and all after it), or kills the process.
"""

import errno
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "faults"
CHANGES = ["create", "add", "update", "remove", "label", "blob", "adapt", "compact"]
OPENS, READS, WRITES, SYNCS, NAMES = 1, 2, 4, 8, 16
ALL = OPENS | READS | WRITES | SYNCS | NAMES
ERROR, SHORT, KILL = 0, 1, 2
FAULTS = {
    "kill": {"kinds": ALL, "mode": KILL, "code": 0, "lasting": 0},
    "EIO once": {"kinds": ALL, "mode": ERROR, "code": errno.EIO, "lasting": 0},
    "EIO from there on": {"kinds": ALL, "mode": ERROR, "code": errno.EIO, "lasting": 1},
    "ENOSPC from there on": {"kinds": WRITES | NAMES, "mode": ERROR, "code": errno.ENOSPC, "lasting": 1},
    "EMFILE once": {"kinds": OPENS, "mode": ERROR, "code": errno.EMFILE, "lasting": 0},
    "EMFILE from there on": {"kinds": OPENS, "mode": ERROR, "code": errno.EMFILE, "lasting": 1},
    "short write": {"kinds": WRITES, "mode": SHORT, "code": 0, "lasting": 0},
}
SAMPLE = 12


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library that fails."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "shim.c", "-ldl"], check=True)
    return library


class Harness:
    """A process that makes changes with faults in them."""

    def __init__(self, shim, place):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "ignore", HERE / "worker.py", shim, place],
            env={**os.environ, "LD_PRELOAD": str(shim)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"
        self.sound = {}

    def ask(self, change, fault, at, states=False):
        self.process.stdin.write(json.dumps({"change": change, **FAULTS[fault], "at": at, "states": states}) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def undisturbed(self, change):
        """What is there before a change in which nothing fails and after each of its acknowledgements; its calls."""
        if change not in self.sound:
            told = self.ask(change, "EIO once", 0, states=True)
            assert told["outcome"] == "done" and "before" in told["then"], told
            assert told["then"]["before"] == told["then"]["after"], told
            self.sound[change] = [*told["states"], told["then"]["after"]], told["calls"]
        return self.sound[change]

    def calls(self, change, fault):
        calls = self.undisturbed(change)[1]
        return sum(count for kind, count in calls.items() if FAULTS[fault]["kinds"] & int(kind))

    def check(self, change, fault, at):
        """One fault; whether it ended the command."""
        states, _ = self.undisturbed(change)
        told = self.ask(change, fault, at)
        then, which = told["then"], f"{change}, {fault} at call {at}: {told}"
        assert "traceback" not in told and "traceback" not in then, which
        assert not then.get("damage") and not then.get("problems") and not then["problems after"], which
        assert then["after"] == states[-1], which
        assert then.get("version", 0) >= told.get("acknowledged", 0), which
        if told.get("outcome") == "done":
            assert then["before"] == states[-1], which
        elif change != "create" or "before" in then:
            assert then["before"] in states, which
        return told["killed"] or told["outcome"] == "refused"

    def close(self):
        self.process.stdin.close()
        self.process.wait()


@pytest.fixture
def harness(shim, tmp_path, paint):
    paint(tmp_path / "photos", 8)
    paint(tmp_path / "changed", 2, start=20)
    harness = Harness(shim, tmp_path)
    yield harness
    harness.close()


def test_faults_at_some_calls(harness):
    chance = random.Random(int(os.environ.get("RESEEN_SEED", "1")))
    struck = 0
    for change in chance.sample(CHANGES, 4):
        for _ in range(SAMPLE // 4):
            fault = chance.choice([fault for fault in FAULTS if harness.calls(change, fault)])
            struck += harness.check(change, fault, chance.randint(1, harness.calls(change, fault)))
    assert struck >= SAMPLE // 4


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("change", CHANGES)
def test_faults_at_every_call(harness, change, fault, record_property):
    calls = harness.calls(change, fault)
    struck = sum(harness.check(change, fault, at) for at in range(1, calls + 1))
    record_property("counts", f"{change}: {fault}: {calls} calls, {struck} ended the command")
