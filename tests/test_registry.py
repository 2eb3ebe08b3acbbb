"""Every kind that is listed is there, says what it is, and costs nothing until it is asked for."""

import inspect
import subprocess
import sys

import pytest

from reseen import registry
from reseen.errors import PluginError, RecipeError
from reseen.heads import Head, create_head
from reseen.projections import create_projection
from reseen.registry import BACKBONES, HEADS, INDEXES, LOCAL, PROJECTIONS, RERANKERS, Table

TABLES = [BACKBONES, HEADS, PROJECTIONS, LOCAL, RERANKERS, INDEXES]


def test_listing_needs_no_network_library():
    program = (
        "import sys; from reseen.registry import *; import reseen.registry as r;"
        "tables = [v for v in vars(r).values() if isinstance(v, r.Table)];"
        "assert len(tables) == 6 and all(t.kinds() for t in tables);"
        "assert not {'torch', 'timm', 'numpy', 'cv2'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.what)
def test_every_row_is_a_class_of_its_kind(table):
    for kind, row in table.rows.items():
        module, _, attribute = row.where.partition(":")
        cls = getattr(__import__(module, fromlist=[attribute]), attribute)
        assert inspect.isclass(cls)
        if table in (HEADS, PROJECTIONS):
            assert cls.kind == kind


def test_every_head_of_reseen_is_listed():
    def below(cls):
        return {cls} | {deeper for child in cls.__subclasses__() for deeper in below(child)}

    named = {cls.kind for cls in below(Head) if cls.kind and cls.__module__.startswith("reseen.heads")}
    assert named == HEADS.rows.keys()


SMALL = {"selective": {"d": 4, "k": 40}, "fisher": {"k": 3}, "netvlad": {"k": 3}, "logits": {"labels": ("a", "b")}}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        *((kind, SMALL.get(kind, {})) for kind in HEADS.rows),
        ("rmac", {"local": 5}),
        ("gem", {"fc": 7}),
        ("selective", {"d": 4, "k": 10, "embedding": "fv"}),
        ("selective", {"d": 4, "k": 10, "embedding": "faemb", "fc": 3}),
        ("logits", {"classes": 4}),
        ("siamese", {"dim": 9, "grid": 2}),
    ],
)
def test_a_head_is_as_its_settings_say(kind, options):
    settings = HEADS.settings(kind, options)
    cls = HEADS.find(kind)
    head = create_head(kind, [16], **options)
    assert cls.dim_of(settings, [16]) == head.dim == getattr(head.fc, "out_features", head.raw_dim)
    assert cls.dim_of(settings) in (head.dim, None)
    assert cls.learns(settings) == (not head.fitted and "labels" not in cls.needs)


def test_dimensions_that_depend_on_channels_are_not_guessed():
    for kind in ("mac", "fisher", "netvlad", "remap", "rmac"):
        assert HEADS.find(kind).dim_of(HEADS.settings(kind, {})) is None
    assert HEADS.find("rmac").dim_of(HEADS.settings("rmac", {"local": 8})) == 8


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("pca", {}),
        ("pca", {"dim": 3}),
        ("lw", {"dim": 4, "shrinkage": 0.5}),
        ("lda", {"shrinkage": 0.5}),
        ("rn", {}),
        ("power", {}),
        ("truncate", {"dim": 2}),
        ("chain", {"steps": [{"kind": "pca", "dim": 5}, {"kind": "power"}, {"kind": "truncate", "dim": 2}]}),
        ("chain", {"steps": [{"kind": "rn"}, {"kind": "power"}]}),
    ],
)
def test_a_projection_knows_its_dimensions_before_it_is_fitted(kind, settings):
    import numpy as np

    projection = create_projection(kind, **settings)
    expected = projection.dim_out(6)
    X = np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)
    pairs = np.arange(40).reshape(20, 2)
    assert projection.fit(X, pairs).transform(X).shape == (40, expected)
    assert projection.dim_out(None) in (expected, None)


def test_pairs_are_needed_where_a_step_needs_them():
    kinds = [kind for kind in PROJECTIONS.rows if kind not in ("chain", "truncate")]
    assert [kind for kind in kinds if "pairs" in create_projection(kind).needs] == ["lw", "lda"]
    assert create_projection("chain", steps=[{"kind": "power"}, {"kind": "lw"}]).needs == {"pairs"}


class _Point:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name, value, found=None):
        self.name, self.value, self.found = name, value, found
        self.dist = type("Distribution", (), {"name": f"package of {value}"})

    def load(self):
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def install(monkeypatch):
    """Packages with entry points."""
    points = []
    monkeypatch.setattr(
        registry, "entry_points", lambda group, name=None: [p for p in points if name is None or p.name == name]
    )
    return lambda *point: points.append(_Point(*point))


def test_a_broken_package_is_one_line_when_its_kind_is_asked_for(install):
    install("bad", "pkg:Bad", ImportError("no module named x\nmore"))
    install("odd", "pkg:odd", 3)
    install("int", "pkg:int", int)
    assert "bad" in HEADS.kinds() and create_head("mac", [4]).dim == 4
    with pytest.raises(PluginError, match=r"^head 'bad' of package of pkg:Bad .*ImportError: no module named x$"):
        create_head("bad", [4])
    with pytest.raises(PluginError, match="is not a class"):
        create_head("odd", [4])
    with pytest.raises(PluginError, match="int is not a Head"):
        create_head("int", [4])


def test_one_kind_has_one_class(install):
    install("twice", "one:A", Head)
    install("twice", "two:B", Head)
    with pytest.raises(PluginError, match="package of one:A, package of two:B"):
        HEADS.find("twice")
    install("mac", "thief:MAC", Head)
    assert HEADS.find("mac").__module__ == "reseen.heads.pooling"
    with pytest.raises(RecipeError, match="another head 'mac'"):
        HEADS.register(type("Mac", (Head,), {"kind": "mac"}))
    table = Table("head", "none", {})
    mine = table.register(type("Mine", (Head,), {"kind": "mine"}))
    assert table.find("mine") is table.register(mine)
    with pytest.raises(RecipeError, match="another head 'mine'"):
        table.register(type("Theirs", (Head,), {"kind": "mine"}))
