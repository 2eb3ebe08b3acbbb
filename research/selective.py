"""Selective deep convolutional features (Hoang et al., 2017): the tables of docs/selective.md.

    python -m research.selective masks --photos DATA --cache CACHE [--picture masks.png]      (Figures 1 and 2)
    python -m research.selective grid  --photos DATA --cache CACHE [--dim 1088] [--sets SET ...] (Table 3)
    python -m research.selective weights --photos DATA --cache CACHE [--dim 1088]             (why Table 3 is so)
    python -m research.selective sweep FIGURE --photos DATA --cache CACHE --to FOLDER
                                                                             (Figures 3, 4 and 5, Table 5)
    python -m research.selective time  --photos DATA --cache CACHE                            (Figure 6)

Codebooks, PCA, whitening and rotation are learned on ``distractors`` and ``landmarks-web``, photos of nothing that is
scored. Maps and results are kept under ``--cache``: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from research.selective_maps import LITE0, SCORED, MapCache, Part, learning, scored, spread, tapped
from torch import Tensor

from reseen.errors import WeightsMissing
from reseen.evaluation import load_benchmarks
from reseen.evaluation.measures.metrics import average_precision, from_scores, mean
from reseen.evaluation.measures.statistics import paired_difference
from reseen.heads import create_head
from reseen.heads.base import l2
from reseen.heads.pooling import Signed
from reseen.heads.selective import (
    EMBEDDINGS,
    Selective,
    aggregate,
    as_map,
    democratic_weights,
    mask_picture,
    max_mask,
    published_unit,
    select,
    sum_mask,
)
from reseen.heads.selective.embeddings import Whitened
from reseen.images import Longest, load_photo, ordered_map, prepare
from reseen.projections import RN, Chain, Power
from reseen.search.local.sift import RootSift

MASKS = ("max", "sum", "sift", "none")
TABLE2 = {
    4224: {"fv": (48, 44), "vlad": (64, 66), "temb": (64, 68), "faemb": (32, 10)},
    1088: {"fv": (32, 17), "vlad": (32, 34), "temb": (32, 38), "faemb": (16, 10)},
}
"""d and |C| of each embedding, by common dimensions: Table 2's, and a quarter of them with half of d."""
TABLE4 = {512: (32, 20), 1024: (64, 18), 2048: (64, 34), 4096: (64, 66), 8064: (128, 64)}
PAPER_KEPT = {"sift": 75, "sum": 50, "max": 30}
LEARN_ON, ROTATE_ON, QUERIES = 1000, 400, 101  # photos for codebooks, photos for the rotation, queries of a set
SAMPLE = 30_000  # local features to learn from
ROOTSIFT = "rootsift"

Vectors = NDArray[np.float32]
Precisions = dict[str, NDArray[np.float64]]
"""Average precision of each query, by set."""


@dataclass(frozen=True)
class Setting:
    """What is embedded, and how; the layer ``rootsift`` is RootSIFT descriptors instead of a network's."""

    embedding: str = "temb"
    mask: str = "max"
    d: int = 64
    k: int = 18
    layer: str = "head"
    side: int = 1024


