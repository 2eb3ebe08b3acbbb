"""Power losses: of what no fsync made durable anything may be gone, and what was acknowledged is there.

The system calls of a change are recorded, those of the table's own library too, and led through a model of a disk up to
some call (``faults/power.py``); what it may hold then is put into a fresh folder and opened.
"""

import os
import random
import shutil

import pytest
from changes import Changes
from harness import EVERY, FAULTS, SYNCS, calls
from power import WAYS, Disk, put, recorded

SOME = 3
"""States that are drawn by chance after each call."""


class Losses:
    """Power losses while a change is made."""

    def __init__(self, harness, record):
        self.harness, self._record = harness, record
        self._seen = set()

    def start(self, change):
        """The disk before a change."""
        self.harness.undisturbed(change)
        self.harness.ask("prepare", change)
        self._record.unlink(missing_ok=True)
        return Disk(self.harness.folder)

    def make(self, change, **fault):
        """Make a change and record its calls."""
        return self.harness.disturbed(change, record=str(self._record), **fault)

    def recorded(self):
        """What was recorded."""
        return recorded(self._record)

    def check(self, change, disk, told, way, chance, which):
        """One power loss; whether it left something that was not seen before."""
        left = disk.left(way, chance)
        key = hash((change, told.get("acknowledged"), told.get("outcome"), *left.items()))
        if key in self._seen:
            return False
        self._seen.add(key)
        shutil.rmtree(self.harness.folder)
        put(left, self.harness.folder)
        self.harness.check(change, told, f"{which}, {way} kept", derived=True)
        return True


@pytest.fixture
def losses(harness, tmp_path):
    if not harness.whole:
        pytest.skip("needs seccomp, and a processor that the shim knows")
    return Losses(harness, tmp_path / "record")


def moments(calls):
    """Calls before which the power fails: those before and after each fsync and each acknowledgement, and the end."""
    near = [at for at, call in enumerate(calls) if call.what in "sn"]
    return sorted({*near, *(at + 1 for at in near), len(calls)})


def at_moments(losses, change, chosen, chance, ways=WAYS):
    """States of the power losses at some moments of a change."""
    disk = losses.start(change)
    assert losses.make(change)["outcome"] == "done"
    made, done, states, told = losses.recorded(), 0, 0, {}
    for moment in chosen(moments(made)):
        for call in made[done:moment]:
            disk.do(call)
            if call.what == "n":
                told |= {"outcome": "done"} if call.first == b"done" else {"acknowledged": int(call.first)}
        done = moment
        for way in ways:
            for _ in range(SOME if way == "some" else 1):
                states += losses.check(change, disk, told, way, chance, f"{change}, power lost before call {moment}")
    return states


def after_a_fault(losses, change, fault, at):
    """The same command finishes after a fault; then the power fails, and nothing more is on the disk than must be."""
    disk = losses.start(change)
    losses.make(change, fault={**fault, "at": at})
    made = change == "create" and (losses.harness.folder / "c").exists()
    told = losses.make("compact" if made else change)  # what is there cannot be created again
    assert told.get("outcome") == "done", told
    for call in losses.recorded():
        disk.do(call)
    return losses.check(change, disk, told, "nothing", random.Random(0), f"{change}, fault at call {at}")


@pytest.mark.parametrize("change", Changes.names)
def test_the_record_is_whole(losses, change):
    disk = losses.start(change)
    losses.make(change)
    for call in losses.recorded():
        disk.do(call)
    folder = losses.harness.folder
    there = {os.fsencode(path)[len(os.fsencode(folder)) :]: path for path in [folder, *folder.rglob("*")]}
    expected = {name: None if path.is_dir() else path.read_bytes() for name, path in there.items()}
    assert disk.left("all", random.Random(0)) == expected


def test_power_losses_at_some_moments(losses):
    chance = random.Random(int(os.environ.get("RESEEN_SEED", "1")))
    for change in chance.sample(Changes.names, 3):
        assert at_moments(losses, change, lambda found: sorted(chance.sample(found, 2)), chance)


@pytest.mark.parametrize("change", ["create", "label"])
def test_a_command_that_finds_its_work_done_has_made_it_durable(losses, change):
    last = losses.harness.undisturbed(change)[1][str(SYNCS)]
    assert after_a_fault(losses, change, {**FAULTS["EIO once"], "kinds": SYNCS}, last)


def test_a_manifest_names_nothing_that_may_be_lost(losses):
    """Its own name is kept, and of the names before it none that was not synced."""
    assert at_moments(losses, "adapt", lambda found: found, random.Random(0), ways=["latest"]) > 5


@pytest.mark.long
@pytest.mark.parametrize("change", Changes.names)
def test_power_losses_at_every_moment(losses, change, record_property):
    chosen = []

    def some(found):
        chosen.extend(found[::EVERY])
        return chosen

    states = at_moments(losses, change, some, random.Random(0))
    record_property("counts", f"{change}: power lost at {len(chosen)} moments, {states} different states opened")


@pytest.mark.long
@pytest.mark.parametrize("fault", ["kill", "EIO once"])
@pytest.mark.parametrize("change", Changes.names)
def test_power_losses_after_every_fault(losses, change, fault, record_property):
    struck = calls(losses.harness.calls(change, fault))
    states = sum(after_a_fault(losses, change, FAULTS[fault], at) for at in struck)
    record_property("counts", f"{change}: {fault}, made again, power lost: {len(struck)} faults, {states} states")
