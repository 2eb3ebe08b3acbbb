"""Two writers."""

import subprocess
import sys
import threading
import time

import pytest

from reseen.collections import Collection
from reseen.errors import CollectionLocked


def hold(folder, seconds):
    """Another process that writes for a while; returns when it has the lock."""
    code = (
        "import sys, time\nfrom reseen.collections.writing import writing\nfrom pathlib import Path\n"
        f"with writing(Path({str(folder)!r})):\n    print('held', flush=True)\n    time.sleep({seconds})\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_writer_waits_and_then_writes(indexed):
    lines = []
    indexed.waiting = lines.append
    process = hold(indexed.folder, 1.5)
    assert indexed.remove(indexed.photos()[0].id) == 1
    assert lines and f"process {process.pid} on " in lines[0] and "since 20" in lines[0]
    process.wait()


def test_a_writer_that_waited_in_vain_says_who_holds_the_lock(indexed):
    process = hold(indexed.folder, 60)
    indexed.wait_s = 0.3
    started = time.monotonic()
    with pytest.raises(CollectionLocked, match=rf"process {process.pid} on .*, since 20\d\d-.*is writing to it"):
        indexed.remove(indexed.photos()[0].id)
    assert time.monotonic() - started < 10
    process.kill()
    process.wait()
    assert (indexed.folder / "lock-holder.json").exists()
    assert indexed.remove(indexed.photos()[0].id) == 1  # the dead hold nothing
    assert not (indexed.folder / "lock-holder.json").exists()


def test_what_the_other_wrote_is_there_after_waiting(indexed, pixels, paint, tmp_path):
    other = Collection.open(indexed.folder, pixels)
    new = paint(tmp_path / "photos", 3, start=50)
    threads = [threading.Thread(target=c.add, args=[path]) for c, path in zip((indexed, other), new, strict=False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(Collection.open(indexed.folder)) == 22


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pid": "x", "since": 1e400, "host": 1}', "[" * 10**5])
def test_any_text_about_the_holder(indexed, text):
    process = hold(indexed.folder, 60)
    (indexed.folder / "lock-holder.json").write_text(text)
    indexed.wait_s = 0
    with pytest.raises(CollectionLocked, match="another process is writing"):
        indexed.remove(indexed.photos()[0].id)
    process.kill()
    process.wait()


@pytest.mark.parametrize("dies", ["os._exit(0)", "os.kill(os.getpid(), 9)"])
def test_children_of_a_writer_that_died_do_not_hold_its_lock(indexed, dies):
    code = (
        "import os, time\nfrom reseen.collections.writing import writing\nfrom pathlib import Path\n"
        f"with writing(Path({str(indexed.folder)!r})):\n"
        "    if os.fork() == 0:\n        time.sleep(10)\n        os._exit(0)\n"
        f"    {dies}\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False)
    indexed.wait_s = 0
    assert indexed.remove(indexed.photos()[0].id) == 1
