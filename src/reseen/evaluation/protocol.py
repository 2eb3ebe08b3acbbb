"""The protocol of a run, and the card that says it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np

from reseen import schema
from reseen.collections.first_stage import First
from reseen.errors import BenchmarkError
from reseen.evaluation.bag_of_words import BagOfWords
from reseen.evaluation.benchmarks.benchmark import Benchmark
from reseen.evaluation.expansion import check_forms
from reseen.search.rerank import parse_chain

if TYPE_CHECKING:
    from reseen.descriptor import Descriptor

BOXES = {
    "crop": "the query's pixels are cropped by the recipe's rule",
    "relative": "Crop_I: cropped, then the longest side limited to the size times max(crop) / max(photo)",
    "tight": "Crop_I: cropped, then limited to the size as a photo is",
    "padded": "Crop_I: the box enlarged by half the receptive field, then as relative",
    "activations": "Crop_X: the whole photo is seen; cells with their centre in the box scaled to the map stay",
    "whole": "boxes are ignored, queries are whole photos",
}
"""What ``--box`` takes."""

FIRST: dict[First, str] = {
    "global": "vectors rank the database",
    "local": "words of local features rank the database",
    "both": "the shortlist is that of vectors and of words, vectors rank the rest",
}
"""What ``--first`` takes."""


@dataclass(frozen=True)
class Protocol:
    """How a run is made, beside the recipe.

    Attributes:
        box: one of :data:`BOXES`.
        expand: query expansion, e.g. ``aqe:10``.
        dba: database augmentation, e.g. ``alpha:10:3``.
        rerank: a chain of re-ranking stages, e.g. ``geometry+superglobal``.
        depth: length of the shortlist that is re-ranked; the stages' own when None.
        as_typed: the database is a collection that was indexed, and is searched, without an option; nothing else may be
            asked for.
        junk: ``kept`` in the shortlist that is re-ranked, or ``removed`` from it (some published code does).
        first: what makes that shortlist, one of :data:`FIRST`.
    """

    box: str = "crop"
    expand: str = "none"
    dba: str = "none"
    rerank: str = "none"
    depth: int | None = None
    junk: str = "kept"
    as_typed: bool = False
    first: First = "global"

    def __post_init__(self) -> None:
        if self.box not in BOXES:
            raise BenchmarkError(f"box rule {self.box!r} is not known; the known ones are {', '.join(BOXES)}")
        if self.junk not in ("kept", "removed"):
            raise BenchmarkError(f"junk {self.junk!r} is neither kept nor removed")
        if self.depth is not None and self.depth < 1:
            raise BenchmarkError(f"a shortlist of {self.depth} photos cannot be re-ranked")
        if self.first not in FIRST:
            raise BenchmarkError(f"first stage {self.first!r} is not known; the known ones are {', '.join(FIRST)}")
        check_forms(self.expand, self.dba)
        if self.as_typed and replace(self, as_typed=False) != Protocol():
            raise BenchmarkError("as typed means without an option: leave the others out")
        parse_chain(self.rerank, features=True)

    def crop(self, descriptor: Descriptor | BagOfWords) -> str:
        """The crop rule that the descriptor is asked for."""
        return descriptor.recipe.images.crop if self.box in ("crop", "whole") else self.box

    def card(self, descriptor: Descriptor | BagOfWords, benchmark: Benchmark) -> schema.Protocol:
        """Everything that another person needs to make this run again."""
        recipe = descriptor.recipe
        settings = recipe.to_dict()
        crop, runtime = self.crop(descriptor), descriptor.runtime
        return {
            "benchmark": benchmark.name,
            "database": len(benchmark.database),
            "distractors": benchmark.distractors,
            "queries": len(benchmark.queries),
            "unmatched": len(benchmark.unmatched),
            "truth": benchmark.truth,
            "recipe": descriptor.name,
            "fingerprint": descriptor.fingerprint,
            "dim": descriptor.dim,
            "engine": runtime["engine"],
            "precision": runtime["precision"],
            "device": runtime["device"],
            "images": settings["images"],
            "box": BOXES["whole" if self.box == "whole" else crop],
            "scales": settings["scales"],
            "backbone": {key: settings["backbone"][key] for key in ("name", "layers")},
            "head": settings["head"],
            "projection": settings["projection"],
            "learned_on": recipe.source or "not said by the recipe",
            "expansion": self.expand,
            "database_augmentation": self.dba,
            "first_stage": "as search does without an option" if self.as_typed else FIRST[self.first],
            "reranking": "as index and search do without an option" if self.as_typed else self.rerank,
            "junk": "removed before ranks count; "
            + ("kept in" if self.junk == "kept" else "removed from")
            + " the shortlist that is re-ranked",
            "truncation": "the whole database is ranked",
            "ties": "in the order of the database",
            "average_precision": "Oxford (trapezoids), divided by all relevant photos",
            "precision_at": benchmark.precision_rule,
            "versions": versions(),
            "notes": list(benchmark.notes),
        }


def versions() -> dict[str, str]:
    """Of what computes."""
    import torch

    return {
        "reseen": metadata.version("reseen"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def card_lines(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A card as (key, value) for people."""
    lines = []
    for key, value in card.items():
        if isinstance(value, Mapping):
            text = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, list):
            text = "; ".join(
                ", ".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, Mapping) else str(item)
                for item in value
            )
        else:
            text = str(value)
        lines.append((key.replace("_", " "), text or "none"))
    return lines
