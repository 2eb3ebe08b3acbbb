"""Grids of recipes, projections, dimensions and expansions; each photo passes each network once.

The shapes of siaMAC's Table 1 (no projection, PCA whitening, learned whitening) and Figure 6 (dimensions), and of
SIAM-FV's Figures 3 (PCA or LDA) and 4 (dimensions by aggregation).
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import logging
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from reseen.descriptor import Descriptor
from reseen.errors import BenchmarkError, RecipeError
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.evaluation.measures.metrics import mean
from reseen.evaluation.protocol import Protocol
from reseen.evaluation.reports.figures import figure, svg
from reseen.evaluation.reports.results import Result, percent
from reseen.evaluation.run import Encoded, Run, encode, photos_and_boxes, score
from reseen.evaluation.vectors import Digests, VectorCache
from reseen.photosets import PhotoSet, join
from reseen.projections import Chain, Projection, Truncate, create_projection
from reseen.types import Pairs, Vectors

log = logging.getLogger(__name__)

OWN, RAW = "own", "raw"
FORMS = "own, raw, or KIND[:SETTING=VALUE,...], several joined with + (pca:power=0.5, lw:shrinkage=0.1, lda, rn+power)"
Progress = Callable[[str, int, int], None]
"""Called with what is being extracted, photos extracted, photos to extract."""


@dataclass(frozen=True)
class Grid:
    """What is combined with every recipe.

    Attributes:
        projections: ``own`` (the recipe's, as it was learned), ``raw`` (none), or projections to learn: a kind with its
            settings, ``pca:power=0.5,shrinkage=0.01``, or several joined with ``+``.
        dims: dimensions kept, the first ones of the projected vectors; None for all of them. More than there are is
            left out.
        expand: query expansions, as ``--expand`` takes them.
        dba: database augmentations, as ``--dba`` takes them.
    """

    projections: tuple[str, ...] = (OWN,)
    dims: tuple[int | None, ...] = (None,)
    expand: tuple[str, ...] = ("none",)
    dba: tuple[str, ...] = ("none",)

    def __post_init__(self) -> None:
        for form in self.projections:
            if form not in (OWN, RAW):
                parse_projection(form)
        for expand, dba in itertools.product(self.expand, self.dba):
            Protocol(expand=expand, dba=dba)
        if any(dim is not None and dim < 1 for dim in self.dims):
            raise BenchmarkError("dimensions must be 1 or more")


@dataclass(frozen=True)
class Point:
    """One place of the grid, and what it reached on one benchmark; the run remembers no hits."""

    recipe: str
    projection: str
    dim: int
    expand: str
    dba: str
    run: Run

    def to_json(self) -> dict[str, Any]:
        """The run's object with the place in the grid."""
        return {**self.place(), **self.run.to_json(), "recipe": self.name}

    def place(self) -> dict[str, Any]:
        """Where it stands in the grid."""
        return {
            "base": self.recipe,
            "projection": self.projection,
            "dim": self.dim,
            "expand": self.expand,
            "dba": self.dba,
        }

    @property
    def name(self) -> str:
        """One name for the whole place."""
        return " | ".join([self.recipe, self.projection, str(self.dim), *self._expansions])

    @property
    def label(self) -> str:
        """Its name but for the dimensions."""
        return " | ".join([self.recipe, self.projection, *self._expansions])

    @property
    def _expansions(self) -> list[str]:
        return [f"{what} {form}" for what, form in (("expand", self.expand), ("dba", self.dba)) if form != "none"]


def parse_projection(form: str) -> Projection:
    """An unfitted projection from its form on the command line.

    Raises:
        RecipeError: an unknown kind or setting, or a value that TOML does not know.
    """
    steps = []
    for part in form.split("+"):
        kind, _, settings = part.partition(":")
        values: dict[str, Any] = {}
        for setting in filter(None, settings.split(",")):
            key, equals, value = setting.partition("=")
            if not equals:
                raise RecipeError(f"projection {form!r} is not {FORMS}")
            values[key] = _value(value)
        steps.append(create_projection(kind, **values))
    return steps[0] if len(steps) == 1 else Chain(steps)


def ablate(
    descriptors: Sequence[Descriptor],
    benchmarks: Sequence[Benchmark],
    grid: Grid,
    learn_on: Sequence[PhotoSet],
    *,
    protocol: Protocol | None = None,
    cache: VectorCache | None = None,
    progress: Progress | None = None,
) -> Iterator[Point]:
    """Every place of the grid on every benchmark.

    Args:
        descriptors: their heads are used; their projections only for ``own``.
        benchmarks: what is scored.
        grid: what is combined.
        learn_on: photos and pairs that the grid's projections are learned on, together.
        protocol: box rule; its expansion, augmentation and re-ranking are not used.
        cache: where vectors are kept.
        progress: of extraction.

    Yields:
        points, recipe by recipe and benchmark by benchmark.

    Raises:
        BenchmarkError: photos that cannot be used, or projections to learn and nothing to learn them on.
    """
    protocol, cache = protocol or Protocol(), cache or VectorCache()
    material = join(learn_on)
    if not material.photos and any(form not in (OWN, RAW) for form in grid.projections):
        raise BenchmarkError("projections are learned on photos: name some with --learn")
    _extract(descriptors, benchmarks, material, protocol, cache, progress)
    benchmarks = [_noting_overlap(benchmark, material, cache) for benchmark in benchmarks]
    for descriptor in descriptors:
        variants = list(_variants(descriptor, grid, material, learn_on, protocol, cache))
        for benchmark in benchmarks:
            raw = encode(descriptor, benchmark, protocol, cache, project=False)
            for form, whole in variants:
                projected = _mapped(raw, whole.project)
                widths = dict.fromkeys(whole.dim if dim is None else dim for dim in grid.dims)
                for dim in sorted(width for width in widths if width <= whole.dim):
                    part = _truncated(whole, dim)
                    encoded = projected if part is whole else _mapped(projected, Truncate(dim).transform)
                    for dba, expand in itertools.product(grid.dba, grid.expand):
                        how = dataclasses.replace(protocol, expand=expand, dba=dba, rerank="none")
                        yield Point(descriptor.name, form, dim, expand, dba, score(part, encoded, how, cache, hits=0))


def table(points: Sequence[Point]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows for people: a place of the grid per row, ``mAP / P@1`` per benchmark, the mean mAP last."""
    benchmarks = list(dict.fromkeys(point.run.benchmark for point in points))
    rows: dict[tuple[str, ...], dict[str, Run]] = {}
    for point in points:
        place = tuple(str(value) for value in point.place().values())
        rows.setdefault(place, {})[point.run.benchmark] = point.run
    listed = []
    for place, runs in rows.items():
        cells = [f"{percent(runs[b].map)} / {percent(mean(runs[b].precision[1]))}" for b in benchmarks]
        means = [percent(mean(np.array([runs[b].map for b in benchmarks])))] if len(benchmarks) > 1 else []
        listed.append([*place, *cells, *means])
    columns = ["recipe", "projection", "dim", "expand", "dba", *benchmarks]
    return [*columns, "mean mAP"] if len(benchmarks) > 1 else columns, listed


def save(folder: Path, points: Sequence[Point]) -> None:
    """Write ``ablation.json`` (which `reseen compare` reads), ``ablation.csv`` and ``ablation.svg``."""
    folder.mkdir(parents=True, exist_ok=True)
    results = [point.to_json() for point in points]
    text = json.dumps({"runs": results}, allow_nan=False)
    (folder / "ablation.json").write_text(text + "\n", encoding="utf-8")
    (folder / "ablation.csv").write_text(to_csv(results), encoding="utf-8", newline="")
    (folder / "ablation.svg").write_text(draw(points), encoding="utf-8")


def to_csv(results: Sequence[Result]) -> str:
    """One row per place of the grid and benchmark, from what :meth:`Point.to_json` gives."""
    text = io.StringIO()
    rows = csv.writer(text)
    place = ["base", "projection", "dim", "expand", "dba"]
    rows.writerow([*place, "benchmark", "map", "low", "high", "p@1", "queries", "learned_on", "fingerprint"])
    for result in results:
        numbers = [result["map"], *result["interval"], result["precision_at"]["1"]]
        rows.writerow(
            [
                *(result[key] for key in place),
                result["benchmark"],
                *("" if value is None else f"{value:.6f}" for value in numbers),
                result["scored_queries"],
                result["protocol"]["learned_on"],
                result["fingerprint"],
            ]
        )
    return text.getvalue()


def draw(points: Sequence[Point]) -> str:
    """An SVG of mAP by dimensions, a panel per benchmark and a line per recipe, projection and expansion."""
    benchmarks = list(dict.fromkeys(point.run.benchmark for point in points))
    recipes = list(dict.fromkeys(point.recipe for point in points))
    ways = list(dict.fromkeys((point.projection, point.expand, point.dba) for point in points))
    lines: dict[tuple[str, tuple[str, str, str]], list[Point]] = {}
    for point in points:
        lines.setdefault((point.recipe, (point.projection, point.expand, point.dba)), []).append(point)
    drawn = figure(4.2 * len(benchmarks), 3.6 + 0.17 * -(-len(lines) // 3))
    panels = drawn.subplots(1, len(benchmarks), squeeze=False)[0]
    styles = [f"{marker}{line}" for line in ("-", "--", ":", "-.") for marker in "osd^v"]
    ticks = sorted({point.dim for point in points})
    for axes, benchmark in zip(panels, benchmarks, strict=True):
        for (recipe, way), line in lines.items():
            mine = sorted((point.dim, 100 * point.run.map) for point in line if point.run.benchmark == benchmark)
            number = ways.index(way)
            colour = f"C{(recipes.index(recipe) if len(recipes) > 1 else number) % 10}"
            label = line[0].label
            style = styles[number % len(styles)]
            axes.plot(*zip(*mine, strict=True), style, color=colour, markersize=4, linewidth=1, label=label)
        axes.set(title=benchmark, xlabel="dimensions", ylabel="mAP, per cent", xscale="log")
        axes.set_xticks(ticks, [str(dim) for dim in ticks], minor=False)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    drawn.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=7)
    return svg(drawn)


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _extract(
    descriptors: Sequence[Descriptor],
    benchmarks: Sequence[Benchmark],
    material: PhotoSet,
    protocol: Protocol,
    cache: VectorCache,
    progress: Progress | None,
) -> None:
    """Fill the cache, one pass over each photo for all heads of one network."""
    sources = [(material.name, material.photos, material.boxes)]
    sources += [(benchmark.name, *photos_and_boxes(benchmark, protocol)) for benchmark in benchmarks]
    rules: dict[str, list[Descriptor]] = {}
    for descriptor in descriptors:
        rules.setdefault(protocol.crop(descriptor), []).append(descriptor)
    for name, photos, boxes in sources:
        for rule, alike in rules.items():
            step = None if progress is None else lambda done, total, name=name: progress(name, done, total)
            cache.fill(alike, photos, boxes, crop=rule, progress=step)


def _noting_overlap(benchmark: Benchmark, material: PhotoSet, cache: VectorCache) -> Benchmark:
    """The benchmark with a note when photos of it were learned on."""
    photos = set(benchmark.photos)
    with Digests(cache.folder) as digests:
        learned = {digests.of(photo) for photo in material.photos}
        both = sum(digests.of(photo) in learned for photo in photos)
    if not both:
        return benchmark
    note = f"{both} of its {len(photos)} photos are among those that projections are learned on"
    return dataclasses.replace(benchmark, notes=(*benchmark.notes, note))


def _variants(
    descriptor: Descriptor,
    grid: Grid,
    material: PhotoSet,
    learn_on: Sequence[PhotoSet],
    protocol: Protocol,
    cache: VectorCache,
) -> Iterator[tuple[str, Descriptor]]:
    """The descriptor with each of the grid's projections, at all dimensions."""
    vectors, pairs = None, np.zeros((0, 2), np.int64)
    for form in dict.fromkeys(grid.projections):
        if form == OWN:
            yield form, descriptor
            continue
        if form == RAW:
            yield form, _with_projection(descriptor, None, "nothing")
            continue
        if vectors is None:
            vectors, pairs = _learning_vectors(descriptor, material, protocol, cache)
        try:
            projection = parse_projection(form).fit(vectors, pairs if len(pairs) else None)
        except ValueError as error:
            raise BenchmarkError(f"{descriptor.name}: projection {form!r}: {error}") from None
        source = " + ".join(one.summary for one in learn_on)
        yield form, _with_projection(descriptor, projection, f"projection: {source}")


def _learning_vectors(
    descriptor: Descriptor, material: PhotoSet, protocol: Protocol, cache: VectorCache
) -> tuple[Vectors, Pairs]:
    """The head's vectors of the photos that could be used, and the pairs among them."""
    crop = protocol.crop(descriptor)
    found = cache.encode(descriptor, material.photos, material.boxes, crop=crop, project=False)
    usable = np.asarray(found.vectors.any(axis=1))
    if not usable.all():
        log.warning("%s: %d photos to learn on cannot be used", material.name, int((~usable).sum()))
    row = np.cumsum(usable) - 1
    pairs = material.matching
    kept = usable[pairs[:, 0]] & usable[pairs[:, 1]]
    return found.vectors[usable], row[pairs[kept]]


def _with_projection(descriptor: Descriptor, projection: Projection | None, source: str) -> Descriptor:
    steps: tuple[dict[str, Any], ...] = ()
    if projection is not None:
        parts = projection.steps if isinstance(projection, Chain) else [projection]
        steps = tuple({"kind": part.kind, **part.settings()} for part in parts)
    recipe = dataclasses.replace(descriptor.recipe, projection=steps, source=source)
    return descriptor.replace(recipe=recipe, projection=projection)


def _truncated(descriptor: Descriptor, dim: int) -> Descriptor:
    """Its vectors' first ``dim`` dimensions; the descriptor itself when it has no more."""
    if dim == descriptor.dim:
        return descriptor
    whole = descriptor.projection
    steps = whole.steps if isinstance(whole, Chain) else [whole] if whole is not None else []
    return _with_projection(descriptor, Chain([*steps, Truncate(dim)]), descriptor.recipe.source)


def _mapped(encoded: Encoded, function: Callable[[Vectors], Vectors]) -> Encoded:
    return dataclasses.replace(
        encoded,
        database=function(encoded.database),
        queries=function(encoded.queries),
        unmatched=function(encoded.unmatched),
    )
