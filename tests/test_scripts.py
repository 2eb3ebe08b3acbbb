"""The scripts beside the package start, and their folders' READMEs say what runs what."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("research", "tools", "benchmarks")
COMMAND = re.compile(r"python (?:-m (?P<module>[\w.]+)|(?P<file>[\w./]+\.py))")
SCRIPTS = sorted(
    file.relative_to(ROOT).as_posix()
    for folder in FOLDERS
    for file in (ROOT / folder).glob("*.py")
    if "__main__" in file.read_text("utf-8")
)


def script_of(command: re.Match[str]) -> str:
    """The file that a command runs."""
    return command["file"] or command["module"].replace(".", "/") + ".py"


@pytest.mark.parametrize("script", SCRIPTS)
def test_it_starts_and_explains_itself(script, monkeypatch, capsys):
    alone = script.startswith("benchmarks")  # run as files, the others as modules
    monkeypatch.syspath_prepend(str((ROOT / script).parent if alone else ROOT))
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / script), run_name="__main__")
    assert not end.value.code and "usage:" in capsys.readouterr().out


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_readme_names_every_script_and_the_page_that_it_feeds(folder):
    readme = (ROOT / folder / "README.md").read_text("utf-8")
    named = {script_of(command) for command in COMMAND.finditer(readme)}
    assert named == {script for script in SCRIPTS if script.startswith(folder)}
    for row in (line for line in readme.splitlines() if "python " in line):
        (page,) = re.findall(r"\(\.\./(docs/\w+\.md)\)", row)
        told = {script_of(command) for command in COMMAND.finditer((ROOT / page).read_text("utf-8"))}
        assert {script_of(command) for command in COMMAND.finditer(row)} <= told, f"{page} does not say the command"
    quiet = {file.name for file in (ROOT / folder).glob("*.py")} - {Path(script).name for script in SCRIPTS}
    assert all(f"`{name}`" in readme for name in quiet)


def test_every_command_of_the_docs_exists():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    own = [c for page in pages for c in COMMAND.finditer(page.read_text("utf-8")) if script_of(c).startswith(FOLDERS)]
    assert own and {script_of(command) for command in own} <= set(SCRIPTS)
