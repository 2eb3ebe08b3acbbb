"""What a run tells: progress while it goes on, a log by epoch, a card at the end."""

from __future__ import annotations

import csv
import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from reseen.descriptor import Descriptor
from reseen.photosets import PhotoSet
from reseen.training.settings import TrainingSettings

LOG_FIELDS = ("epoch", "tuples", "loss", "active", "lr", "validation", "likeness", "rejected", "seconds")


@dataclass(frozen=True)
class Progress:
    """What a run tells while it goes on.

    Attributes:
        stage: ``start``, ``mine``, ``train``, ``validate``, ``epoch`` or ``finish``.
        epoch: from 1. epochs: at most.
        tuples: done in this epoch. of: all in this epoch.
        loss: mean over the epoch's tuples so far. active: share of the loss's terms that are not zero.
        validation: mAP of the last epoch, in 0..1. best: the best so far.
        rejected: photos left out so far.
    """

    stage: str
    epoch: int = 0
    epochs: int = 0
    tuples: int = 0
    of: int = 0
    loss: float = math.nan
    active: float = math.nan
    validation: float | None = None
    best: float | None = None
    rejected: int = 0


def write_log(folder: Path, history: Sequence[Mapping[str, Any]], *, tensorboard: bool = False) -> None:
    """``log.csv``, a row per epoch; the last row as TensorBoard events too when asked."""
    with (folder / "log.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, LOG_FIELDS)
        writer.writeheader()
        writer.writerows(history)
    if tensorboard:
        from torch.utils.tensorboard import SummaryWriter

        row = history[-1]
        with SummaryWriter(str(folder / "tensorboard")) as board:
            for key in ("loss", "active", "lr", "validation", "likeness"):
                if row[key] is not None:
                    board.add_scalar(key, row[key], row["epoch"])


def run_card(
    trained: Descriptor,
    data: PhotoSet,
    settings: TrainingSettings,
    *,
    validation: str,
    best: tuple[int, float | None],
    history: Sequence[Mapping[str, Any]],
    rejected: Mapping[str, str],
    place: str,
) -> str:
    """What was learned, on what, with which settings, how well, in Markdown.

    Args:
        trained: the result.
        data: what it learned from.
        settings: how.
        validation: the name of the validation set.
        best: the best epoch and its mAP.
        history: rows of the log.
        rejected: photos left out, and why.
        place: the processes and the device.
    """
    curve = "\n".join(
        f"| {row['epoch']} | {_number(row['loss'])} | {_number(row['active'])} | {_number(row['validation'])} |"
        for row in history
    )
    skipped = "\n".join(f"- {line}" for line in data.skipped[:20]) or "- none"
    left_out = "\n".join(f"- {photo}: {reason}" for photo, reason in list(rejected.items())[:20]) or "- none"
    return f"""# {trained.name}, trained

- Result: `descriptor/`, {trained.dim} dimensions, fingerprint {trained.fingerprint}
- Learned on: {data.name}: {len(data.photos)} photos, {len(data.pairs)} pairs
- Best epoch by validation: {best[0]} of {history[-1]["epoch"]}, mAP {_number(best[1])} on {validation}
- Share of the starting weights in the result: {settings.average}
- Time: {history[-1]["seconds"]:.0f} s, {place}
- Machine: {platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, torch {torch.__version__}

| epoch | loss per tuple | active | validation mAP |
|---|---|---|---|
{curve}

Photos that the lists name and that do not exist ({len(data.skipped)} entries):

{skipped}

Photos left out because they cannot be used ({len(rejected)}):

{left_out}

Settings:

```json
{json.dumps(settings.to_dict(), indent=2, ensure_ascii=False)}
```
"""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
