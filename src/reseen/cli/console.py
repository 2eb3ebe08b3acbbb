"""How the command line speaks: JSON on stdout, everything else on stderr."""

from __future__ import annotations

import contextlib
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import typer


def error(message: str) -> None:
    """One line on stderr; newlines inside, in a file's name say, are escaped."""
    typer.echo(f"reseen: {one_line(message)}", err=True)


def note(message: str) -> None:
    """One line of information on stderr."""
    typer.echo(one_line(message), err=True)


class _Notes(logging.Handler):
    """What a logger has to say, as notes."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


_RUNTIME = logging.getLogger("reseen.descriptor.runtime")


@contextlib.contextmanager
def runtime_notes() -> Iterator[None]:
    """What the runtime does once, and the user waits for, is noted within, unless :func:`hush` is called."""
    handler = _Notes()
    _RUNTIME.addHandler(handler)
    _RUNTIME.setLevel(logging.INFO)
    try:
        yield
    finally:
        _RUNTIME.removeHandler(handler)
        _RUNTIME.setLevel(logging.NOTSET)


def hush(quiet: bool) -> bool:
    """Take the runtime's notes back where an option asks for it; the option's value."""
    if quiet:
        _RUNTIME.setLevel(logging.WARNING)
    return quiet


def one_line(text: str) -> str:
    """``text`` with control characters escaped, safe to print in one line of a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)


def emit(value: Any) -> None:
    """``value`` as one line of JSON (ASCII, so that any terminal's encoding takes it) on stdout."""
    sys.stdout.write(json.dumps(value, allow_nan=False) + "\n")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], title: str | None = None) -> None:
    """A table for people on stdout; plain text when stdout is not a terminal."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(Text(one_line("" if cell is None else str(cell)), overflow="fold") for cell in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)
    if title is not None:
        console.print(Text(title, style="italic"))
    console.print(drawn)


@contextlib.contextmanager
def progress(what: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """A line on stderr with rate and time left; calls take (done, all)."""
    if quiet:
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bar = Progress(
        TextColumn(what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(what, total=None, rate="")

        def step(done: int, total: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, total=total or None, rate=f"{speed:.1f} photos/s" if speed else "")

        yield step


def size(count: float) -> str:
    """Bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