class Lab:
    """Photos, cached maps and cached results of one network."""

    def __init__(self, photos: Path, cache: Path, network: str) -> None:
        self.photos, self.cache, self.network = photos, cache, network
        self.results = cache / "results.json"

    def features(self, part: Part, setting: Setting) -> Iterator[tuple[Tensor, Tensor | None]]:
        """Map and valid cells of each photo."""
        if setting.layer == ROOTSIFT:
            for descriptors in self.rootsift(part, setting.side):
                yield as_map(descriptors), None
        else:
            for maps, sift in MapCache(self.cache, self.network, setting.side).read(part, setting.layer):
                yield maps, sift if setting.mask == "sift" else None

    def rootsift(self, part: Part, side: int) -> list[Tensor]:
        """At most 1000 RootSIFT descriptors ``(n, 128)`` of each photo at the network's size."""
        file = self.cache / f"{ROOTSIFT}-{side}" / f"{part.name}.npz"
        if not file.is_file():
            file.parent.mkdir(parents=True, exist_ok=True)
            extractor, rule = RootSift(side, 1000, 0.04), Longest(side)

            def extract(index: int) -> NDArray[np.uint8]:
                pixels = prepare(load_photo(part.photos[index]), rule, part.boxes[index])
                return extractor.extract(pixels).codes

            found = ordered_map(extract, range(len(part.photos)), workers=2)
            np.savez(file, **{str(i): descriptors for i, descriptors in enumerate(found)})
        with np.load(file) as kept:
            return [l2(torch.from_numpy(kept[str(i)]).float()) for i in range(len(part.photos))]

    def head(self, setting: Setting) -> Selective:
        """Learned on ``LEARN_ON`` photos."""
        part = learning(self.photos, LEARN_ON)
        channels = next(self.features(part, setting))[0].shape[1]
        head = create_head(
            "selective", [channels], d=setting.d, k=setting.k, mask=setting.mask, embedding=setting.embedding,
            sample=SAMPLE, **({"unit": False} if setting.embedding in ("temb", "faemb") else {}),
            maxpool=setting.layer in ("blocks.3", "blocks.4"),
        )  # fmt: skip
        assert isinstance(head, Selective)
        return head.fit((([maps], valid) for maps, valid in self.features(part, setting))).eval()

    def vectors(self, head: Selective, part: Part, setting: Setting, kinds: Sequence[str]) -> dict[str, Vectors]:
        """Aggregated vectors of each photo, embedded once for every kind of aggregation.

        The head's whitened features keep their lengths: each aggregation brings them to what is published for it.
        """
        rows: dict[str, list[Tensor]] = {kind: [] for kind in kinds}
        with torch.inference_mode():
            for maps, valid in self.features(part, setting):
                x, kept = head.local_features([maps], valid)
                embedded = head.embedding(head.pca(x))
                for kind in kinds:
                    whitened = isinstance(head.embedding, Whitened)
                    unit = l2(embedded) if whitened and published_unit(setting.embedding, kind) else embedded
                    rows[kind].append(l2(aggregate(unit, kind, kept))[0])
        return {kind: torch.stack(found).numpy() for kind, found in rows.items()}

    def measure(
        self,
        setting: Setting,
        sets: Sequence[str],
        kinds: Sequence[str] = ("democratic",),
        exponents: Sequence[float] = (0.5,),
    ) -> dict[tuple[str, float], Precisions]:
        """Average precisions by aggregation and exponent; what is in the results file is not made again."""

        def key(name: str, kind: str, exponent: float) -> str:
            place = {"set": name, "aggregation": kind, "exponent": exponent, "network": self.network}
            return json.dumps({**asdict(setting), **place})

        known = self.known()
        missing = [n for n in sets if any(key(n, kind, e) not in known for kind in kinds for e in exponents)]
        if missing:
            began = time.perf_counter()
            head = self.head(setting)
            learned = self.vectors(head, learning(self.photos, ROTATE_ON), setting, kinds)
            chains = {
                (kind, e): Chain([rotation, Power(e)])
                for kind in kinds
                for rotation in [RN(1024, dropped=EMBEDDINGS[setting.embedding].dropped(setting.d)).fit(learned[kind])]
                for e in exponents
            }
            for name in missing:
                database, queries = scored(self.photos, name, QUERIES)
                rows, wanted = (self.vectors(head, part, setting, kinds) for part in (database, queries))
                for (kind, e), chain in chains.items():
                    known[key(name, kind, e)] = precisions(
                        chain.transform(rows[kind]), chain.transform(wanted[kind]), queries
                    )
            self.results.write_text(json.dumps({**self.known(), **known}))
            print(f"# {setting} on {', '.join(missing)} in {time.perf_counter() - began:.0f} s", flush=True)
        return {
            (kind, e): {name: np.array(known[key(name, kind, e)]) for name in sets} for kind in kinds for e in exponents
        }

    def known(self) -> dict[str, list[float]]:
        return json.loads(self.results.read_text()) if self.results.is_file() else {}


def precisions(database: Vectors, queries: Vectors, part: Part) -> list[float]:
    truth, junk = [q.positives for q in part.queries], [q.junk for q in part.queries]
    return average_precision(from_scores(queries @ database.T, truth, junk)).tolist()


def table(title: str, rows: Mapping[str, Sequence[object]], header: Sequence[str]) -> None:
    print(f"\n| {title} | " + " | ".join(header) + " |\n|---|" + "---|" * len(header))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(f"{c:.1f}" if isinstance(c, float) else str(c) for c in cells) + " |")


