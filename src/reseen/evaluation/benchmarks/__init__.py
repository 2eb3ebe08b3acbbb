"""Benchmarks as they are distributed, by ``name:folder``, and the project's own manifests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from reseen.errors import BenchmarkError
from reseen.evaluation.benchmarks import cdvs, folders, holidays, landmarks, manifest, oxford, revisited, ukb
from reseen.evaluation.benchmarks.benchmark import Benchmark, check_sums
from reseen.photosets import parse

Loader = Callable[..., list[Benchmark]]

LOADERS: dict[str, Loader] = {
    "oxford5k": oxford.load,
    "paris6k": oxford.load,
    "roxford5k": revisited.load,
    "rparis6k": revisited.load,
    "holidays": holidays.load,
    "holidays-upright": holidays.load,
    "ukb": ukb.load,
    "gldv2": landmarks.load,
    "cdvs": cdvs.load,
    "clicide": folders.load,
    "garofou": folders.load,
    "folders": folders.load,
}
"""Loaders by the name before the colon, called with the name, the folder and ``partial=``."""

__all__ = ["LOADERS", "load_benchmarks"]


def load_benchmarks(
    spec: str | Path, *, distractors: Sequence[Path] = (), partial: bool = False, pattern: str | None = None
) -> list[Benchmark]:
    """The benchmarks that ``spec`` names: several for sets with several settings.

    Args:
        spec: a manifest or its folder, or ``name:folder`` with a name of :data:`LOADERS`; the revisited sets take a
            setting too (``roxford5k-hard:folder``).
        distractors: folders whose photos are added to the database.
        partial: take a set whose counts are not the published ones.
        pattern: for ``folders``, ``clicide`` and ``garofou``: the label in the file's name.

    Raises:
        BenchmarkError: an unknown name, or photos or truth that are missing, damaged or contradict each other.
    """
    name, path = parse(spec)
    if name:
        found = _distributed(name, path, partial, pattern)
    elif not path.exists():
        raise BenchmarkError(f"{spec}: no such manifest; known sets are {', '.join(LOADERS)} as name:folder")
    else:
        found = [manifest.load(path)]
    if distractors:
        found = [benchmark.with_distractors(distractors) for benchmark in found]
    return found


def _distributed(name: str, folder: Path, partial: bool, pattern: str | None) -> list[Benchmark]:
    base, _, setting = name.partition("-")
    if base in revisited.COUNTS and setting in revisited.SETTINGS:
        return [b for b in _distributed(base, folder, partial, pattern) if b.name == name]
    if name not in LOADERS:
        raise BenchmarkError(f"benchmark {name!r} is not known; the known ones are {', '.join(LOADERS)}")
    if not folder.is_dir():
        raise BenchmarkError(f"{folder}: no such folder")
    check_sums(folder)
    if pattern is not None and LOADERS[name] is folders.load:
        return folders.load(name, folder, pattern=pattern, partial=partial)
    return LOADERS[name](name, folder, partial=partial)
