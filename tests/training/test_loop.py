from __future__ import annotations

import csv
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from reseen.errors import TrainingError
from reseen.photosets import class_folders, join, references
from reseen.photosets.lists import tuples_file
from reseen.training import Trainer, TrainingSettings
from reseen.training.loop import Progress
from reseen.training.network import Network
from reseen.training.settings import Negatives
from reseen.training.views import View


def weights(descriptor) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in descriptor.backbone.parameters()])


def test_a_run_learns_and_leaves_everything(tiny_for, classes, tmp_path):
    seen: list[Progress] = []
    start = tiny_for(epochs=4)
    got = Trainer(start, class_folders(classes), tmp_path / "run", progress=seen.append).run()
    assert not torch.equal(weights(got), weights(start))
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert float(rows[-1]["loss"]) < float(rows[1]["loss"])
    best = max(float(row["validation"]) for row in rows)
    assert seen[-1].best == pytest.approx(best)
    assert {p.stage for p in seen} == {"start", "mine", "train", "validate", "epoch", "finish"}
    card = (tmp_path / "run" / "card.md").read_text()
    assert "/classes: 24 photos" in card
    assert got.fingerprint in card
    assert sorted(p.name for p in (tmp_path / "run" / "descriptor").iterdir()) == [
        "settings.json",
        "weights.safetensors",
    ]


def test_statistics_of_batch_norm_stay(tiny_for, classes, tmp_path):
    start = tiny_for(epochs=1, validation=0)
    got = Trainer(start, class_folders(classes), tmp_path / "run").run()
    for name, value in start.backbone.state_dict().items():
        same = torch.equal(value, got.backbone.state_dict()[name])
        assert same == ("running" in name or "num_batches" in name), name


def test_virtual_photos_and_folders_train_together_with_in_batch_negatives(tiny_for, classes, tmp_path):
    data = join([class_folders(classes), references(classes / "c0")])
    start = tiny_for(
        loss={"kind": "info-nce", "temperature": 0.1},
        negatives={"rule": "none"},
        epochs=1,
        photos_per_pass=3,
        validation=0,
    )
    got = Trainer(start, data, tmp_path / "run").run()
    assert not torch.equal(weights(got), weights(start))


def test_a_stopped_run_goes_on_exactly(tiny_for, classes, tmp_path):
    options = {"epochs": 3, "views": {"flip": 0.5, "light": 0.2}, "negatives": {"rule": "n2", "count": 2, "every": 8}}
    whole = Trainer(tiny_for(**options), class_folders(classes), tmp_path / "whole").run()

    class StopError(Exception):
        pass

    ticks = 0

    def stop(event: Progress) -> None:
        nonlocal ticks
        ticks += event.stage == "train"
        if ticks in (3, 11):
            ticks += 1
            raise StopError

    for _ in range(2):
        with pytest.raises(StopError):
            Trainer(tiny_for(**options), class_folders(classes), tmp_path / "cut", progress=stop, save_seconds=0).run()
    resumed = Trainer(tiny_for(**options), class_folders(classes), tmp_path / "cut", progress=stop).run()
    assert torch.equal(weights(resumed), weights(whole))
    logs = [(tmp_path / n / "log.csv").read_text().splitlines() for n in ("whole", "cut")]
    assert [row.rsplit(",", 1)[0] for row in logs[0]] == [row.rsplit(",", 1)[0] for row in logs[1]]


def test_other_settings_are_refused_with_the_difference(tiny_for, classes, tmp_path):
    Trainer(tiny_for(epochs=1), class_folders(classes), tmp_path / "run").run()
    with pytest.raises(TrainingError, match=r"training\.lr: 0\.02 -> 0\.5"):
        Trainer(tiny_for(epochs=1, lr=0.5), class_folders(classes), tmp_path / "run").run()


def test_a_folder_of_other_things_is_not_trained_to(tiny_for, classes, tmp_path):
    (tmp_path / "x.txt").write_text("mine")
    with pytest.raises(TrainingError, match="holds no run"):
        Trainer(tiny_for(), class_folders(classes), tmp_path).run()