def percent(values: NDArray[np.float64]) -> float:
    return 100 * mean(values)


# -- masks: Figures 1 and 2 ---------------------------------------------------------------------------


def masks(lab: Lab, arguments: argparse.Namespace) -> None:
    """Shares of features kept, and of pairs of them within +-0.15, at 1024 px."""
    (benchmark,) = load_benchmarks(lab.photos / "paris-sub")
    photos = spread(benchmark.database, arguments.count)
    part = Part(f"paris-sub-masks-{len(photos)}", photos, (None,) * len(photos))
    lite0 = MapCache(lab.cache, lab.network, 1024)
    sources: list[tuple[MapCache, str, Signed]] = [
        (lite0, "blocks.6", "clamp"), (lite0, "blocks.6", "keep"), (lite0, "head", "clamp")
    ]  # fmt: skip
    try:
        tapped(arguments.vgg16, 1024, ("pool5",))
        sources.append((MapCache(lab.cache, arguments.vgg16, 1024, ("pool5",)), "pool5", "clamp"))
    except WeightsMissing:
        print("# the paper's own network is left out: VGG16's weights are not on this machine (--vgg16 FILE)")
    kept_rows: dict[str, list[object]] = {}
    pair_rows: dict[str, list[object]] = {}
    for cache, layer, signed in sources:
        kept: dict[str, list[float]] = {mask: [] for mask in MASKS}
        near: dict[str, list[float]] = {mask: [] for mask in MASKS}
        for maps, sift in cache.read(part, layer):
            if signed == "clamp":
                maps = maps.clamp_min(0)
            keeps = {"max": max_mask(maps, signed=signed), "sum": sum_mask(maps, signed=signed), "sift": sift}
            for mask in MASKS:
                keep = keeps.get(mask)
                x = l2(select(maps, keep)[0][0])
                kept[mask].append(len(x) / maps[0, 0].numel())
                if len(x) > 1:
                    pairs = (x @ x.T)[tuple(torch.triu_indices(len(x), len(x), 1))]
                    near[mask].append((pairs.abs() <= 0.15).float().mean().item())
        name = f"{layer}, {maps.shape[1]} channels, negatives {'set to 0' if signed == 'clamp' else 'kept'}"
        kept_rows[name] = [100 * float(np.mean(kept[mask])) for mask in MASKS]
        pair_rows[name] = [100 * float(np.mean(near[mask])) for mask in MASKS]
        if layer == "pool5":
            kept_rows["the paper, VGG16 on Oxford5k, Paris6k, Holidays"] = [*(PAPER_KEPT.get(m, 100) for m in MASKS)]
    print(f"{len(photos)} photos of paris-sub at 1024 px, network {lab.network}; per cent, means over photos")
    table("features kept", kept_rows, MASKS)
    table("pairs within +-0.15", pair_rows, MASKS)
    if arguments.picture:
        picture(lab, spread(photos, 4), arguments.picture)


def picture(lab: Lab, photos: Sequence[Path], to: Path) -> None:
    """Figure 1: a row for each photo, masks of the last map."""
    descriptor = tapped(lab.network, 1024, ("head",))
    rows = []
    for photo, item in zip(photos, descriptor.maps(photos), strict=True):
        row = mask_picture(prepare(load_photo(photo), Longest(1024)), item.maps[0][None])
        rows.append(cv2.resize(row, (1600, round(1600 * row.shape[0] / row.shape[1])), interpolation=cv2.INTER_AREA))
        rows.append(np.full((6, 1600, 3), 255, np.uint8))
    cv2.imwrite(str(to), cv2.cvtColor(np.concatenate(rows[:-1]), cv2.COLOR_RGB2BGR))
    print(f"\nphoto, SIFT keypoints, SIFT, SUM and MAX masks of {len(photos)} photos: {to}")


# -- grid: Table 3 ------------------------------------------------------------------------------------

AGGREGATIONS = ("sum", "max", "democratic")


