"""The command ``reseen``: verbs, and errors turned into one line and an exit code."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import click
import typer

import reseen
from reseen.cli import console
from reseen.errors import ReseenError
from reseen.registry import import_plugin

VERBS = (
    "index",
    "search",
    "info",
    "list",
    "label",
    "remove",
    "verify",
    "compact",
    "upgrade",
    "identify",
    "duplicates",
    "groups",
    "match",
    "calibrate",
    "adapt",
    "evaluate",
    "compare",
    "ablate",
    "fit",
    "train",
    "convert",
    "vocabulary",
    "recipes",
)
"""Modules ``reseen.cli.VERB``, each with ``register(app)``, in the order in which ``--help`` shows them."""

COMPUTING = ("torch", "openvino", "faiss-cpu", "pylance", "opencv-python-headless")
"""Packages whose versions ``--version`` shows beside our own."""

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"reseen {reseen.__version__}")
        for package in COMPUTING:
            try:
                typer.echo(f"{package} {metadata.version(package)}")
            except metadata.PackageNotFoundError:
                typer.echo(f"{package} not installed")
        raise typer.Exit


def build() -> typer.Typer:
    """The application with every verb; imports no network library."""
    app = typer.Typer(
        name="reseen",
        invoke_without_command=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def root(
        context: typer.Context,
        version: Annotated[
            bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
        ] = False,
        modules: Annotated[
            list[str] | None,
            typer.Option("--import", help="Module or .py file with heads or other parts of your own; repeat for more."),
        ] = None,
    ) -> None:
        """Find every photo of the same thing."""
        for module in modules or ():
            import_plugin(module)
        if context.invoked_subcommand is None:
            typer.echo(context.get_help())

    for verb in VERBS:
        importlib.import_module(f"reseen.cli.{verb}").register(app)
    return app


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` when None); the exit code, never an exception.

    0 done, 1 failed, 2 usage, 130 Ctrl-C. With ``RESEEN_DEBUG=1`` tracebacks are shown.
    """
    try:
        with console.runtime_notes():
            outcome = typer.main.get_command(build()).main(
                args=list(arguments) if arguments is not None else None, prog_name="reseen", standalone_mode=False
            )
        sys.stdout.flush()
        code = outcome if isinstance(outcome, int) else 0
        return _interrupted() if code == EXIT_INTERRUPTED else code
    except (KeyboardInterrupt, click.Abort, typer.Abort):
        return _interrupted()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_FAILED
    except Exception as error:
        if os.environ.get("RESEEN_DEBUG"):
            raise
        return _explain(error)


def _interrupted() -> int:
    """Say that Ctrl-C lost nothing; the exit code."""
    console.error("interrupted; everything acknowledged is safe, run the same command again to finish")
    return EXIT_INTERRUPTED


def _explain(error: Exception) -> int:
    """Print one line for ``error``; the exit code."""
    show = getattr(error, "format_message", None)
    if show is not None:
        console.error(show())
        return int(getattr(error, "exit_code", EXIT_FAILED))
    if isinstance(error, ReseenError):
        console.error(str(error))
    elif isinstance(error, OSError):
        where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, (str, bytes)) else ""
        console.error(f"{where}{error.strerror or error}")
    else:
        console.error(f"unexpected {type(error).__name__}: {error} (RESEEN_DEBUG=1 shows where)")
    return EXIT_FAILED


def main() -> None:
    """Entry point of the ``reseen`` command."""
    sys.exit(run())


if __name__ == "__main__":
    main()
