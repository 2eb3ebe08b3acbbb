"""``examples/plugin``: a head in a package of its own is used like those of reseen, by every verb."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reseen.cli.main import run
from reseen.descriptor import load
from reseen.errors import RecipeError
from reseen.registry import HEADS

EXAMPLE = Path(__file__).parents[1] / "examples" / "plugin"


@pytest.fixture(scope="session")
def installed(tmp_path_factory):
    """A folder with the example, installed there without a network."""
    source, target = tmp_path_factory.mktemp("plugin") / "source", tmp_path_factory.mktemp("site")
    shutil.copytree(EXAMPLE, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--target", target, source], check=True)
    return target


@pytest.fixture
def call(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("RESEEN_CACHE", str(tmp_path / "cache"))

    def go(*arguments):
        code = run([str(a) for a in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in err
        return code, out, err

    return go


@pytest.fixture
def forgotten():
    """Modules that a test imports leave with it."""
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.split(".")[0] in ("reseen_lse", "my_head"):
            del sys.modules[name]


def test_every_verb_uses_an_installed_head(installed, monkeypatch, forgotten, call, paint, gallery, tmp_path):
    monkeypatch.syspath_prepend(installed)
    code, out, _ = call("recipes", "--json")
    (mine,) = (entry for entry in json.loads(out)["recipes"] if entry["name"] == "lse-lite0")
    assert code == 0
    assert mine == {
        "name": "lse-lite0",
        "dim": 512,
        "needs": "photos to learn from (reseen fit)",
        "available": False,
    }
    assert 'kind = "lse"' in call("recipes", "show", "lse-lite0")[1]
    photos = paint(tmp_path / "photos", 8)
    recipe = tmp_path / "small.toml"
    text = (EXAMPLE / "reseen_lse" / "lse-lite0.toml").read_text()
    recipe.write_text(text.replace("768", "96").replace("512", "6"))
    code, out, _ = call("fit", recipe, tmp_path / "photos", "--to", tmp_path / "fitted", "--json")
    assert code == 0 and json.loads(out)["dim"] == 6
    code, _, _ = call("index", tmp_path / "photos", "--to", tmp_path / "museum", "--recipe", tmp_path / "fitted", "-q")
    assert code == 0
    code, out, _ = call("search", tmp_path / "museum", photos[3], "--json")
    assert code == 0 and json.loads(out)["hits"][0]["path"] == str(photos[3])
    code, out, _ = call("evaluate", gallery(), "--recipe", tmp_path / "fitted", "--json")
    assert code == 0 and json.loads(out)["runs"][0]["measures"]["hit_at"]["1"] == 1


def test_a_module_that_is_not_installed_is_named_with_import(forgotten, call, tmp_path, monkeypatch):
    head = (EXAMPLE / "reseen_lse" / "__init__.py").read_text().replace("class Log", "@register\nclass Log")
    file = tmp_path / "my_head.py"
    file.write_text(head.replace("import Head", "import Head, register").replace('"lse"', '"lse-here"'))
    recipe = tmp_path / "mine.toml"
    text = (EXAMPLE / "reseen_lse" / "lse-lite0.toml").read_text().replace('"lse"', '"lse-here"')
    recipe.write_text(text.partition("[[projection]]")[0])
    monkeypatch.setattr(HEADS, "_registered", {})
    with pytest.raises(RecipeError, match="'lse-here' is not known: .*reseen --import"):
        load(recipe)
    assert call("--import", file, "recipes", "--json")[0] == 0
    assert load(recipe).dim == 1280


def test_a_module_that_fails_is_one_line(call, tmp_path, forgotten):
    broken = tmp_path / "my_head.py"
    broken.write_text("import reseen.nothing\n")
    for module in (broken, tmp_path / "gone.py", "no_such_module"):
        code, out, err = call("--import", module, "recipes")
        assert (code, out) == (1, "")
        assert err.count("\n") == 1 and "cannot be imported" in err and str(module) in err