def grid(lab: Lab, arguments: argparse.Namespace) -> None:
    """Four embeddings of equal dimensions, three aggregations (average is sum once lengths are 1), four masks."""
    sizes = {e: TABLE2[arguments.dim][e] for e in arguments.embeddings}
    sets, columns = tuple(arguments.sets), arguments.masks
    found: dict[tuple[str, str, str], Precisions] = {}
    for embedding, (d, k) in sizes.items():
        for mask in columns:
            setting = Setting(embedding, mask, d, k, layer=arguments.layer)
            for (kind, _), values in lab.measure(setting, sets, AGGREGATIONS).items():
                found[embedding, kind, mask] = values
    print(f"mAP, {lab.network} network, layer {arguments.layer}, 1024 px, {arguments.dim} dimensions, power law 0.5")
    for name in sets:
        rows = {f"{e} + {a}": [percent(found[e, a, m][name]) for m in columns] for e in sizes for a in AGGREGATIONS}
        table(name, rows, columns)
    gains = {
        f"{e}, {m}": [change(found[e, "sum", m][name], found[e, "democratic", m][name]) for name in sets]
        for e in sizes
        for m in columns
    }
    table("democratic for sum (95 % interval)", gains, sets)
    if "none" in columns:
        gains = {
            f"{e}, {m}": [
                change(found[e, "democratic", "none"][name], found[e, "democratic", m][name]) for name in sets
            ]
            for e in sizes
            for m in columns
            if m != "none"
        }
        table("mask for none, democratic (95 % interval)", gains, sets)


def weights(lab: Lab, arguments: argparse.Namespace) -> None:
    """Why democratic aggregation pays or not: how unequal its weights are within a photo (standard deviation / mean).

    Equal weights are sum aggregation.
    """
    database, _ = scored(lab.photos, "paris-sub", QUERIES)
    photos = spread(database.photos, arguments.count)
    part = Part("paris-sub-weights", photos, (None,) * len(photos))
    rows: dict[str, list[object]] = {}
    for embedding in arguments.embeddings:
        d, k = TABLE2[arguments.dim][embedding]
        rows[embedding] = []
        for mask in ("max", "none"):
            setting = Setting(embedding, mask, d, k)
            head = lab.head(setting)
            found = []
            with torch.inference_mode():
                for maps, _ in lab.features(part, setting):
                    x = head.embedding(head.pca(head.local_features([maps])[0]))
                    found.append(democratic_weights(l2(x) if isinstance(head.embedding, Whitened) else x)[0])
            rows[embedding].append(f"{np.mean([(w.std() / w.mean()).item() for w in found]):.2f}")
    print(f"{len(photos)} photos of paris-sub, {arguments.dim} dimensions, {lab.network} network")
    table("spread of democratic weights", rows, ("max", "none"))


def change(before: NDArray[np.float64], after: NDArray[np.float64]) -> str:
    """Mean paired change of average precision with its bootstrap interval, in points."""
    difference = paired_difference(before, after)
    low, high = (100 * v for v in difference.interval)
    return f"{100 * difference.mean:+.1f} ({low:+.1f} to {high:+.1f})"


# -- sweeps: Figures 3 to 5, Table 5 ------------------------------------------------------------------

Curves = dict[str, dict[str, list[tuple[str, float]]]]
"""mAP in per cent by set, then curve, as points (what changes, mAP)."""


def power(lab: Lab, sets: tuple[str, ...], most: int) -> tuple[Curves, str]:
    """Figure 3, at 1024 dimensions (d 64, k 18)."""
    return by_exponent(lab, sets, {f"CNN, {mask}": Setting(mask=mask) for mask in MASKS})


def power_rootsift(lab: Lab, sets: tuple[str, ...], most: int) -> tuple[Curves, str]:
    """Figure 3's curve of SIFT: RootSIFT through the same embedding."""
    return by_exponent(lab, sets, {"RootSIFT": Setting(mask="none", layer=ROOTSIFT)})


def by_exponent(lab: Lab, sets: tuple[str, ...], settings: Mapping[str, Setting]) -> tuple[Curves, str]:
    exponents = tuple(round(0.1 * i, 1) for i in range(1, 11))
    curves: Curves = {name: {} for name in sets}
    for title, setting in settings.items():
        found = lab.measure(setting, sets, exponents=exponents)
        for name in sets:
            curves[name][title] = [(str(e), percent(found["democratic", e][name])) for e in exponents]
    return curves, "exponent of the power law"


def dimension(lab: Lab, sets: tuple[str, ...], most: int) -> tuple[Curves, str]:
    """Figure 4: the settings of Table 4."""
    curves: Curves = {name: {mask: [] for mask in MASKS} for name in sets}
    for dim, (d, k) in TABLE4.items():
        for mask in MASKS:
            if dim <= most:
                found = lab.measure(Setting(mask=mask, d=d, k=k), sets)["democratic", 0.5]
                for name in sets:
                    curves[name][mask].append((str(dim), percent(found[name])))
    return curves, "dimensions"


