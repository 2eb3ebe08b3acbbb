"""A command line in this process; whatever it prints as JSON must fit the schema."""

from __future__ import annotations

import functools

import pytest
from pydantic import TypeAdapter
from typing_extensions import is_typeddict

from reseen import schema
from reseen.cli.main import run

for found in vars(schema).values():
    if is_typeddict(found):
        found.__pydantic_config__ = {"extra": "forbid"}


@functools.cache
def shape(verb):
    return TypeAdapter(schema.OUTPUTS[verb])


@pytest.fixture
def fits():
    """Checks what a verb printed: every line an object of its schema, no key missing, none too many."""

    def check(verb, text):
        for line in text.splitlines():
            shape(verb).validate_json(line, strict=True)

    return check


@pytest.fixture
def call(capsys, tmp_path, monkeypatch, fits):
    """Runs a command line; gives (exit code, stdout, stderr). What is cached is lost with the test."""
    monkeypatch.setenv("RESEEN_CACHE", str(tmp_path / "cache"))

    def go(*arguments):
        code = run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        if "--json" in arguments:
            fits(arguments[0], out)
        return code, out, err

    return go
