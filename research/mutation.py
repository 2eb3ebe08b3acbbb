"""How many small wrong changes of the code the tests notice, room by room.

    python -m research.mutation [ROOM...] --mutants 300 --seed 0 --to RESULTS

A seeded sample of changes (:mod:`research.mutants`) is made, one at a time, in the functions of a process that has
imported everything and collected the room's tests: a fork gets the changed code and runs the tests that call the
changed function, shortest first, until one fails. A process for every change would import torch every time. What
RESULTS holds is not tried again.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import pickle
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from research.mutants import Mutant, loaded_functions, mutants, put_in

SOURCE = Path(__file__).resolve().parent.parent / "src" / "reseen"


class Room(NamedTuple):
    """Files whose functions are changed, and the tests that touch them."""

    files: tuple[str, ...]
    tests: tuple[str, ...]


GOLDEN = "tests/golden"
ROOMS = {
    "heads": Room(
        ("heads/*.py", "heads/selective/*.py", "heads/museum/regions.py"),
        ("tests/heads", GOLDEN, "tests/training/test_initialise.py"),
    ),
    "projections": Room(("projections/*.py",), ("tests/projections", GOLDEN)),
    "losses": Room(("training/losses.py",), ("tests/training/test_losses.py", GOLDEN)),
    "mining": Room(("training/mining/*.py",), ("tests/training/mining", "tests/training/test_tuples.py", GOLDEN)),
    "expansion": Room(("search/expansion.py",), ("tests/search/test_expansion.py", GOLDEN)),
    "metrics": Room(("evaluation/measures/*.py",), ("tests/evaluation/measures", GOLDEN)),
}


LIVE = ("survived", "untested")


class Outcome(NamedTuple):
    """Of one mutant: ``noticed``, ``stopped`` (by the clock), ``survived``, or ``untested``."""

    mutant: Mutant
    how: str


class Test(NamedTuple):
    """A test that passes: its number among those collected, how long it takes, the functions that it calls."""

    number: int
    seconds: float
    calls: frozenset[tuple[str, int]]


def sample(room: Room, count: int, seed: int) -> list[Mutant]:
    """At most ``count`` of the room's mutants; more hold those that fewer do."""
    files = sorted({file.resolve() for pattern in room.files for file in SOURCE.glob(pattern)})
    every = [mutant for file in files for mutant in mutants(file)]
    random.Random(seed).shuffle(every)
    return every[:count]


class Trial:
    """The pytest plugin that runs the collected tests on every mutant instead of once."""

    def __init__(self, chosen: Sequence[Mutant], jobs: int, seconds: float) -> None:
        self.chosen, self.jobs, self.seconds = chosen, jobs, seconds
        self.outcomes: list[Outcome] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Time the tests as they are, then the mutants."""
        tests = _measured(session, {str(mutant.file) for mutant in self.chosen})
        began = time.monotonic()
        waiting, running = list(reversed(self.chosen)), {}
        while waiting or running:
            if waiting and len(running) < self.jobs and time.monotonic() - began < self.seconds:
                mutant = waiting.pop()
                function = (str(mutant.file), mutant.first_line)
                asked = sorted((test for test in tests if function in test.calls), key=lambda test: test.seconds)
                if not asked or mutant.first_line not in loaded_functions(mutant.file):
                    self.outcomes.append(Outcome(mutant, "untested"))
                    continue
                place = tempfile.mkdtemp()
                child = _forked(lambda m=mutant, a=asked, p=place: _try(session, m, a, p))
                running[child] = mutant, place, time.monotonic() + 10 + 5 * sum(test.seconds for test in asked)
                continue
            for child, (mutant, place, deadline) in list(running.items()):
                late = time.monotonic() > deadline
                if late:
                    os.killpg(child, signal.SIGKILL)
                ended, status = os.waitpid(child, 0 if late else os.WNOHANG)
                if ended:
                    how = "stopped" if late else "survived" if status == 0 else "noticed"
                    self.outcomes.append(Outcome(mutant, how))
                    shutil.rmtree(place, ignore_errors=True)
                    del running[child]
            if not running and time.monotonic() - began >= self.seconds:
                break
            time.sleep(0.01)
        return True


def _forked(work: Callable[[], int]) -> int:
    """A child process in a group of its own that does the work in silence and exits with its result."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setpgid(0, 0)
            nothing = os.open(os.devnull, os.O_RDWR)
            for stream in (0, 1, 2):
                os.dup2(nothing, stream)
            code = work()
        finally:
            os._exit(code)
    return child


