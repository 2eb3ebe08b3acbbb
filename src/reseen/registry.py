"""Every kind of part by its name: the class that makes it, read only when it is asked for, from here or a package.

Nothing is imported to list what there is. Each class says itself what it needs and learns: see ``Head``,
``Projection``, ``Architecture``, ``Extractor``, ``Stage`` and the protocol of indexes.

An installed package adds a class with an entry point, named as the kind, of the table's group::

    [project.entry-points."reseen.heads"]
    lse = "reseen_lse:LogSumExp"

A module that is not installed registers it (``HEADS.register``) and is named with ``reseen --import``.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from reseen.errors import PluginError, RecipeError, WeightsMissing

Class = TypeVar("Class", bound=type[Any])


@dataclass(frozen=True)
class Row:
    """Where a class is.

    Attributes:
        where: ``module:attribute``.
        argument: what follows the kind and a colon in a name, ``FILE`` in ``disk:FILE`` say.
        package: what it needs beside reseen's own requirements; and
        extra: of reseen, which installs that.
    """

    where: str
    argument: str = ""
    package: str = ""
    extra: str = ""


class Table:
    """The classes of one sort of part by their kinds.

    Args:
        what: one of them in a message.
        group: of entry points.
        rows: those that come with reseen; a package cannot take their place.
    """

    def __init__(self, what: str, group: str, rows: Mapping[str, Row | str]) -> None:
        self.what, self.group = what, group
        self.rows = {kind: Row(row) if isinstance(row, str) else row for kind, row in rows.items()}
        self._registered: dict[str, type[Any]] = {}

    def kinds(self) -> list[str]:
        """Every kind that can be asked for: those of reseen, then those that were added; nothing is imported."""
        added = {*self._registered, *(point.name for point in entry_points(group=self.group))}
        return [*self.rows, *sorted(added - self.rows.keys())]

    def spelled(self) -> str:
        """The kinds in one line, with what is to be put after them."""
        arguments = {kind: f":{row.argument}" for kind, row in self.rows.items() if row.argument}
        return ", ".join(kind + arguments.get(kind, "") for kind in self.kinds())

    def __contains__(self, kind: str) -> bool:
        return kind in self.rows or kind in self._registered or bool(self._points(kind))

    def unknown(self, name: str) -> RecipeError:
        """What to raise for a name that is not known; it says where others come from."""
        return RecipeError(
            f"{self.what} {name!r} is not known: install the package that has it, name its module with "
            f"`reseen --import`, or use {self.spelled()}"
        )

    def find(self, name: str) -> type[Any]:
        """The class of a name: of its kind, which stands before a colon.

        Raises:
            RecipeError: there is none. PluginError: two packages have one, or it cannot be imported.
            WeightsMissing: it needs a package that is not installed.
        """
        kind, _, argument = name.partition(":")
        if row := self.rows.get(kind):
            if row.argument and not argument:
                raise self.unknown(name)
            if row.package and importlib.util.find_spec(row.package) is None:
                raise WeightsMissing(f"{self.what} {kind!r} need {row.package}: pip install 'reseen[{row.extra}]'")
            module, _, attribute = row.where.partition(":")
            return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
        if kind in self._registered:
            return self._registered[kind]
        points = self._points(kind)
        if not points:
            raise self.unknown(name)
        if len(points) > 1:
            raise PluginError(
                f"{self.what} {kind!r} is in several packages, remove all but one: {', '.join(map(_package, points))}"
            )
        return self._loaded(points[0])

    def settings(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of a kind as its class would take them: ``given``, and its own where nothing is given."""
        parameters = inspect.signature(self.find(kind)).parameters.values()
        own = {p.name: p.default for p in parameters if p.default is not p.empty}
        return {**own, **given}

    def register(self, cls: Class) -> Class:
        """Class decorator: make ``cls`` available under ``cls.kind``; RecipeError when another has it."""
        kind = cls.kind
        other = self._registered.get(kind)
        if kind in self.rows or (other is not None and _path(other) != _path(cls)):
            raise RecipeError(f"there is another {self.what} {kind!r}; give {_path(cls)} a kind of its own")
        self._registered[kind] = cls
        return cls

    def _points(self, kind: str) -> list[EntryPoint]:
        """Entry points of that name; a package that is found twice on the path counts once."""
        return list({point.value: point for point in entry_points(group=self.group, name=kind)}.values())

    def _loaded(self, point: EntryPoint) -> type[Any]:
        where = f"{self.what} {point.name!r} of {_package(point)} ({point.value})"
        try:
            found = point.load()
        except Exception as error:
            raise PluginError(f"{where} cannot be imported: {_first_line(error)}") from error
        if not isinstance(found, type):
            raise PluginError(f"{where} is not a class")
        return found