def test_an_unreadable_photo_is_skipped_and_counted(tiny_for, classes, tmp_path):
    bad = classes / "c1" / "2.png"
    bad.write_bytes(bad.read_bytes()[:100])
    got = Trainer(tiny_for(epochs=1, validation=0), class_folders(classes), tmp_path / "run").run()
    card = (tmp_path / "run" / "card.md").read_text()
    assert "cannot be used (1)" in card
    assert str(bad) in card
    assert torch.isfinite(weights(got)).all()


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tiny_for, classes, tmp_path):
    with pytest.raises(TrainingError, match="lower lr"):
        Trainer(tiny_for(lr=1e30, validation=0), class_folders(classes), tmp_path / "run").run()
    from reseen.training.checkpoints import read_state

    tensors, values = read_state(tmp_path / "run" / "state.safetensors")
    assert values["done"] == 0
    assert all(torch.isfinite(t).all() for t in tensors.values() if t.is_floating_point())


def test_collapse_is_explained(tiny_for, classes, tmp_path):
    start = tiny_for()
    with torch.no_grad():
        list(start.backbone.net.values())[-1][0].weight.zero_()
        list(start.backbone.net.values())[-1][0].bias.fill_(1)
    with pytest.raises(TrainingError, match="collapse"):
        Trainer(start, class_folders(classes), tmp_path / "run").run()


def test_classes_of_one_photo_alone_cannot_be_trained_on(tiny_for, classes, tmp_path):
    for photo in classes.glob("*/[123].png"):
        photo.unlink()
    with pytest.raises(TrainingError, match="no two photos match"):
        Trainer(tiny_for(validation=0), class_folders(classes), tmp_path / "run").run()


def test_no_negatives_is_said(tiny_for, classes, tmp_path):
    alone = class_folders(classes)
    one = alone.keep(alone.clusters == 0)
    with pytest.raises(TrainingError, match="has no negatives"):
        Trainer(tiny_for(validation=0), one, tmp_path / "run").run()


def test_patience_and_averaging_with_the_start(tiny_for, classes, tmp_path):
    options = {"epochs": 6, "patience": 1, "lr": 1e-12, "average": 0.5}
    start = tiny_for(**options)
    Trainer(start, class_folders(classes), tmp_path / "run").run()
    assert len((tmp_path / "run" / "log.csv").read_text().splitlines()) == 3
    plain = Trainer(tiny_for(epochs=1, validation=0), class_folders(classes), tmp_path / "a").run()
    half = Trainer(tiny_for(epochs=1, validation=0, average=0.5), class_folders(classes), tmp_path / "b").run()
    torch.testing.assert_close(weights(half), (weights(plain) + weights(start)) / 2)


def test_results_of_any_share_of_the_start(tiny_for, classes, tmp_path):
    start = tiny_for(epochs=1, validation=0)
    trainer = Trainer(start, class_folders(classes), tmp_path / "run")
    trained = trainer.run()
    assert torch.equal(weights(trainer.result(1.0)), weights(start))
    assert torch.equal(weights(trainer.result(0.0)), weights(trained))


