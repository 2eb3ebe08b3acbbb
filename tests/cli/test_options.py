"""One style for all verbs, and texts of options as settings."""

from __future__ import annotations

import pytest
import typer

from reseen.cli import options
from reseen.cli.main import build


def verbs():
    """(name, {option: help}) of every verb."""

    def walk(command, name):
        for key, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, f"{name} {key}".strip())
        if not hasattr(command, "commands"):
            yield name, {spelled: p.help for p in command.params for spelled in p.opts if spelled.startswith("-")}

    return dict(walk(typer.main.get_command(build()), ""))


def test_what_several_verbs_have_is_said_in_the_same_words():
    for option, wordings in {"--json": 2, "--quiet": 1, "--force": 2, "--by": 1, "--weights": 2, "--cache": 1}.items():
        found = {told[option] for told in verbs().values() if option in told}
        assert 0 < len(found) <= wordings, (option, found)
    for name, told in verbs().items():
        assert ("--quiet" in told) == ("-q" in told), name
        assert all(text and text[0].isupper() and "(default" not in text for text in told.values()), name
        assert "--json" in told or name.startswith("recipes "), name


def test_boxes_stand_for_every_photo_or_for_one_each():
    assert options.boxes(None, 2) == [None, None]
    assert options.boxes(["1,2,3.5,4"], 3) == [(1, 2, 3.5, 4)] * 3
    assert options.boxes(["1,2,3,4", "5,6,7,8"], 2) == [(1, 2, 3, 4), (5, 6, 7, 8)]
    for wrong, count, message in ((["1,2,3"], 1, "X0,Y0"), (["1,2,3,4"] * 2, 3, "2 boxes for 3 photos")):
        with pytest.raises(typer.BadParameter, match=message):
            options.boxes(wrong, count)


def test_a_choice_is_one_of_its_words():
    options.one_of("--by", "a", "a", "b")
    with pytest.raises(typer.BadParameter, match="'c' is not a, b or d"):
        options.one_of("--by", "c", "a", "b", "d")


def test_dimensions():
    assert options.dimensions("full") is None and options.dimensions("64") == 64
    with pytest.raises(typer.BadParameter, match="neither a number nor full"):
        options.dimensions("-1")
