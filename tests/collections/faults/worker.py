"""Runs changes of a collection in children whose system calls fail; started with the shim preloaded.

    LD_PRELOAD=shim.so python worker.py SHIM PLACE

Each line of stdin asks for a step; each line of stdout says what became of it.
"""

import ctypes
import hashlib
import json
import os
import shutil
import sys
import traceback
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from pixels import Pixels

from reseen.collections import Collection, files, writing
from reseen.errors import ReseenError

SHIM, PLACE = ctypes.CDLL(sys.argv[1]), Path(sys.argv[2])
SHIM.faults_counted.restype = ctypes.c_long
PHOTOS = sorted(os.fsencode(path) for path in (PLACE / "photos").iterdir())
FOLDER = PLACE / "in" / "c"
files.PAUSES = (0, 0, 0)
writing.BATCH = 2


class Other(Pixels):
    """Another descriptor."""

    fingerprint, dim = "6f746865" * 8, 12


def create(_):
    return Collection.create(FOLDER, Pixels())


def add(collection):
    collection.add(*PHOTOS)


def update(collection):
    """Two new photos, then two that changed."""
    collection.add(*PHOTOS[4:6], PLACE / "changed")


def remove(collection):
    collection.remove(*[row.id for row in collection.photos() if row.path in PHOTOS[:2]])


def label(collection):
    collection.set_labels({row.id: "new" for row in collection.photos() if row.path in PHOTOS[1:3]})


def blob(collection):
    collection.put_blob("threshold", b"0.5")


def adapt(collection):
    ids, vectors = collection.vectors()
    collection.replace_descriptor(Other(), ids.copy(), np.ascontiguousarray(vectors[:, :12]))


def compact(collection):
    collection.compact(grace_s=0)


CHANGES = {change.__name__: change for change in (create, add, update, remove, label, blob, adapt, compact)}


def prepare():
    """A collection of five photos in three versions with derived vectors; photos that will have changed."""
    collection = Collection.create(FOLDER, Pixels())
    for some in (PHOTOS[:2], PHOTOS[2:4], (PLACE / "changed").iterdir()):
        collection.add(*some)
        collection.vectors()
    for path, other in zip(sorted((PLACE / "changed").iterdir()), reversed(PHOTOS), strict=False):
        shutil.copyfile(os.fsdecode(other), path)
    shutil.copytree(FOLDER, PLACE / "template")


def opened():
    try:
        return Collection.open(FOLDER, Pixels())
    except ReseenError:
        return Collection.open(FOLDER, Other())


def state(collection):
    """All that a collection holds, in short."""
    vectors = dict(zip(*collection.vectors(), strict=True))
    rows = [(row.path, row.label, row.sha256, vectors[row.id].tobytes()) for row in collection.photos()]
    told = repr((collection.fingerprint, sorted(rows, key=repr), collection.get_blob("threshold")))
    return hashlib.sha256(told.encode()).hexdigest()


def changed(case):
    """Make a change with a fault in it; what came of it."""
    change = CHANGES[case["change"]]
    turn = writing.Writer._turn_to
    states = [] if change is create or not case["states"] else [state(opened())]

    def acknowledged(self, manifest):
        turn(self, manifest)
        SHIM.faults_note(b"%d" % manifest.version)
        os.write(1, json.dumps({"acknowledged": manifest.version}).encode() + b"\n")
        if case["states"]:
            SHIM.faults_on(0)
            states.append(state(opened()))
            SHIM.faults_on(1)

    writing.Writer._turn_to = acknowledged
    if case["record"]:
        SHIM.faults_record(case["record"].encode())
    SHIM.faults_arm(
        os.fsencode(FOLDER.parent),
        case["kinds"],
        ctypes.c_long(case["at"]),
        case["mode"],
        case["code"],
        case["lasting"],
    )
    try:
        change(None if change is create else opened())
        outcome = {"outcome": "done"}
        SHIM.faults_note(b"done")
    except ReseenError as error:
        outcome = {"outcome": "refused", "said": str(error)}
    SHIM.faults_on(0)
    return {**outcome, "calls": {kind: SHIM.faults_counted(kind) for kind in (1, 2, 4, 8, 16)}, "states": states}


def checked(case):
    """What is there after a fault, and after the same change without one."""
    change = CHANGES[case["change"]]
    there = FOLDER.exists() and any(name.startswith("head-") for name in os.listdir(FOLDER))
    told = {}
    if there or change is not create:
        collection = opened()
        told = {
            "version": collection.version,
            "damage": list(collection.damage),
            "before": state(collection),
            "problems": collection.verify(),
        }
    if change is not create:
        change(opened())
    elif not there:
        change(None)
    collection = opened()
    return {**told, "after": state(collection), "problems after": collection.verify()}


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


def prepared(case):
    """The state before a change."""
    shutil.rmtree(FOLDER.parent, ignore_errors=True)
    FOLDER.parent.mkdir()
    if case["change"] != "create":
        shutil.copytree(PLACE / "template", FOLDER)
    return {}


if not (PLACE / "template").exists():
    in_a_child(lambda _: prepare() or {}, None)
print("ready" if SHIM.faults_trap() == 0 else "untrapped", flush=True)
for line in sys.stdin:
    case = json.loads(line)
    told = prepared(case) if case["do"] == "prepare" else in_a_child(globals()[case["do"]], case)
    print(json.dumps(told), flush=True)
