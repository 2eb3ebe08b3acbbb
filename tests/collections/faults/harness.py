"""A process whose changes of a collection are disturbed, and what must hold after each."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
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
NOTHING = {**FAULTS["EIO once"], "at": 0}
EVERY = int(os.environ.get("RESEEN_EVERY", "1"))
"""Of how many calls the long harnesses disturb one."""


def calls(count):
    """Numbers of the calls that are disturbed, from 1."""
    return range(1, count + 1, EVERY)


def build(folder):
    """The library that is loaded beneath; None where it cannot be built."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        return None
    library = folder / "shim.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, HERE / "shim.c", "-ldl", "-lpthread"], check=True
    )
    return library


class Harness:
    """Changes with faults in them, in a folder ``place/in``.

    Attributes:
        folder: what the faults are in.
        whole: whether every call of the table's library is seen: its renames go around libc, and are caught by the
            kernel where this lets them.
    """

    def __init__(self, shim, place):
        self.folder = place / "in"
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", HERE / "worker.py", shim, place],
            env={**os.environ, "LD_PRELOAD": str(shim)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        said = self._process.stdout.readline()
        assert said in ("ready\n", "untrapped\n")
        self.whole = said == "ready\n"
        self._sound = {}

    def ask(self, step, change, **case):
        """``prepare`` the state before a change, make it (``changed``), or see what is there (``checked``)."""
        self._process.stdin.write(json.dumps({"do": step, "change": change, **case}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def disturbed(self, change, fault=NOTHING, *, record=None, states=False):
        """Make a change with a fault in it; what came of it."""
        return self.ask("changed", change, **fault, record=record, states=states)

    def undisturbed(self, change):
        """What is there before a change in which nothing fails and after each of its acknowledgements; its calls."""
        if change not in self._sound:
            self.ask("prepare", change)
            told, then = self.disturbed(change, states=True), self.ask("checked", change)
            assert told["outcome"] == "done" and then["before"] == then["after"], (told, then)
            self._sound[change] = [*told["states"], then["after"]], told["calls"]
        return self._sound[change]

    def calls(self, change, fault):
        """How many calls of a change can have a fault."""
        calls = self.undisturbed(change)[1]
        return sum(count for kind, count in calls.items() if FAULTS[fault]["kinds"] & int(kind))

    def check(self, change, told, which, *, derived=False):
        """What must hold after a change of which ``told`` was heard; the same command finishes it.

        With ``derived``, what can be made again may be damaged.
        """
        states, _ = self.undisturbed(change)
        then = self.ask("checked", change)
        which = f"{which}: {told}, then {then}"
        assert "traceback" not in told and "traceback" not in then, which
        problems = [*then.get("problems", []), *then["problems after"]]
        assert not then.get("damage"), which
        assert not [said for said in problems if not (derived and "it is made again when it is needed" in said)], which
        assert then["after"] == states[-1], which
        assert then.get("version", 0) >= told.get("acknowledged", 0), which
        if told.get("outcome") == "done":
            assert then["before"] == states[-1], which
        elif change != "create" or "before" in then:
            assert then["before"] in states, which

    def close(self):
        """End the process."""
        self._process.stdin.close()
        self._process.wait()
