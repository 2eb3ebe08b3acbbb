"""Recipes: named descriptors as TOML files, one per descriptor, with every number of their paper."""

from __future__ import annotations

import importlib.util
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from reseen.errors import PluginError, RecipeError
from reseen.images import Exact, Longest, ResizeRule, Shortest

PathLike = str | os.PathLike[str]
GROUP = "reseen.recipes"
"""Of entry points: a recipe's name and the package whose folder holds ``NAME.toml``."""


@dataclass(frozen=True)
class ImageSettings:
    """How photos become the network's input.

    Attributes:
        longest: longest side in pixels, never enlarged; or
        exact: ``(width, height)`` that every photo is resized to, swapped for portraits; or
        shortest: shortest side in pixels, enlarged where a photo is smaller; ``aspect`` limits the longest
            side to that many times it (2 when not said).
        fill: what fills up the shortest side of photos beyond the aspect: ``noise``, or nothing when not said.
        crop: what a box means: ``relative``, ``tight`` or ``padded`` (the pixels are cropped), or
            ``activations`` (the whole photo is seen, the cells inside the box are pooled). With ``exact``, ``relative``
            keeps the scale and the stretch that the box has in the resized photo; with ``shortest`` it is ``tight``.
    """

    longest: int | None = None
    exact: tuple[int, int] | None = None
    shortest: int | None = None
    aspect: float | None = None
    fill: str | None = None
    crop: str = "relative"

    def __post_init__(self) -> None:
        if sum(rule is not None for rule in (self.longest, self.exact, self.shortest)) != 1:
            raise RecipeError("[images] needs either `longest`, `exact` or `shortest`")
        if self.aspect is not None and self.shortest is None:
            raise RecipeError("[images] `aspect` goes with `shortest`")
        _in_range("images", {"longest": self.longest, "shortest": self.shortest, "aspect": self.aspect})
        if self.exact is not None:
            if not isinstance(self.exact, tuple) or len(self.exact) != 2:
                raise RecipeError(f"[images] exact = {self.exact!r} is not [width, height]")
            _in_range("images", {"exact": self.exact[0]})
            _in_range("images", {"exact": self.exact[1]})
        if self.fill is not None and (self.shortest is None or self.fill != "noise"):
            raise RecipeError(f'[images] fill = {self.fill!r}: only "noise", with `shortest`')
        if self.crop not in CROPS:
            raise RecipeError(f"[images] crop = {self.crop!r} is not one of {', '.join(CROPS)}")

    @property
    def rule(self) -> ResizeRule:
        """The resize rule."""
        if self.exact is not None:
            return Exact(*self.exact)
        if self.shortest is not None:
            return Shortest(self.shortest, self.aspect or 2.0, self.fill == "noise")
        assert self.longest is not None
        return Longest(self.longest)


WHOLE: Mapping[str, tuple[float, float]] = {
    "longest": (32, 8192),
    "shortest": (32, 4096),
    "exact": (32, 8192),
    "levels": (1, 7),
    "dim": (1, 65536),
    "fc": (1, 65536),
    "local": (1, 65536),
    "k": (1, 65536),
    "d": (1, 65536),
    "sample": (1, 100_000_000),
    "grid": (1, 64),
    "places": (1, 64),
    "directions": (1, 65536),
    "dropped": (0, 65536),
    "rules": (1, 1000),
}
"""Least and largest value of a recipe's whole numbers, by name; a recipe may come from anybody."""
RANGES: Mapping[str, tuple[float, float]] = {
    "aspect": (1, 16),
    "factors": (0.05, 4),
    "weights": (0, 1000),
    "p": (0.01, 100),
    "power": (0, 100),
    "exponent": (0, 100),
    "shrinkage": (0, 1),
}
"""The same of its other numbers."""
MOST_SCALES = 16


def _in_range(section: str, settings: Mapping[str, Any]) -> None:
    """RecipeError where a setting is no number of its kind, or one outside its range; None is left out."""
    for name, value in settings.items():
        limits = WHOLE.get(name) or RANGES.get(name)
        if value is None or limits is None:
            continue
        kinds = int if name in WHOLE else int | float
        if isinstance(value, bool) or not isinstance(value, kinds) or not limits[0] <= value <= limits[1]:
            a_number = "a whole number" if name in WHOLE else "a number"
            raise RecipeError(f"[{section}] {name} = {value!r} is not {a_number} from {limits[0]:g} to {limits[1]:g}")


CROPS = ("relative", "tight", "padded", "activations")