def layer(lab: Lab, sets: tuple[str, ...], most: int) -> tuple[Curves, str]:
    """Figure 5: MAX, T-emb, democratic; a 2 x 2 max pool where cells are 16 pixels."""
    curves: Curves = {name: {"512-d": [], "1024-d": []} for name in sets}
    for name in reversed(LITE0):
        for dim in (512, 1024):
            d, k = TABLE4[dim]
            found = lab.measure(Setting(d=d, k=k, layer=name), sets)["democratic", 0.5]
            for one in sets:
                curves[one][f"{dim}-d"].append((name, percent(found[one])))
    return curves, "layer"


def size(lab: Lab, sets: tuple[str, ...], most: int) -> tuple[Curves, str]:
    """Table 5: 512 dimensions; only smvs-dvd and paris-sub have photos of 1024 px."""
    curves: Curves = {name: {"sum": [], "max": []} for name in sets}
    d, k = TABLE4[512]
    for side in (512, 724, 1024):
        for mask in ("sum", "max"):
            found = lab.measure(Setting(mask=mask, d=d, k=k, side=side), sets)
            for name in sets:
                curves[name][mask].append((str(side), percent(found["democratic", 0.5][name])))
    return curves, "longest side of the photo, pixels"


SWEEPS: dict[str, Callable[[Lab, tuple[str, ...], int], tuple[Curves, str]]] = {
    "power": power, "power-rootsift": power_rootsift, "dimension": dimension, "layer": layer, "size": size
}  # fmt: skip


def sweep(lab: Lab, arguments: argparse.Namespace) -> None:
    """One figure as tables and a plot."""
    curves, axis = SWEEPS[arguments.figure](lab, tuple(arguments.sets), arguments.most)
    print(f"mAP, {lab.network} network, T-emb, democratic; across: {axis}")
    for name, by_curve in curves.items():
        across = [x for x, _ in next(iter(by_curve.values()))]
        table(name, {title: [y for _, y in points] for title, points in by_curve.items()}, across)
    if arguments.to:
        arguments.to.mkdir(parents=True, exist_ok=True)
        plot(curves, axis, arguments.to / f"{arguments.figure}.svg")


def plot(curves: Curves, axis: str, to: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 3.6), layout="constrained")
    for axes, (name, by_curve) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        for title, points in by_curve.items():
            axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=title)
        axes.set(title=name, ylabel="mAP, per cent")
        axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
    figure.supxlabel(axis, fontsize="small")
    figure.savefig(to)
    print(f"\nplot: {to}")


# -- time: Figure 6 -----------------------------------------------------------------------------------


def timing(lab: Lab, arguments: argparse.Namespace) -> None:
    """Mask, embedding and aggregation of one photo at 1024 px, the network left out, beside R-MAC."""
    (benchmark,) = load_benchmarks(lab.photos / "paris-sub")
    photos = spread(benchmark.database, arguments.count)
    part = Part(f"paris-sub-masks-{len(photos)}", photos, (None,) * len(photos))
    cached = list(MapCache(lab.cache, lab.network, 1024).read(part, arguments.layer))
    channels = cached[0][0].shape[1]
    heads = {"R-MAC": (create_head("rmac", [channels], levels=3), None)}
    random = torch.Generator().manual_seed(0)
    for dim in (512, 4096):
        d, k = TABLE4[dim]
        for mask in MASKS:
            head = Selective([channels], d=d, k=k, mask=mask)
            for buffer in head.buffers():
                buffer.copy_(torch.randn(buffer.shape, generator=random) > 0 if buffer.dtype == torch.bool else
                             0.1 * torch.randn(buffer.shape, generator=random))  # fmt: skip
            head.learned.fill_(True)
            heads[f"{mask}, {dim}-d"] = (head, mask)
    rows = {}
    with torch.inference_mode():
        for title, (head, mask) in heads.items():
            seconds, features = [], []
            for maps, sift in cached:
                maps = maps.contiguous(memory_format=torch.channels_last)  # as PyTorch's network leaves them
                valid = sift if mask == "sift" else None
                began = time.perf_counter()
                head([maps], valid)
                seconds.append(time.perf_counter() - began)
                features.append(head.local_features([maps], valid)[0].shape[1] if mask else maps[0, 0].numel())
            rows[title] = [1000 * float(np.median(seconds)), f"{np.mean(features):.0f}"]
    print(f"{len(cached)} photos of paris-sub at 1024 px, layer {arguments.layer}, {torch.get_num_threads()} threads")
    table("embedding and aggregation", rows, ("ms a photo, median", "features"))
    democratic_times(cached)


