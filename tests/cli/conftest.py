"""A command line in this process."""

from __future__ import annotations

import pytest

from reseen.cli.main import run


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    """Runs a command line; gives (exit code, stdout, stderr). What is cached is lost with the test."""
    monkeypatch.setenv("RESEEN_CACHE", str(tmp_path / "cache"))

    def go(*arguments):
        code = run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return go