@dataclass(frozen=True)
class BackboneSettings:
    """Which network, which of its layers, and whose weights (see ``create_backbone``)."""

    name: str
    layers: tuple[str, ...]
    weights: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Scales:
    """Multi-scale pooling ``v = (sum_s w_s d_s^p / sum_s w_s)^(1/p)``.

    Attributes:
        factors: of the resized photo's sides.
        weights: one per factor; equal when empty.
        power: p, or ``"gem"`` for the exponent that the head has learned.
    """

    factors: tuple[float, ...] = (1.0,)
    weights: tuple[float, ...] = ()
    power: float | str = 1.0

    def __post_init__(self) -> None:
        if not 1 <= len(self.factors) <= MOST_SCALES:
            raise RecipeError(f"[scales] needs 1 to {MOST_SCALES} factors")
        for factor in self.factors:
            _in_range("scales", {"factors": factor})
        for weight in self.weights:
            _in_range("scales", {"weights": weight})
        if self.power != "gem":
            _in_range("scales", {"power": self.power})
        if self.weights and len(self.weights) != len(self.factors):
            raise RecipeError("[scales] weights and factors differ in number")


@dataclass(frozen=True)
class Recipe:
    """Everything that makes a descriptor, but for what it has learned.

    ``learned`` names a safetensors file beside the recipe; ``training`` is what ``reseen train`` reads; ``rules`` are
    those of the head (:attr:`Head.rules`) that a saved descriptor was fitted by, 1 when it does not say.
    """

    name: str
    images: ImageSettings
    backbone: BackboneSettings
    head: Mapping[str, Any]
    projection: tuple[Mapping[str, Any], ...] = ()
    scales: Scales = field(default_factory=Scales)
    summary: str = ""
    source: str = ""
    learned: str | None = None
    rules: int | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Recipe:
        """A recipe from TOML's or JSON's tables; RecipeError names what is wrong."""
        if not isinstance(data, Mapping):
            raise RecipeError("a recipe is a table of settings")
        data = dict(data)
        called = f"recipe {data.get('name', '')!r}"
        try:
            images = _section(ImageSettings, data.pop("images"))
            backbone = _section(BackboneSettings, data.pop("backbone"))
            scales = _section(Scales, data.pop("scales", {}))
            head = dict(data.pop("head"))
            projection = tuple(dict(step) for step in data.pop("projection", []))
            recipe = cls(images=images, backbone=backbone, scales=scales, head=head, projection=projection, **data)
        except KeyError as error:
            raise RecipeError(f"{called}: section {error} is missing") from None
        except (TypeError, ValueError, AttributeError) as error:
            raise RecipeError(f"{called}: {str(error).split('__init__() ')[-1]}") from None
        if any(not isinstance(step.get("kind"), str) for step in (recipe.head, *recipe.projection)):
            raise RecipeError(f"{called}: the head and each projection need a `kind`")
        if not isinstance(recipe.name, str) or not isinstance(recipe.training, Mapping):
            raise RecipeError(f"{called}: its name is text, and [training] a table")
        for section, table in (("head", recipe.head), *(("projection", step) for step in recipe.projection)):
            _in_range(section, table)
        _in_range("recipe", {"rules": recipe.rules})
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """Plain tables: what :meth:`from_dict` takes, without the settings that are None."""
        return _plain(asdict(self))  # type: ignore[no-any-return]

    def vector_settings(self) -> dict[str, Any]:
        """The settings that vectors depend on, for the fingerprint (names, sources, training left out)."""
        data = self.to_dict()
        kept = {key: data.get(key) for key in ("images", "backbone", "head", "projection", "scales")}
        kept["backbone"] = {key: data["backbone"][key] for key in ("name", "layers")}
        return kept


def _section(cls: type[Any], table: Any) -> Any:
    if not isinstance(table, Mapping):
        raise TypeError(f"{table!r} stands where a table of settings should")
    return cls(**{key: tuple(v) if isinstance(v, list) else v for key, v in table.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items() if v is not None}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    return value


def _folder() -> Path:
    return Path(str(resources.files("reseen") / "recipes"))


def list_recipes() -> list[str]:
    """Names of the recipes that come with reseen, ``default`` first, then of those of installed packages."""
    own = sorted((path.stem for path in _folder().glob("*.toml")), key=lambda n: (n != "default", n))
    return own + sorted({point.name for point in entry_points(group=GROUP)} - set(own))


def read_recipe(name: PathLike) -> Recipe:
    """The recipe of that name, or of a ``.toml`` file; RecipeError lists the names when there is none."""
    path = recipe_path(name)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path}: not a TOML file: {error}") from None
    return Recipe.from_dict({"name": path.stem, **data})


def recipe_path(name: PathLike) -> Path:
    """Where a recipe's file is."""
    path = Path(name)
    if path.suffix == ".toml":
        if not path.is_file():
            raise RecipeError(f"{path}: no such recipe file")
        return path
    bundled = _folder() / f"{name}.toml"
    if os.sep not in str(name) and bundled.is_file():
        return bundled
    for point in entry_points(group=GROUP, name=str(name)):
        spec = importlib.util.find_spec(point.value)
        added = Path(spec.origin).parent / f"{name}.toml" if spec is not None and spec.origin else None
        if added is None or not added.is_file():
            raise PluginError(f"recipe {str(name)!r}: the package {point.value} has no file {name}.toml")
        return added
    raise RecipeError(f"there is no recipe {str(name)!r}; there are {', '.join(list_recipes())}")
