"""Runs changes of a collection in children whose system calls fail; started with the shim preloaded.

    LD_PRELOAD=shim.so python worker.py SHIM PLACE

Each line of stdin asks for a step; each line of stdout says what became of it.
"""

import ctypes
import json
import os
import sys
import traceback
from pathlib import Path

from changes import Changes

from reseen.collections import files, writing
from reseen.errors import ReseenError

SHIM, CHANGES = ctypes.CDLL(sys.argv[1]), Changes(Path(sys.argv[2]))
SHIM.faults_counted.restype = ctypes.c_long
files.PAUSES = (0, 0, 0)
writing.BATCH = 2


def prepare(case):
    """The state before a change."""
    CHANGES.before(case["change"])
    return {}


def changed(case):
    """Make a change with a fault in it; what came of it."""
    turn = writing.Writer._turn_to
    states = [CHANGES.state(CHANGES.opened())] if case["states"] and case["change"] != "create" else []

    def acknowledged(self, manifest):
        turn(self, manifest)
        SHIM.faults_note(b"%d" % manifest.version)
        os.write(1, json.dumps({"acknowledged": manifest.version}).encode() + b"\n")
        if case["states"]:
            SHIM.faults_on(0)
            states.append(CHANGES.state(CHANGES.opened()))
            SHIM.faults_on(1)

    writing.Writer._turn_to = acknowledged
    if case["record"]:
        SHIM.faults_record(case["record"].encode())
    SHIM.faults_arm(
        os.fsencode(CHANGES.folder.parent),
        case["kinds"],
        ctypes.c_long(case["at"]),
        case["mode"],
        case["code"],
        case["lasting"],
    )
    try:
        CHANGES.make(case["change"])
        outcome = {"outcome": "done"}
        SHIM.faults_note(b"done")
    except ReseenError as error:
        outcome = {"outcome": "refused", "said": str(error)}
    SHIM.faults_on(0)
    return {**outcome, "calls": {kind: SHIM.faults_counted(kind) for kind in (1, 2, 4, 8, 16)}, "states": states}


def checked(case):
    """What is there after a fault, and after the same change without one."""
    there, told = CHANGES.created(), {}
    if there or case["change"] != "create":
        collection = CHANGES.opened()
        told = {
            "version": collection.version,
            "damage": list(collection.damage),
            "before": CHANGES.state(collection),
            "problems": collection.verify(),
        }
    if not there or case["change"] != "create":
        CHANGES.make(case["change"])
    collection = CHANGES.opened()
    return {**told, "after": CHANGES.state(collection), "problems after": collection.verify()}


def in_a_child(action, case):
    """What the lines say that a child writes; ``killed`` where it was."""
    reading, written = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(written, 1)
        os.close(reading)
        try:
            told = action(case)
        except BaseException:
            told = {"traceback": traceback.format_exc()}
        os.write(1, json.dumps(told).encode() + b"\n")
        os._exit(0)
    os.close(written)
    with os.fdopen(reading) as lines:
        told = {}
        for line in lines:
            told |= json.loads(line)
    return {**told, "killed": os.waitpid(child, 0)[1] == 9}


STEPS = {step.__name__: step for step in (prepare, changed, checked)}
print("ready" if SHIM.faults_trap() == 0 else "untrapped", flush=True)
for line in sys.stdin:
    case = json.loads(line)
    print(json.dumps(in_a_child(STEPS[case["do"]], case)), flush=True)
