"""Training numbers of the recipes that are named after papers, each with the words it comes from."""

from __future__ import annotations

import pytest

from reseen.descriptor.recipes import read_recipe
from reseen.training.settings import TrainingSettings

SIAMAC = [
    ("lr", 1e-3, "5.1: learning rate equal to 0.001"),
    ("schedule.kind", "step", "5.1: divided by 5 every 10 epochs"),
    ("schedule.every", 10, "5.1: divided by 5 every 10 epochs"),
    ("schedule.factor", 1 / 5, "5.1: divided by 5 every 10 epochs"),
    ("optimizer.kind", "sgd", "3.2: Stochastic Gradient Descent"),
    ("optimizer.momentum", 0.9, "5.1: momentum 0.9"),
    ("weight_decay", 5e-4, "5.1: weight decay 0.0005"),
    ("loss.kind", "contrastive", "3.2: contrastive loss"),
    ("loss.margin", 0.7, "5.1: parameter tau for contrastive loss 0.7"),
    ("batch", 5, "5.1: batch size of 5 training tuples"),
    ("views.longest", 362, "5.1: resized to a maximum 362 x 362"),
    ("epochs", 30, "5.1: at most 30 epochs"),
    ("reduction", "pairs", "published code: parDer divided by the number of pairs"),
    ("validation_negatives", 5, "5.1: on validation tuples; each of 1 query, 1 positive and 5 negatives"),
    ("pairs.share", 0.1, "5.1: 10% of the cluster size for clusters of 300 or less images"),
    ("pairs.most", 30, "5.1: or 30 images for larger clusters"),
    ("pairs.pool", 100, "5.1: k = 100 images with closest camera centers"),
    ("pairs.overlap", 0.2, "5.1: the inliers overlap threshold is t_i = 0.2"),
    ("pairs.scale_change", 1.5, "5.1: the scale change threshold t_s = 1.5"),
    ("pairs.candidates", 20, "5.1: we further add 20 images per cluster"),
    ("negatives.rule", "n2", "4.2: at most one image per cluster"),
    ("negatives.count", 5, "5.1: 5 negative images"),
    ("negatives.every", 2000, "5.1: roughly every 2,000 training queries"),
]
SIAMFV = [
    ("lr", 1e-3, "4.1"),
    ("weight_decay", 5e-4, "4.1"),
    ("optimizer.momentum", 0.5, "4.1"),
    ("loss.kind", "contrastive", "Eq. 8"),
    ("loss.margin", 0.8, "4.1: beta"),
    ("epochs", 30, "4.1"),
    ("tuples_per_epoch", 6000, "4.2: each epoch in the training cycle consists of 6000 iterations"),
    ("negatives.rule", "n1", "4.2: 5 of the closest non-matching examples"),
    ("negatives.count", 5, "4.2: 5 of the closest non-matching examples"),
    ("negatives.every", 2000, "4.2: re-mined after 2000 iterations"),
]
REMAP = [
    ("optimizer.kind", "sgd", "IV-B: Stochastic Gradient Descent (SGD) algorithm"),
    ("optimizer.momentum", 0.9, "IV-B: momentum 0.9"),
    ("lr", 1e-3, "IV-B: learning rate of 10^-3"),
    ("weight_decay", 5e-5, "IV-B: weight decay of 5 x 10^-5"),
    ("loss.kind", "triplet", "Eq. 2"),
    ("loss.form", "squared", "Eq. 2"),
    ("loss.margin", 0.1, "IV-B: the triplet loss margin is set to 0.1"),
    ("batch", 64, "IV-B: we update the model parameters after every 64 triplets"),
    ("reduction", "mean", "MatConvNet's update"),
    ("freeze_norm", True, "IV-B: Batch-normalization layers are merged into preceding convolutional layers"),
    ("pairs.rule", "random", "IV-A: we randomly select fifty image pairs from each class"),
    ("pairs.per_cluster", 50, "IV-A: we randomly select fifty image pairs from each class"),
    ("pairs.inliers", (5, 30), "IV-A: less than 5 ... greater than 30"),
    ("pairs.model", "affine", "not stated; a model that can have 5"),
    ("negatives.rule", "hardest", "IV-B: the closest non-matching (hard negative) example"),
    ("negatives.count", 1, "IV-B: forming a triplet"),
    ("negatives.every", 3000, "IV-B: i.e. after every 3000 triplets"),
]
GEM = [
    ("optimizer.kind", "adam", "5"),
    ("lr", 1e-6, "5"),
    ("schedule.kind", "exponential", "5: exp(-0.1 i)"),
    ("schedule.factor", 0.904837, "5: exp(-0.1 i)"),
    ("loss.margin", 0.85, "5: 0.85 for ResNet"),
    ("negatives.count", 5, "5"),
    ("tuples_per_epoch", 6000, "5: about 6,000 queries"),
    ("validation_negatives", 5, "published code: errorType batchmap"),
]
TABLE = {
    "siamac-vgg16": SIAMAC,
    "siamac-alexnet": SIAMAC,
    "siamfv-vgg16": SIAMFV,
    "siamspoc-vgg16": SIAMFV,
    "gem-resnet101": GEM,
    **{f"remap-{net}": REMAP for net in ("vgg16", "resnet101", "resnext101")},
    **dict.fromkeys(("dir-resnet101", "rmac-resnext101", "mac-resnext101", "fisher16-resnext101"), REMAP),
}


@pytest.mark.parametrize(
    ("recipe", "setting", "value", "source"),
    [(recipe, *row) for recipe, rows in TABLE.items() for row in rows],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_recipe_has_the_papers_number(recipe, setting, value, source):
    found = TrainingSettings.from_table(read_recipe(recipe).training)
    for part in setting.split("."):
        found = found[part] if isinstance(found, dict) else getattr(found, part)
    assert found == (pytest.approx(value) if isinstance(value, float) else value), source