def democratic_times(cached: Sequence[tuple[Tensor, Tensor]]) -> None:
    """Batched democratic aggregation beside one photo at a time in numpy, on the same embedded features."""
    counts = [int(max_mask(maps).sum()) for maps, _ in cached]
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    rows: dict[str, list[object]] = {}
    for dim in (512, 4096):
        x = l2(torch.randn(len(counts), max(counts), dim, generator=torch.Generator().manual_seed(0)) + 0.05)
        valid = torch.arange(max(counts))[None] < torch.tensor(counts)[:, None]
        arrays = [x[i, :n].numpy() for i, n in enumerate(counts)]
        seconds = best_of(lambda arrays=arrays: [literal_democratic(rows) for rows in arrays])
        rows[f"numpy, one by one, {dim}-d"] = [1000 * seconds / len(counts)]
        for device in devices:
            on, there = x.to(device), valid.to(device)

            def batched(on: Tensor = on, there: Tensor = there) -> None:
                for start in range(0, len(on), 8):
                    aggregate(on[start : start + 8], "democratic", there[start : start + 8])
                if on.is_cuda:
                    torch.cuda.synchronize()

            rows[f"batches of 8, {device}, {dim}-d"] = [1000 * best_of(batched) / len(counts)]
        weights = democratic_weights(x, valid)[0, : counts[0]].numpy()
        assert np.allclose(weights @ arrays[0], literal_democratic(arrays[0]), atol=1e-3)
    table(f"democratic aggregation of {np.mean(counts):.0f} features a photo", rows, ("ms a photo, best of 20",))


def literal_democratic(x: Vectors) -> Vectors:
    gram = np.maximum(x @ x.T, 0)
    weights = np.ones(len(x), np.float32)
    for _ in range(10):
        delta = gram.sum(0) ** -0.5
        gram *= delta[:, None] * delta
        weights *= delta
    return weights @ x


def best_of(work: Callable[[], object], times: int = 20) -> float:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(required=True)
    for name, verb in (("masks", masks), ("grid", grid), ("weights", weights), ("sweep", sweep), ("time", timing)):
        sub = verbs.add_parser(name, help=verb.__doc__)
        sub.set_defaults(verb=verb)
        if verb is sweep:
            sub.add_argument("figure", choices=SWEEPS)
            sub.add_argument("--to", type=Path, help="folder for the plot")
            sub.add_argument("--most", type=int, default=4096, help="dimensions at most (dimension)")
        sub.add_argument("--photos", type=Path, required=True, help="folder of the development photos")
        sub.add_argument("--cache", type=Path, required=True, help="folder for maps and results")
        sub.add_argument("--network", choices=("bundled", "default"), default="bundled", help="Lite0's weights")
        if verb in (masks, weights, timing):
            sub.add_argument("--count", type=int, default=100, help="photos")
        if verb is masks:
            sub.add_argument("--vgg16", default="hub", help="VGG16's weights: hub, or a file")
            sub.add_argument("--picture", type=Path, help="file for a picture of the masks over some photos")
        if verb in (grid, sweep):
            sub.add_argument("--sets", nargs="+", choices=SCORED, default=SCORED)
        if verb in (grid, weights):
            sub.add_argument("--embeddings", nargs="+", choices=TABLE2[4224], default=tuple(TABLE2[4224]))
            sub.add_argument("--dim", type=int, choices=TABLE2, default=4224, help="dimensions of every embedding")
        if verb is grid:
            sub.add_argument("--masks", nargs="+", choices=MASKS, default=MASKS)
        if verb in (grid, timing):
            sub.add_argument("--layer", choices=LITE0, default="head")
    arguments = parser.parse_args()
    arguments.verb(Lab(arguments.photos, arguments.cache, arguments.network), arguments)


if __name__ == "__main__":
    main()
