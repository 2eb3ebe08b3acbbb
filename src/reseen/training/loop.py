"""The training loop: mine, descend, validate, keep the best, go on after a kill."""

from __future__ import annotations

import copy
import json
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from reseen.descriptor import Descriptor
from reseen.descriptor.runtime.allocator import tune_allocator
from reseen.descriptor.runtime.threads import network_threads, share_threads
from reseen.errors import TrainingError
from reseen.photosets import PhotoSet
from reseen.training.batches import Batch, Stretch, batches
from reseen.training.checkpoints import Position, has_run, read_state, restore_run, save_run, write_state
from reseen.training.distributed import Workers
from reseen.training.initialise import initialise
from reseen.training.losses import InBatch, create_loss
from reseen.training.mining.negatives import Rule
from reseen.training.network import BatchGradient, Network, create_optimizer, memory_advice, rate_factor
from reseen.training.record import Progress, run_card, write_log
from reseen.training.result import averaged, learn_projection, with_weights
from reseen.training.settings import TrainingSettings, differences
from reseen.training.tuples import choose_pairs, epoch_order, likeness, mine
from reseen.training.validation import Validation, held_out_validation
from reseen.training.views import View, ViewReader

ALIKE = 0.995
"""Mean inner product of the vectors of different photos above which a network has collapsed."""