def test_out_of_memory_is_explained_and_the_run_goes_on(tiny_for, classes, tmp_path, monkeypatch):
    options = {"epochs": 2, "negatives": {"rule": "n1", "count": 2, "source": "batch"}}
    whole = Trainer(tiny_for(**options), class_folders(classes), tmp_path / "whole").run()
    forward, calls = Network.forward, 0

    def full(network: Network, pixels: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls == 9:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(network, pixels)

    monkeypatch.setattr(Network, "forward", full)
    with pytest.raises(TrainingError, match="lower tuples_per_pass"):
        Trainer(tiny_for(**options), class_folders(classes), tmp_path / "run", save_seconds=0).run()
    monkeypatch.undo()
    resumed = Trainer(tiny_for(**options), class_folders(classes), tmp_path / "run").run()
    assert torch.equal(weights(resumed), weights(whole))


def test_a_class_of_one_photo_serves_as_a_negative(tiny_for, classes, tmp_path):
    for photo in (classes / "c0").glob("[123].png"):
        photo.unlink()
    negatives = {"rule": "n1", "count": 28}
    trainer = Trainer(tiny_for(epochs=1, validation=0, negatives=negatives), class_folders(classes), tmp_path / "run")
    trainer.run()
    assert 0 not in trainer.data.clusters[trainer.data.pairs]
    assert 0 in trainer.data.clusters[trainer.mined]


def test_tensorboard_gets_a_row_per_epoch(tiny_for, classes, tmp_path):
    pytest.importorskip("tensorboard")
    Trainer(tiny_for(epochs=2, validation=0), class_folders(classes), tmp_path / "run", tensorboard=True).run()
    assert len(list((tmp_path / "run" / "tensorboard").glob("events*"))) == 2


def test_the_projection_is_learned_afterwards(tiny_for, classes, tmp_path):
    start = tiny_for(projection=[{"kind": "pca", "dim": 5}], epochs=1)
    got = Trainer(start, class_folders(classes), tmp_path / "run").run()
    assert got.dim == 5
    photo = next(classes.glob("*/*.png"))
    assert np.linalg.norm(got.encode([photo])) == pytest.approx(1, abs=1e-5)


def test_a_projection_that_would_never_be_learned_is_refused_at_once(tiny_for, classes, tmp_path):
    start = tiny_for(projection=[{"kind": "pca", "dim": 5}], project=False)
    with pytest.raises(TrainingError, match="project = false"):
        Trainer(start, class_folders(classes), tmp_path / "run").run()
    assert not (tmp_path / "run").exists()


def test_progress_and_rates_follow_the_schedule(tiny_for, classes, tmp_path):
    start = tiny_for(epochs=4, schedule={"kind": "step", "every": 2, "factor": 0.2}, validation=0)
    Trainer(start, class_folders(classes), tmp_path / "run").run()
    rows = list(csv.DictReader((tmp_path / "run" / "log.csv").open()))
    assert [float(row["lr"]) for row in rows] == pytest.approx([0.02, 0.02, 0.004, 0.004])


WORKER = """
import sys
import time
from pathlib import Path
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from conftest import tiny_descriptor
from reseen.training import Trainer
from reseen.photosets import class_folders
from reseen.training.distributed import workers
with workers(torch.device("cpu")) as group:
    Trainer(tiny_descriptor(**{options!r}), class_folders(Path({classes!r})), Path({to!r}),
            group=group, workers=1, save_seconds={save} if group.first else 60).run()
"""


def script(tmp_path: Path, classes: Path, to: Path, save: float = 60, **options) -> Path:
    text = WORKER.format(tests=str(Path(__file__).parent), options=options, classes=str(classes), to=str(to), save=save)
    file = tmp_path / f"{to.name}.py"
    file.write_text(text)
    return file


@pytest.mark.parametrize(
    ("loss", "negatives"),
    [
        ("contrastive", {"rule": "n2", "count": 2, "every": 8}),
        ("triplet", {"rule": "hardest", "count": 2, "source": "batch"}),
    ],
)
def test_two_processes_equal_one(tiny_for, classes, tmp_path, loss, negatives):
    options = {"epochs": 2, "loss": {"kind": loss}, "validation": 0.25, "negatives": negatives}
    one = Trainer(tiny_for(**options), class_folders(classes), tmp_path / "one").run()
    file = script(tmp_path, classes, tmp_path / "two", save=0, **options)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(file)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    from reseen.training.checkpoints import read_state

    two, _ = read_state(tmp_path / "two" / "best.safetensors")
    for name, value in one.backbone.state_dict().items():
        torch.testing.assert_close(two[f"backbone.{name}"], value, rtol=1e-4, atol=1e-5)
    rows = [list(csv.DictReader((tmp_path / n / "log.csv").open())) for n in ("one", "two")]
    for a, b in zip(*rows, strict=True):
        assert a["active"] == b["active"]
        assert float(a["loss"] or 0) == pytest.approx(float(b["loss"] or 0), rel=1e-3)


def test_a_killed_run_goes_on_exactly(tiny_for, classes, tmp_path):
    options = {"epochs": 12, "validation": 0.25}
    file = script(tmp_path, classes, tmp_path / "killed", save=0, **options)
    process = subprocess.Popen([sys.executable, str(file)], env={**os.environ, "OMP_NUM_THREADS": "2"})
    log = tmp_path / "killed" / "log.csv"
    try:
        while process.poll() is None and not (log.is_file() and len(log.read_text().splitlines()) > 3):
            time.sleep(0.02)
        assert process.poll() is None, "the run ended before it could be killed"
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    resumed = Trainer(tiny_for(**options), class_folders(classes), tmp_path / "killed").run()
    whole = Trainer(tiny_for(**options), class_folders(classes), tmp_path / "whole").run()
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=0, atol=1e-6)