def _try(session: pytest.Session, mutant: Mutant, asked: Sequence[Test], place: str) -> int:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = place
    put_in(mutant)
    for _ in _run(session, [test.number for test in asked]):
        if session.testsfailed:
            return 1
    return 0


def _run(session: pytest.Session, numbers: Sequence[int]) -> Iterator[int]:
    """Run tests one by one; gives each one's number once it has run."""
    items = [session.items[number] for number in numbers]
    for number, item, following in zip(numbers, items, [*items[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        yield number


def _measured(session: pytest.Session, files: set[str]) -> list[Test]:
    """The tests that pass as things are, run in a child so that this process stays as it was."""
    with tempfile.TemporaryDirectory() as place:
        kept = Path(place) / "tests"
        child = _forked(lambda: _measure(session, files, kept))
        os.waitpid(child, 0)
        found: list[Test] = pickle.loads(kept.read_bytes())
    return found


def _measure(session: pytest.Session, files: set[str], kept: Path) -> int:
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(kept.parent)
    called: set[tuple[str, int]] = set()

    def note(frame: Any, event: str, _: Any) -> None:  # gives no local tracer: calls alone are seen, not lines
        if frame.f_code.co_filename in files:
            called.add((frame.f_code.co_filename, frame.f_code.co_firstlineno))

    found = []
    threading.settrace(note)
    sys.settrace(note)
    began, failed = time.monotonic(), 0
    for number in _run(session, range(len(session.items))):
        if session.testsfailed == failed:
            found.append(Test(number, time.monotonic() - began, frozenset(called)))
        called.clear()
        began, failed = time.monotonic(), session.testsfailed
    sys.settrace(None)
    kept.write_bytes(pickle.dumps(found))
    return 0


def trial(room: Room, chosen: Sequence[Mutant], *, jobs: int, seconds: float, without: Sequence[str] = ()) -> Trial:
    """The outcomes of some of a room's mutants."""
    plugin = Trial(chosen, jobs, seconds)
    leave_out = [f"--ignore={path}" for path in without]
    tests = [path for path in room.tests if path not in without]
    options = ["-p", "no:cacheprovider", "-p", "no:xdist", "--no-header"]
    with contextlib.redirect_stdout(io.StringIO()):
        code = pytest.main([*options, *leave_out, *tests], plugins=[plugin])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        raise SystemExit(f"the tests of {', '.join(tests)} do not run: {code!r}")
    return plugin


def main() -> int:
    """Print the score of each room and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rooms", nargs="*", help=f"of {', '.join(ROOMS)}; all of them when none is named")
    parser.add_argument("--mutants", type=int, default=300, help="of each room, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each room; a later run goes on")
    parser.add_argument("--without", action="append", default=[], metavar="PATH", help="tests that are left out")
    parser.add_argument("--to", type=Path, metavar="RESULTS", help="a file of JSON")
    parser.add_argument("--again", action="store_true", help="try the survivors again")
    arguments = parser.parse_args()
    unknown = set(arguments.rooms) - set(ROOMS)
    if unknown:
        parser.error(f"there is no room {', '.join(sorted(unknown))}")
    kept = json.loads(arguments.to.read_text()) if arguments.to and arguments.to.is_file() else {}
    for name in arguments.rooms or ROOMS:
        known = kept.setdefault(name, {})
        chosen = sample(ROOMS[name], arguments.mutants, arguments.seed)
        left = [m for m in chosen if known.get(_short(m)) in ((None, *LIVE) if arguments.again else (None,))]
        if left:
            options = {"jobs": arguments.jobs, "seconds": arguments.seconds, "without": arguments.without}
            known.update({_short(o.mutant): o.how for o in trial(ROOMS[name], left, **options).outcomes})
        _tell(name, {key: known[key] for m in chosen if (key := _short(m)) in known}, len(chosen))
        if arguments.to:
            arguments.to.write_text(json.dumps(kept, indent=1) + "\n")
    return 0


def _tell(name: str, outcomes: dict[str, str], sampled: int) -> None:
    live = sorted(key for key, how in outcomes.items() if how in LIVE)
    noticed = len(outcomes) - len(live)
    score = f"{noticed / max(1, len(outcomes)):.1%}"
    print(f"\n{name}: {noticed} of {len(outcomes)} noticed, {score} ({sampled} in the sample)")
    print("\n".join(f"  {key}{' (no test)' if outcomes[key] == 'untested' else ''}" for key in live), flush=True)


def _short(mutant: Mutant) -> str:
    return f"{mutant.file.relative_to(SOURCE)}:{mutant.line}: {mutant.change} [{mutant.place}]"


if __name__ == "__main__":
    sys.exit(main())