def import_plugin(module: str) -> None:
    """Import a module, by its name or its ``.py`` file, for the classes that it registers.

    Raises:
        PluginError: it cannot be imported.
    """
    try:
        if not module.endswith(".py"):
            importlib.import_module(module)
            return
        path = Path(module).resolve()
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        loaded = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = loaded
        spec.loader.exec_module(loaded)
    except Exception as error:
        raise PluginError(f"module {module!r} cannot be imported: {_first_line(error)}") from error


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value


def _path(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _first_line(error: Exception) -> str:
    text = str(error).strip() or "no reason given"
    return f"{type(error).__name__}: {text.splitlines()[0]}"


BACKBONES = Table(
    "backbone",
    "reseen.backbones",
    {
        "efficientnet-lite0": "reseen.backbones.networks:Lite0",
        "alexnet": "reseen.backbones.networks:AlexNet",
        "vgg16": "reseen.backbones.networks:VGG16",
        "resnet50": "reseen.backbones.networks:ResNet",
        "resnet101": "reseen.backbones.networks:ResNet",
        "resnet152": "reseen.backbones.networks:ResNet",
        "resnext101": "reseen.backbones.networks:ResNet",
        "timm": Row("reseen.backbones.networks:Timm", argument="NAME"),
    },
)
HEADS = Table(
    "head",
    "reseen.heads",
    {
        "mac": "reseen.heads.pooling:MAC",
        "spoc": "reseen.heads.pooling:SPoC",
        "gem": "reseen.heads.pooling:GeM",
        "crow": "reseen.heads.pooling:CroW",
        "rmac": "reseen.heads.rmac:RMAC",
        "remap": "reseen.heads.remap:REMAP",
        "fisher": "reseen.heads.fisher:Fisher",
        "netvlad": "reseen.heads.netvlad:NetVLAD",
        "selective": "reseen.heads.selective.head:Selective",
        "logits": "reseen.heads.museum.regions:Logits",
        "siamese": "reseen.heads.museum.regions:Siamese",
        "instance": "reseen.heads.museum.regions:InstanceRegions",
    },
)
PROJECTIONS = Table(
    "projection",
    "reseen.projections",
    {
        "pca": "reseen.projections.linear:PCA",
        "lw": "reseen.projections.linear:LW",
        "lda": "reseen.projections.linear:LDA",
        "rn": "reseen.projections.shaping:RN",
        "power": "reseen.projections.shaping:Power",
        "truncate": "reseen.projections.shaping:Truncate",
        "chain": "reseen.projections.shaping:Chain",
    },
)
LOCAL = Table(
    "local features",
    "reseen.local",
    {
        "sift": "reseen.search.local.sift:RootSift",
        "disk": Row("reseen.descriptor.learned_features:LearnedFeatures", "FILE", "kornia", "learned"),
        "aliked": Row("reseen.descriptor.learned_features:LearnedFeatures", "FILE", "kornia", "learned"),
    },
)
RERANKERS = Table(
    "re-ranking",
    "reseen.rerankers",
    {
        "geometry": "reseen.search.rerank.geometry:GeometryStage",
        "localise": "reseen.search.rerank.localise:LocaliseStage",
        "superglobal": "reseen.search.rerank.neighbours:SuperGlobalStage",
        "diffusion": "reseen.search.rerank.neighbours:DiffusionStage",
        "reciprocal": "reseen.search.rerank.neighbours:ReciprocalStage",
        "expansion": "reseen.search.rerank.neighbours:VerifiedExpansionStage",
    },
)
INDEXES = Table(
    "index",
    "reseen.indexes",
    {"exact": "reseen.search.index.exact:ExactIndex", "inverted": "reseen.search.index.inverted:InvertedFile"},
)