def test_a_loss_without_negatives_is_refused_before_anything_is_made(tiny_for, classes, tmp_path):
    from reseen.errors import RecipeError

    for kind in ("contrastive", "triplet"):
        start = tiny_for(loss={"kind": kind})
        settings = TrainingSettings(loss={"kind": kind}, negatives=Negatives(rule="none"))
        with pytest.raises(RecipeError, match="learns from negatives"):
            Trainer(start, class_folders(classes), tmp_path / "run", settings=settings)
    assert not (tmp_path / "run").exists()


def test_negatives_are_mined_again_with_the_network_as_it_is(tiny_for, classes, tmp_path, monkeypatch):
    """Three times an epoch of 24 pairs; each time with the vectors of the weights that the network has then."""
    from reseen.training import loop, tuples

    seen = []
    real = tuples.mine

    def watched(data, settings, rows, epoch, encode, rejected):
        vectors = encode([View(0), View(5)])
        with torch.no_grad():
            pixels = torch.from_numpy(trainer.reader.read(View(5))[None])
            now = trainer.network(pixels).numpy()[0]
        got = {}

        def recorded(views):
            got["views"], got["rows"] = views, encode(views)
            return got["rows"]

        found = real(data, settings, rows, epoch, recorded, rejected)
        mined = got["rows"][got["views"].index(View(5))]
        seen.append((epoch, len(rows), vectors[1], now, mined))
        return found

    monkeypatch.setattr(loop, "mine", watched)
    options = {"pairs": {"rule": "random", "per_cluster": 3}, "negatives": {"rule": "n1", "count": 2, "every": 8}}
    trainer = Trainer(tiny_for(epochs=2, validation=0, **options), class_folders(classes), tmp_path / "run")
    trainer.run()
    assert [(epoch, size) for epoch, size, *_ in seen] == [(0, 8)] * 3 + [(1, 8)] * 3
    for _, _, vector, now, mined in seen:
        np.testing.assert_allclose(vector, now, atol=1e-5)
        np.testing.assert_allclose(mined, now, atol=1e-5)
    for (*_, before, _), (*_, after, _) in itertools.pairwise(seen):
        assert np.abs(before - after).max() > 1e-6


@pytest.mark.parametrize("loss", [{"kind": "contrastive", "margin": 1.9}, {"kind": "triplet", "margin": 1.9}])
def test_the_reduction_scales_the_step(tiny_for, classes, tmp_path, loss):
    """One update of plain SGD on 4 tuples with 2 negatives each."""
    steps = {}
    for reduction in ("sum", "mean", "pairs"):
        start = tiny_for(
            epochs=1, batch=4, tuples_per_epoch=4, validation=0, weight_decay=0.0, lr=1e-3, loss=loss,
            reduction=reduction, optimizer={"kind": "sgd"}, negatives={"rule": "n1", "count": 2},
        )  # fmt: skip
        got = Trainer(start, class_folders(classes), tmp_path / reduction).run()
        steps[reduction] = weights(got) - weights(start)
    assert steps["sum"].abs().max() > 1e-5
    torch.testing.assert_close(steps["mean"] * 4, steps["sum"], rtol=2e-2, atol=2e-6)
    torch.testing.assert_close(steps["pairs"] * 12, steps["sum"], rtol=5e-2, atol=5e-6)