class Trainer:
    """One run, in a folder of its own.

    Args:
        descriptor: what to train; it is not changed.
        data: photos and who matches whom.
        to: the run's folder; a run that was stopped there goes on, with the same settings only.
        settings: by default the recipe's ``[training]`` table.
        validation: photos to choose the best epoch by; by default a share of ``data`` is held out.
        device: of the network.
        workers: decoding threads; by default a quarter of the cores. Torch gets the others.
        group: this process among torchrun's.
        progress: called often, from the first worker only.
        save_seconds: least time between two saved states within an epoch.
        tensorboard: write TensorBoard events beside the CSV log.

    The folder holds ``run.json`` (settings), ``state.safetensors`` (to go on), ``start.safetensors`` (the network once
    initialised), ``best.safetensors``, ``log.csv`` and, at the end, ``descriptor/`` and ``card.md``.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        data: PhotoSet,
        to: str | os.PathLike[str],
        *,
        settings: TrainingSettings | None = None,
        validation: Validation | None = None,
        device: str | torch.device = "cpu",
        workers: int | None = None,
        group: Workers | None = None,
        progress: Callable[[Progress], None] | None = None,
        save_seconds: float = 60.0,
        tensorboard: bool = False,
    ) -> None:
        self.recipe = descriptor.recipe
        self.settings = settings or TrainingSettings.from_table(self.recipe.training)
        self.settings.check()
        self.to = Path(to)
        self.device = torch.device(device)
        self.group = group or Workers()
        self.save_seconds, self.tensorboard = save_seconds, tensorboard
        self._progress = progress
        self._start = descriptor
        self.threads, decode = share_threads(workers)
        if validation is None and self.settings.validation:
            data, held_out = data.split(self.settings.validation, self.settings.seed)
            validation = held_out_validation(held_out, self.settings)
        self.data, self.validation = data, validation
        self._decode = decode
        self.reader = self._view_reader(data)
        self._validation_reader = self._view_reader(validation.data) if validation else None
        self.at = Position()
        self.mined: NDArray[np.int64] = np.zeros((0, 0), np.int64)

    def _view_reader(self, data: PhotoSet) -> ViewReader:
        views = self.settings.views
        rule = views.rule(self.recipe.images.rule)
        return ViewReader(data, views, rule, seed=self.settings.seed, workers=self._decode)

    # -- the run -------------------------------------------------------------------------------------

    def run(self) -> Descriptor:
        """Train to the end and return the descriptor, which is also in ``to/descriptor``.

        Raises:
            TrainingError: no pairs, no negatives, other settings than the run in the folder, a loss that is not
                a number, collapse, out of memory. The last good state stays in the folder.
        """
        unlearned = self._start.projection is not None and not self._start.projection.fitted
        if unlearned and not self.settings.project:
            raise TrainingError(f"{self.recipe.name}: its projection is not learned yet: project = false leaves none")
        self._enter()
        with network_threads(self.threads):
            self._prepare()
            while not self.at.finished:
                self._epoch()
            return self._finish()

    def _enter(self) -> None:
        """Make the folder, or check that the run in it has these settings."""
        described = json.loads(json.dumps(self._described()))
        file = self.to / "run.json"
        if not self.group.first:
            self.group.wait()
            return
        if file.is_file():
            saved = json.loads(file.read_text(encoding="utf-8"))
            changed = differences(saved, described)
            if changed:
                raise TrainingError(
                    f"{self.to}: holds a run with other settings ({'; '.join(changed[:8])}): "
                    "go on with the saved ones or train to another folder"
                )
        else:
            self.to.mkdir(parents=True, exist_ok=True)
            if any(self.to.iterdir()):
                raise TrainingError(f"{self.to}: is not empty and holds no run")
            file.write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        self.group.wait()

    def _described(self) -> dict[str, Any]:
        recipe = self.recipe.to_dict()
        recipe.pop("training", None)
        return {
            "recipe": recipe,
            "start": self._start.fingerprint,
            "training": self.settings.to_dict(),
            "data": {"name": self.data.name, "fingerprint": self.data.fingerprint},
            "validation": {"name": self.validation.name, "fingerprint": self.validation.data.fingerprint}
            if self.validation
            else None,
        }

    def _prepare(self) -> None:
        """The network and the optimizer, new or as the last state left them."""
        self._tell("start")
        if self.device.type == "cpu":
            tune_allocator()
        settings = self.settings
        torch.manual_seed(settings.seed)
        backbone, head = copy.deepcopy(self._start.backbone), copy.deepcopy(self._start.head)
        classes = int(self.data.clusters.max(initial=0)) + 1
        options = {key: value for key, value in settings.loss.items() if key != "kind"}
        loss = create_loss(settings.loss["kind"], classes=classes, dim=head.dim, **options)
        if settings.negatives.source == "batch":
            mined = settings.negatives
            loss = InBatch(loss, cast(Rule, mined.rule), mined.count, mined.margin, settings.seed)
        self.network = Network(backbone, head, loss).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if has_run(self.to):
            self._build()
            restored = restore_run(self.to, self.network, self.optimizer, self.data)
            self.data, self.mined, self.at, self.reader.rejected = restored
            return
        with memory_advice():
            fresh = self._start.recipe.learned is None
            self.data = choose_pairs(self.data, settings, self.reader, self.encode)
            initialise(self.network, self.data, settings, self.reader, new=fresh)
        self._build()
        self._check(likeness(self._sample()))
        if self.validation:
            self._tell("validate")
            self.at.best = self._validate()
            self._log(0, self.at.best)
        if self.group.first:
            self._write_weights("start")
            self._write_weights("best")
        self._save()

    def _build(self) -> None:
        self.network.configure(self.settings)
        self.optimizer = create_optimizer(self.network, self.settings)
        self.base_rates = [group["lr"] for group in self.optimizer.param_groups]
        alone = Workers() if self.network.loss.separable else self.group
        self.gradient = BatchGradient(self.network, self.settings, alone)
        self.parameters = [p for p in self.network.parameters() if p.requires_grad]
        self._saved_at = time.monotonic()

    def _epoch(self) -> None:
        settings, at = self.settings, self.at
        order = epoch_order(self.data, settings, at.epoch)
        every = settings.negatives.every or len(order)
        updates = settings.epochs * math.ceil(len(order) / settings.batch)
        while at.done < len(order):
            part = at.done // every * every
            end = min(part + every, len(order))
            if at.mined_at != part:
                self._tell("mine", of=len(order))
                with memory_advice():
                    mined = mine(self.data, settings, order[part:end], at.epoch, self.encode, self.reader.rejected)
                self.mined, at.likeness = mined
                self._check(at.likeness)
                at.mined_at = part
                self._save()
            stretch = Stretch(at.epoch, order, part, end, self.mined)
            share = self.group if self.network.loss.separable else Workers()
            for batch in batches(self.data, self.reader, stretch, size=settings.batch, done=at.done, share=share):
                self._update(batch, updates)
                at.done += batch.size
                self._tell("train", of=len(order))
                if time.monotonic() - self._saved_at > self.save_seconds:
                    self._save()
        self._end_epoch()

    def _update(self, batch: Batch, updates: int) -> None:
        """One of the run's ``updates`` steps of the optimizer."""
        settings, at = self.settings, self.at
        factor = rate_factor(settings.schedule, at.epoch, at.update, updates)
        for group, rate in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad(set_to_none=True)
        sums = torch.zeros(4, dtype=torch.float64)
        if batch.tuples is not None:
            pairs = 1 + settings.negatives.count
            scale = 1 / {"sum": 1, "mean": batch.size, "pairs": batch.size * pairs}[settings.reduction]
            value = self.gradient(batch.photos, batch.tuples, scale)
            whole = self.network.loss.separable or self.group.first
            sums += torch.tensor([*value, len(batch.tuples) if whole else 0], dtype=torch.float64)
        self.group.sum_gradients(self.parameters)
        loss, terms, active, tuples = self.group.sum(sums).tolist()
        norm = torch.nn.utils.get_total_norm([p.grad for p in self.parameters if p.grad is not None])
        if not (math.isfinite(loss) and math.isfinite(float(norm))):
            raise TrainingError(
                f"the loss is {loss}, its gradient's norm {float(norm)}, in epoch {at.epoch + 1} after {at.done} "
                f"tuples: lower lr (now {factor * settings.lr:g}) or set clip; the last good state is in {self.to}"
            )
        if settings.clip and float(norm) > settings.clip:
            for parameter in self.parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(settings.clip / float(norm))
        self.optimizer.step()
        self.network.head.constrain()
        at.update += 1
        at.loss += loss
        at.terms += int(terms)
        at.active += int(active)
        at.tuples += int(tuples)

    def _end_epoch(self) -> None:
        settings, at = self.settings, self.at
        if not at.tuples:
            raise TrainingError(f"no tuple of epoch {at.epoch + 1} could be used: its photos cannot be read")
        at.epoch += 1
        validation = None
        self._check(likeness(self._sample()))
        if self.validation:
            self._tell("validate", of=at.done)
            validation = self._validate()
        better = validation is None or at.best is None or validation > at.best
        if better:
            at.best, at.best_epoch, at.since_best = validation, at.epoch, 0
            if self.group.first:
                self._write_weights("best")
        else:
            at.since_best += 1
        at.finished = at.epoch == settings.epochs or bool(settings.patience and at.since_best >= settings.patience)
        self._tell("epoch", of=at.done, validation=validation)
        self._log(at.epoch, validation)
        at.done, at.mined_at = 0, -1
        at.loss, at.terms, at.active, at.tuples = 0.0, 0, 0, 0
        self._save()

    # -- vectors of the network in training ----------------------------------------------------------

    def encode(self, views: Sequence[View], reader: ViewReader | None = None) -> NDArray[np.float32]:
        """Unit vectors ``(n, dim)`` without gradients; zero rows for photos that cannot be used."""
        reader = reader or self.reader
        mine_views = [views[i] for i in self.group.share(len(views))]
        rows = np.zeros((len(mine_views), self.network.head.dim), np.float32)
        with torch.no_grad(), memory_advice():
            for places, pixels in reader.shapes(mine_views):
                batch = torch.from_numpy(pixels).to(self.device)
                rows[places] = self.network(batch).float().cpu().numpy()
        reader.rejected = self.group.merge(reader.rejected)
        return self.group.gather_rows(rows, len(views))

    def _validate(self) -> float:
        assert self.validation is not None
        return self.validation.measure(lambda views: self.encode(views, self._validation_reader))

    def _sample(self) -> NDArray[np.float32]:
        """Vectors of a few photos of different clusters, for the check of collapse."""
        _, first = np.unique(self.data.clusters, return_index=True)
        chosen = np.random.default_rng(self.settings.seed).permutation(first)[:32]
        vectors = self.encode([View(i, "mild" if self.data.virtual[i] else "plain") for i in chosen.tolist()])
        usable: NDArray[np.float32] = vectors[np.linalg.norm(vectors, axis=1) > 0]
        return usable

    def _check(self, alike: float) -> None:
        """TrainingError when the network gives (nearly) one vector for everything."""
        self.at.likeness = alike
        if not math.isfinite(alike) or alike > ALIKE:
            raise TrainingError(
                f"collapse: the vectors of different photos have a mean inner product of {alike:.4f}, so the "
                f"network no longer tells photos apart; lower lr, use more or harder negatives, or a larger "
                f"margin. The last good state is in {self.to}"
            )

    # -- what is kept --------------------------------------------------------------------------------

    def _save(self) -> None:
        """The state to go on from. Only the first worker writes it, so this waits for no other."""
        if not self.group.first:
            return
        at, now = self.at, time.monotonic()
        at.rejected = {str(self.data.photos[i]): reason for i, reason in self.reader.rejected.items()}
        at.seconds += now - self._saved_at
        self._saved_at = now
        save_run(self.to, self.network, self.optimizer, self.data, self.mined, at, self.reader.rejected)

    def _write_weights(self, name: str) -> None:
        parts = ("backbone.", "head.")
        tensors = {k: v for k, v in self.network.state_dict().items() if k.startswith(parts)}
        write_state(self.to / f"{name}.safetensors", tensors, {"epoch": self.at.epoch})

    def _log(self, epoch: int, validation: float | None) -> None:
        at = self.at
        row = {
            "epoch": epoch,
            "tuples": at.tuples,
            "loss": at.loss / at.tuples if at.tuples else None,
            "active": at.active / at.terms if at.terms else None,
            "lr": self.optimizer.param_groups[0]["lr"],
            "validation": validation,
            "likeness": at.likeness,
            "rejected": len(self.reader.rejected),
            "seconds": round(at.seconds + time.monotonic() - self._saved_at, 1),
        }
        at.history.append(row)
        if not self.group.first:
            return
        write_log(self.to, at.history, tensorboard=self.tensorboard)

    def result(self, share: float) -> Descriptor:
        """The best weights with ``share`` of the starting ones, and the projection learned on the training pairs.

        After :meth:`run`; ``share`` 1 is the network as it started, for comparison.
        """
        start, _ = read_state(self.to / "start.safetensors")
        best, _ = read_state(self.to / "best.safetensors")
        trained = with_weights(self._start, averaged(start, best, share))
        if trained.projection is None or not self.settings.project:
            return trained
        return learn_projection(trained, self.data, self.settings, self.reader.rejected)

    def _finish(self) -> Descriptor:
        """The result and its card, saved by the first worker."""
        self._tell("finish")
        self.group.wait()
        trained = self.result(self.settings.average)
        if self.group.first:
            trained.save(self.to / "descriptor")
            card = run_card(
                trained,
                self.data,
                self.settings,
                validation=self.validation.name if self.validation else "none",
                best=(self.at.best_epoch, self.at.best),
                history=self.at.history,
                rejected=self.at.rejected,
                place=f"{self.group.count} process(es) on {self.device}",
            )
            (self.to / "card.md").write_text(card, encoding="utf-8")
        self.group.wait()
        return trained

    def _tell(self, stage: str, *, of: int = 0, validation: float | None = None) -> None:
        if self._progress is None or not self.group.first:
            return
        at = self.at
        self._progress(
            Progress(
                stage,
                min(at.epoch + (stage in ("mine", "train")), self.settings.epochs),
                self.settings.epochs,
                at.done,
                of,
                at.loss / at.tuples if at.tuples else math.nan,
                at.active / at.terms if at.terms else math.nan,
                validation,
                at.best,
                len(self.reader.rejected),
            )
        )
