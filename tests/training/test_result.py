"""What a projection is learned on after training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reseen.photosets import class_folders, references
from reseen.training.result import learn_projection
from reseen.training.settings import TrainingSettings


@pytest.mark.parametrize(("most", "learned"), [(0, None), (9, 9)])
def test_as_many_pairs_as_the_recipe_says_are_learned_from(tiny_for, classes, monkeypatch, most, learned):
    descriptor = tiny_for(projection=[{"kind": "lw", "shrinkage": 0.5}], fit_pairs=most)
    data = class_folders(classes)
    pairs = np.stack([np.arange(len(data.photos)), np.roll(np.arange(len(data.photos)), 1)], 1)
    data = replace(data, pairs=np.concatenate([pairs, pairs[:, ::-1]]))
    seen = []
    fit = type(descriptor.projection).fit
    monkeypatch.setattr(
        type(descriptor.projection), "fit", lambda self, X, pairs: seen.append(len(pairs)) or fit(self, X, pairs)
    )
    settings = TrainingSettings.from_table(descriptor.recipe.training)
    assert learn_projection(descriptor, data, settings, {}).fitted
    assert seen == [learned or len(data.pairs)]


def test_virtual_photos_wait_in_files_that_are_gone_afterwards(tiny_for, classes, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    descriptor = tiny_for(projection=[{"kind": "lw", "shrinkage": 0.5}])
    photos = []
    fit = type(descriptor).fit

    def watched(self, given, pairs, *, seed):
        photos.extend(given)
        assert all(photo.is_file() for photo in given)
        return fit(self, given, pairs, seed=seed)

    monkeypatch.setattr(type(descriptor), "fit", watched)
    settings = TrainingSettings.from_table(descriptor.recipe.training)
    assert learn_projection(descriptor, references(classes), settings, {}).fitted
    made = [photo for photo in photos if photo.suffix == ".jpg"]
    assert made and not any(photo.exists() for photo in made)