def test_the_losses_settings_reach_the_loss(tiny_for, classes, tmp_path):
    for number, table in enumerate(
        ({"kind": "contrastive", "margin": 1.3}, {"kind": "triplet", "margin": 0.3, "form": "dot"})
    ):
        trainer = Trainer(tiny_for(epochs=1, validation=0, loss=table), class_folders(classes), tmp_path / str(number))
        trainer.run()
        assert {key: getattr(trainer.network.loss, key) for key in table if key != "kind"} == {
            key: value for key, value in table.items() if key != "kind"
        }


def test_what_a_head_must_keep_to_is_kept_after_every_update(tiny_for, classes, tmp_path, monkeypatch):
    """REMAP's weights of regions stay non-negative, however large the steps."""
    from reseen.heads.remap import REMAP

    lowest = []
    update = Trainer._update

    def watched(self, batch, updates):
        update(self, batch, updates)
        lowest.append(float(self.network.head.alpha.min()))

    monkeypatch.setattr(Trainer, "_update", watched)
    options = {"views": {"exact": [64, 48]}, "lr": 0.2, "lr_head": 200.0, "weight_decay": 0.0, "batch": 8}
    start = tiny_for(head={"kind": "remap", "weighting": "ones"}, epochs=1, validation=0, **options)
    got = Trainer(start, class_folders(classes), tmp_path / "run").run()
    assert min(lowest) == 0 and float(got.head.alpha.min()) == 0
    assert float(got.head.alpha.max()) > 0 and isinstance(got.head, REMAP)


def test_the_recipes_validation_is_followed(tiny_for, classes, tmp_path):
    """Where pairs are given a whole cluster is no match, and positives are ranked among mined negatives when asked."""
    lines = [
        "query,positive",
        *(f"c{c}/0.png,c{c}/1.png" for c in range(8)),
        *(f"c{c}/2.png,c{c}/1.png" for c in range(8)),
    ]
    (classes / "pairs.csv").write_text("\n".join(lines))
    data = tuples_file(classes / "pairs.csv")
    trainer = Trainer(tiny_for(validation_negatives=2), data, tmp_path / "run")
    assert [len(rows) for rows in trainer.validation.positives] == [1] * 4
    assert trainer.validation.negatives == 2
    assert Trainer(tiny_for(), data, tmp_path / "other").validation.negatives == 0


def test_settings_are_checked():
    from reseen.errors import RecipeError

    for table, message in [
        ({"lrr": 1}, "does not know 'lrr'"),
        ({"lr": 0}, "above 0"),
        ({"views": {"sides": 3}}, "training.views"),
        ({"negatives": {"rule": "n9"}}, "negatives.rule"),
        ({"average": 1.5}, "average"),
        ({"loss": {"margin": 1}}, "kind"),
        ({"loss": {"kind": "contrastive"}, "negatives": {"rule": "none"}}, "'contrastive' learns from negatives"),
        ({"loss": {"kind": "triplet"}, "negatives": {"rule": "none"}}, "'triplet' learns from negatives"),
        ({"loss": {"kind": "triplet"}, "negatives": {"rule": "n2", "count": 0}}, "count = 0 give none"),
        ({"pairs": {"inliers": [5, 30], "model": "fundamental"}}, "least above 7"),
        ({"pairs": {"inliers": [30, 5]}}, r"\[30, 5\] is not"),
        ({"pairs": {"model": "plane"}}, "pairs.model"),
    ]:
        with pytest.raises(RecipeError, match=message):
            TrainingSettings.from_table(table)
    settings = TrainingSettings.from_table({"views": {"exact": [64, 48]}})
    assert settings.views.exact == (64, 48)
    assert json.loads(json.dumps(settings.to_dict()))["loss"] == {"kind": "contrastive"}
    assert math.isclose(settings.lr, 1e-3)
