"""Recipes that are named after papers: each number beside the words that it comes from.

The texts are not part of the project. Where ``RESEEN_PAPERS`` names a folder of them (else ``../shared/papers``), the
words are looked up there.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from reseen.descriptor.recipes import list_recipes, read_recipe
from reseen.training.museum.stages import Stages
from reseen.training.settings import TrainingSettings

FOLDER = Path(os.environ.get("RESEEN_PAPERS", Path(__file__).resolve().parents[2] / "shared" / "papers"))


class Stated(NamedTuple):
    """A setting, its value, and where it is written: ``words`` of a paper, parts left out as ``...``."""

    setting: str
    value: Any
    paper: str
    section: str
    words: str


def siamac(setting: str, value: Any, section: str, words: str) -> Stated:
    return Stated(setting, value, "siamac", section, words)


def siamfv(setting: str, value: Any, section: str, words: str) -> Stated:
    return Stated(setting, value, "siam-fv", section, words)


def remap(setting: str, value: Any, section: str, words: str) -> Stated:
    return Stated(setting, value, "remap", section, words)


def hoang(setting: str, value: Any, section: str, words: str) -> Stated:
    return Stated(setting, value, "selective-conv-features", section, words)


def kohl(setting: str, value: Any, section: str, words: str) -> Stated:
    return Stated(setting, value, "instance-search-fcn", section, words)


def elsewhere(setting: str, value: Any, source: str) -> Stated:
    """Published code, or a paper that is not among the five."""
    return Stated(setting, value, "", source, "")


# siaMAC
SIAMAC_PHOTOS = [siamac("images.longest", 1024, "5.2", "images fed into the CNN is limited to 1024")]
SIAMAC_MAC = [
    siamac("head.kind", "mac", "3.1", "simply constructed by max-pooling over all dimensions per feature map"),
    *SIAMAC_PHOTOS,
]
SIAMAC_RMAC = [
    siamac("head.kind", "rmac", "5.3", "extracting MAC from multiple sub-windows and then aggregating them"),
    siamac("head.levels", 3, "5.3", "R-MAC representation [25] with regions of three different scales"),
    elsewhere("head.whole", True, "published code: the whole map is one more region"),
    *SIAMAC_PHOTOS,
]
SIAMAC_LW = [
    siamac("projection.0.kind", "lw", "Table 2", "they are always accompanied by Lw"),
]
SIAMAC_LW_ALL = [*SIAMAC_LW, siamac("projection.0.dim", None, "Table 1", "No dimensionality reduction is performed")]
SIAMAC_TRAINING = [
    siamac("training.lr", 1e-3, "5.1", "learning rate equal to 0.001"),
    siamac("training.schedule.kind", "step", "5.1", "which is divided by 5 ... every 10 ... epochs"),
    siamac("training.schedule.every", 10, "5.1", "every 10 ... epochs, momentum"),
    siamac("training.schedule.factor", 1 / 5, "5.1", "which is divided by 5"),
    siamac("training.optimizer.kind", "sgd", "3.2", "Stochastic Gradient Descent (SGD)"),
    siamac("training.optimizer.momentum", 0.9, "5.1", "epochs, momentum 0.9"),
    siamac("training.weight_decay", 5e-4, "5.1", "weight decay 0.0005"),
    siamac("training.loss.kind", "contrastive", "3.2", "We employ the contrastive loss"),
    siamac("training.loss.margin", 0.7, "5.1", "for contrastive loss 0.7"),
    siamac("training.batch", 5, "5.1", "batch size of 5 ... training tuples"),
    siamac("training.views.longest", 362, "5.1", "All training images are resized to a maximum 362"),
    siamac("training.epochs", 30, "5.1", "Training is done for at most 30"),
    elsewhere("training.reduction", "pairs", "published code: parDer divided by the number of pairs"),
    siamac("training.validation_negatives", 5, "5.1", "Each training and validation tuple contains ... 5 ... negative"),
    siamac("training.pairs.share", 0.1, "5.1", "training queries per cluster is 10% of the cluster size"),
    siamac("training.pairs.most", 30, "5.1", "for clusters of 300 or less images, or 30 images for larger clusters"),
    siamac("training.pairs.pool", 100, "5.1", "pool of candidate positives consists of ... 100 ... closest camera"),
    siamac("training.pairs.overlap", 0.2, "5.1", "the inliers overlap threshold is ti=0.2"),
    siamac("training.pairs.scale_change", 1.5, "5.1", "and the scale change threshold ts=1.5"),
    siamac("training.pairs.candidates", 20, "5.1", "we further add 20 images per cluster"),
    siamac("training.negatives.rule", "n2", "4.2", "the same criterion is used, but at most one image per cluster"),
    siamac("training.negatives.count", 5, "5.1", "tuple contains ... 5 ... negative images"),
    siamac("training.negatives.every", 2000, "5.1", "re-mined 3 ... times per epoch, i.e. roughly every 2,000"),
]
SIAMAC_VGG = [siamac("backbone.name", "vgg16", "1", "AlexNet [16] and VGG [42]")]
SIAMAC_ALEX = [siamac("backbone.name", "alexnet", "1", "AlexNet [16] and VGG [42]")]
OUTPUT_OF = "the last convolutional layer is followed by a MAC layer"
LAST_VGG = [siamac("backbone.layers", ("relu5_3",), "3.2", OUTPUT_OF)]
LAST_ALEX = [siamac("backbone.layers", ("relu5",), "3.2", OUTPUT_OF)]

# SIAM-FV
SIAMFV_SHARED = [
    siamfv("backbone.name", "vgg16", "2.1", "the same structure as the VGG-16"),
    siamfv("projection.0.kind", "pca", "4.3", "we have employed PCA as our choice for dimensionality reduction"),
    siamfv("projection.0.dim", 512, "4.1", "reducing dimensionalities to: 128D, 256D and 512D"),
    siamfv("training.lr", 1e-3, "4.1", "learning rate equal to 0.001"),
    siamfv("training.weight_decay", 5e-4, "4.1", "weight decay 0.0005"),
    siamfv("training.optimizer.kind", "sgd", "1.2", "stochastic gradient descent on the contrastive loss"),
    siamfv("training.optimizer.momentum", 0.5, "4.1", "weight decay 0.0005 and momentum 0.5"),
    siamfv("training.loss.kind", "contrastive", "3", "we describe the contrastive loss"),
    siamfv("training.loss.margin", 0.8, "4.1", r"contrastive loss margin parameter was set to $\beta = 0.8$"),
    siamfv("training.epochs", 30, "4.1", "Training is performed to at most 30 epochs"),
    siamfv("training.tuples_per_epoch", 6000, "4.2", "each epoch in the training cycle consists of 6000 iterations"),
    siamfv("training.batch", 1, "4.2", "2000 matching pairs ... re-mined after 2000 iterations"),
    siamfv("training.negatives.rule", "n1", "4.2", "5 of the closest non-matching examples to the query are used"),
    siamfv("training.negatives.count", 5, "4.2", "5 closest non-matching examples are then chosen"),
    siamfv("training.negatives.every", 2000, "4.2", "This set of 12K pairs will be re-mined after 2000 iterations"),
    elsewhere("training.reduction", "sum", "Eq. 8 is of one pair"),
    elsewhere("training.views.longest", 362, "siaMAC, whose training it follows"),
]
SIAMFV = [
    siamfv(
        "head.kind", "fisher", "1.2", "Siamese deep net that aggregates CNN-based local descriptors using the Fisher"
    ),
    siamfv("head.k", 8, "4.1", "8 clusters was used for the Fisher vector GMM model"),
    siamfv("backbone.layers", ("conv5_3",), "4.1", "the max-pooling and ReLU layer at the final convolution layer was"),
    *SIAMFV_SHARED,
]
SIAMSPOC = [
    siamfv("head.kind", "spoc", "1.1", "We also consider an alternative method of sum-pooling"),
    elsewhere("backbone.layers", ("relu5_3",), "as siaMAC's pooling"),
    *SIAMFV_SHARED,
]

# REMAP
REMAP_SHARED = [
    remap("images.exact", (1024, 768), "IV-B", "The images are resized to $1024 \\times 768$ pixels before passing"),
    remap("images.crop", "activations", "IV-C", "query images using the cropped activations method"),
    remap("scales.factors", (1.0, 1.25), "IV-E", "images of sizes $1024 \\times 768$ and $1280 \\times 960$ pixels"),
    remap("scales.weights", (2.0, 1.4), "Eq. 3", "X_m = (2 \\times X_1) + (1.4 \\times X_2)"),
    remap("training.optimizer.kind", "sgd", "IV-B", "performed by the Stochastic Gradient Descent (SGD) algorithm"),
    remap("training.optimizer.momentum", 0.9, "IV-B", "(SGD) algorithm with momentum 0.9"),
    remap("training.lr", 1e-3, "IV-B", "learning rate of $10^{-3}$"),
    remap("training.weight_decay", 5e-5, "IV-B", r"weight decay of $5 \times 10^{-5}$"),
    remap("training.loss.kind", "triplet", "IV-B", "fine-tuned on Landmarks-retrieval dataset with triplet loss"),
    remap("training.loss.form", "squared", "Eq. 2", "th + ||p_q - p_m||^2 - ||p_q - p_n||^2"),
    remap("training.loss.margin", 0.1, "IV-B", "The triplet loss margin is set to 0.1"),
    remap("training.batch", 64, "IV-B", "we update the model parameters after every 64 triplets"),
    remap("training.tuples_per_pass", 1, "IV-B", "we could only fit one triplet at a time"),
    elsewhere("training.reduction", "mean", "MatConvNet's update"),
    remap("training.freeze_norm", True, "IV-B", "Batch-normalization layers are merged into preceding convolutional"),
    remap("training.pairs.rule", "random", "IV-A", "we randomly select fifty image pairs from each class"),
    remap("training.pairs.per_cluster", 50, "IV-A", "we randomly select fifty image pairs from each class"),
    remap(
        "training.pairs.inliers", (5, 30), "IV-A", "inliers are less than 5 ... the number of inliers greater than 30"
    ),
    elsewhere("training.pairs.model", "affine", "not stated; a model that can have 5"),
    remap("training.negatives.rule", "hardest", "IV-B", "the closest non-matching (hard negative) example is then"),
    remap("training.negatives.count", 1, "IV-B", "forming a triplet, consisting of the following"),
    remap("training.negatives.every", 3000, "IV-B", "remined once per group, i.e. after every 3000 triplets"),
]
REMAP = [
    remap("head.kind", "remap", "III", "Our descriptor is called REMAP"),
    remap("head.levels", 4, "Table I", "(S) ... 4 40 93.3 76.1 69.3"),
    remap("head.weighting", "kl", "III-B", "are used to initialize the ROI weight vector a"),
    remap("head.train_alpha", True, "III-B", "with weights that can be learned using stochastic gradient descent"),
    remap("head.normalise", False, "III-C", "concatenated together into a high-dimensional vector ... pass ... fully"),
    *REMAP_SHARED,
]
TWO_LAYERS = "we use the combination of the last two convolutions layers (layer 1+2)"
REMAP_RESNET = [remap("backbone.layers", ("layer4.2", "layer4.1"), "III-C", TWO_LAYERS)]
REMAP_VGG = [remap("backbone.layers", ("relu5_3", "relu5_2"), "III-C", TWO_LAYERS)]
RESNEXT = [
    remap("backbone.name", "resnext101", "IV-F", "added to the last convolutional layer of the ResNeXt101"),
    remap("backbone.layers", ("layer4.2",), "IV-F", "added to the last convolutional layer of the ResNeXt101"),
]
NETWORKS = "VGG16, ResNet101 and ResNeXt101 (all pre-trained on ImageNet)"

# selective deep convolutional features
SELECTIVE = [
    hoang("images.longest", 1024, "5.1", "All images are resized so that the maximum dimension is 1024"),
    hoang("head.kind", "selective", "3.2", "Selective features"),
    hoang("head.mask", "max", "5.2.1", "provides the best performance, slightly better than"),
    hoang("head.embedding", "temb", "5.2.1", r"we choose $\mathcal{M}_{*} + \phi_{\Delta} + \psi_d$ as our default"),
    hoang("head.aggregation", "democratic", "5.2.1", "the democratic pooling [21] clearly outperforms sum/average"),
    hoang("projection.0.kind", "rn", "4.4", "Rotation normalization and dimension reduction"),
    elsewhere("projection.0.directions", 1024, "published code"),
    hoang("projection.0.dropped", 128, "Table 2", r"T-emb [21] 64 68 $d \times ... C ... - 128 = 4224$"),
    hoang("projection.1.kind", "power", "4.4", "Power-law normalization (PN)"),
    hoang("projection.1.exponent", 0.5, "4.4", r"we set $\alpha = 0.5$ in our later experiments"),
]
SELECTIVE_VGG = [
    hoang("backbone.name", "vgg16", "5.1", "the pretrained VGG16"),
    hoang("backbone.layers", ("pool5",), "3.3", "extracted from pool5 layer of the pre-trained VGG"),
]
TABLE_4 = "512-D 1024-D 2048-D 4096-D 8064-D ... PCA ... 32 64 64 64 128 ... 20 18 34 66 64"


def sizes(d: int, k: int) -> list[Stated]:
    return [hoang("head.d", d, "Table 4", TABLE_4), hoang("head.k", k, "Table 4", TABLE_4)]


# instance search with fully convolutional networks
MUSEUM = [
    kohl("images.aspect", 2.0, "3.4.1", "we use a maximal aspect ratio of 2.0"),
    kohl("images.fill", "noise", "3.4.1", "introducing uniform random noise on the smaller side"),
    kohl("head.kind", "instance", "3.4.2", "The locations with the top k maximal activations will form the descriptor"),
    kohl("head.places", 4, "3.4.2", "regions with highest maximal activation to be $k = 4$"),
    kohl("head.dim", 2048, "4.4", "This network outputs a descriptor with 2048 dimensions"),
    kohl("stages.classifier.rotation", 180.0, "3.1.1", "Rotation: any angle is chosen with the same probability"),
    kohl("stages.classifier.sides", (224,), "4.4", "the expected size of the network at"),
    kohl("stages.fcn.aspect", 2.0, "3.4.1", "we use a maximal aspect ratio of 2.0"),
    kohl("stages.siamese.margin", 0.1, "3.2.1", "this margin is set to a value of $m = 0.1$"),
    kohl("stages.regions.margin", 0.1, "3.4.2", "The margin of the triplet loss is $m = 0.1$"),
    kohl("stages.regions.alpha", 1.0, "3.4.2", r"regularization hyper-parameter $\alpha = 1.0$"),
    kohl("stages.siamese.warm", 2, "3.2.3", "semi-hard triplet selection for the first two passes over the dataset"),
    kohl("stages.regions.warm", 2, "3.2.3", "semi-hard triplet selection for the first two passes over the dataset"),
    *(elsewhere(f"stages.{part}.rotation", 45.0, "published code") for part in ("fcn", "siamese", "regions")),
    *(elsewhere(f"stages.{part}.momentum", 0.9, "published code") for part in ("classifier", "fcn", "siamese")),
    *(elsewhere(f"stages.{part}.epochs", 50, "published code") for part in ("classifier", "fcn")),
    *(elsewhere(f"stages.{part}.at", (0.6,), "published code: epoch 30") for part in ("classifier", "fcn")),
    *(elsewhere(f"stages.{part}.epochs", 20, "published code") for part in ("siamese", "regions")),
    *(elsewhere(f"stages.{part}.at", (), "published code") for part in ("siamese", "regions")),
    *(elsewhere(f"stages.{part}.batch", 32, "published code") for part in ("classifier", "fcn")),
    *(elsewhere(f"stages.{part}.batch", 64, "published code") for part in ("siamese", "regions")),
    *(elsewhere(f"stages.{part}.decay", 5e-4, "published code") for part in ("classifier", "fcn", "siamese")),
    elsewhere("stages.classifier.rate", 1e-2, "published code"),
    elsewhere("stages.fcn.rate", 1e-3, "published code"),
    elsewhere("stages.siamese.rate", 1e-3, "published code"),
    elsewhere("stages.regions.rate", 1e-4, "published code"),
    elsewhere("stages.regions.decay", 0.0, "published code"),
]
STATISTICS = "in order to obtain a correct estimate of the running mean and variance"
MUSEUM_RESNET = [
    kohl("backbone.name", "resnet152", "4.4", "AlexNet and ResNet-152 architecture"),
    kohl("stages.train", ("layer4.0", "layer4.1", "layer4.2"), "3.1.2", "including the third to last block of"),
    kohl("images.shortest", 448, "3.4.1", "images at two scales of 448 and 224 pixels for the smaller side"),
    kohl("stages.fcn.sides", (448, 224), "3.4.1", "images at two scales of 448 and 224 pixels for the smaller side"),
    kohl("stages.regions.sides", (448,), "3.4.1", "images at two scales of 448 and 224 pixels for the smaller side"),
    kohl("stages.classifier.statistics", True, "3.4.1", STATISTICS),
    elsewhere("head.grid", 7, "224 px at a stride of 32"),
]
MUSEUM_ALEX = [
    kohl("backbone.name", "alexnet", "4.4", "AlexNet and ResNet-152 architecture"),
    kohl("stages.train", ("conv5",), "3.1.2", "re-train all layers above and including the last convolutional layer"),
    kohl("images.shortest", 384, "3.4.1", "thus we used scales of 384 and 224 instead"),
    kohl("stages.fcn.sides", (384, 224), "3.4.1", "thus we used scales of 384 and 224 instead"),
    kohl("stages.regions.sides", (384,), "3.4.1", "thus we used scales of 384 and 224 instead"),
    elsewhere("head.grid", 6, "what AlexNet's first linear layer reads"),
]

# papers that these five compare with
GEM = [
    elsewhere("head.kind", "gem", "Radenovic et al., 2019, Eq. 3"),
    elsewhere("head.p", 3.0, "Radenovic et al., 2019, Section 5"),
    elsewhere("images.longest", 1024, "Section 5"),
    elsewhere("scales.factors", (1.0, 2**-0.5, 0.5), "Section 5"),
    elsewhere("scales.power", "gem", "Section 5"),
    elsewhere("projection.0.kind", "lw", "Section 5"),
    elsewhere("training.optimizer.kind", "adam", "Section 5"),
    elsewhere("training.lr", 1e-6, "Section 5"),
    elsewhere("training.lr_head", 10.0, "published code"),
    elsewhere("training.weight_decay", 5e-4, "Section 5"),
    elsewhere("training.epochs", 30, "Section 5"),
    elsewhere("training.batch", 5, "Section 5"),
    elsewhere("training.schedule.kind", "exponential", "Section 5"),
    elsewhere("training.schedule.factor", 0.9048374180359595, "Section 5: exp(-0.1 i)"),
    elsewhere("training.loss.kind", "contrastive", "Section 5"),
    elsewhere("training.loss.margin", 0.85, "Section 5, for ResNet"),
    elsewhere("training.views.longest", 362, "Section 5"),
    elsewhere("training.negatives.rule", "n2", "Section 5, as siaMAC"),
    elsewhere("training.negatives.count", 5, "Section 5"),
    elsewhere("training.negatives.every", 2000, "Section 5"),
    elsewhere("training.negatives.pool", 22000, "published code"),
    elsewhere("training.tuples_per_epoch", 6000, "Section 5: about 6,000 queries"),
    elsewhere("training.validation_negatives", 5, "published code: errorType batchmap"),
]
NETVLAD = [
    elsewhere("head.kind", "netvlad", "Arandjelovic et al., 2016, Section 3"),
    elsewhere("head.k", 64, "Section 5"),
    elsewhere("projection.0.dim", 4096, "Section 5"),
    elsewhere("training.lr", 1e-3, "Appendix A"),
    elsewhere("training.weight_decay", 1e-3, "Appendix A"),
    elsewhere("training.optimizer.momentum", 0.9, "Appendix A"),
    elsewhere("training.schedule.every", 5, "Appendix A"),
    elsewhere("training.schedule.factor", 0.5, "Appendix A"),
    elsewhere("training.epochs", 30, "Appendix A"),
    elsewhere("training.batch", 4, "Appendix A"),
    elsewhere("training.loss.kind", "triplet", "Section 4"),
    elsewhere("training.loss.margin", 0.1, "Appendix A"),
    elsewhere("training.negatives.rule", "hardest", "Section 4"),
    elsewhere("training.negatives.count", 10, "Appendix A"),
    elsewhere("training.negatives.every", 1000, "Appendix A"),
    elsewhere("training.negatives.pool", 1000, "Appendix A"),
]
POOL5 = elsewhere("backbone.layers", ("pool5",), "Kalantidis et al., 2016, Section 5")

TABLE: dict[str, list[Stated]] = {
    "siamac-vgg16": [*SIAMAC_VGG, *LAST_VGG, *SIAMAC_MAC, *SIAMAC_LW_ALL, *SIAMAC_TRAINING],
    "siamac-alexnet": [*SIAMAC_ALEX, *LAST_ALEX, *SIAMAC_MAC, *SIAMAC_LW_ALL, *SIAMAC_TRAINING],
    "siarmac-vgg16": [*SIAMAC_VGG, *LAST_VGG, *SIAMAC_RMAC, *SIAMAC_LW_ALL],
    "siarmac-alexnet": [*SIAMAC_ALEX, *LAST_ALEX, *SIAMAC_RMAC, *SIAMAC_LW_ALL],
    "mac-vgg16": [
        *SIAMAC_VGG,
        *LAST_VGG,
        *SIAMAC_MAC,
        siamac("projection.0.dim", 512, "Table 2", "MAC{}^{ ... (V) 512 56.4 58.3"),
        elsewhere("projection.0.kind", "pca", "siaMAC's evaluation of MAC with PCAw"),
    ],
    "rmac-vgg16": [
        *SIAMAC_VGG,
        *LAST_VGG,
        *SIAMAC_RMAC,
        siamac("head.local", 512, "Table 2", "R-MAC [25] (V) 512 66.9"),
    ],
    "rmac-alexnet": [
        *SIAMAC_ALEX,
        *LAST_ALEX,
        *SIAMAC_RMAC,
        siamac("head.local", 256, "Table 2", "R-MAC [25] (A) 256 56.1"),
    ],
    "spoc-vgg16": [
        *SIAMAC_VGG,
        *LAST_VGG,
        *SIAMAC_PHOTOS,
        siamac("head.kind", "spoc", "Table 2", "SPoC [23] (V) 256"),
        siamac("projection.0.dim", 256, "Table 2", "SPoC [23] (V) 256"),
    ],
    "crow-vgg16": [
        *SIAMAC_VGG,
        *SIAMAC_PHOTOS,
        siamac("head.kind", "crow", "Table 2", "CroW [24] (V) 512"),
        siamac("projection.0.dim", 512, "Table 2", "CroW [24] (V) 512"),
        POOL5,
    ],
    "siamfv-vgg16": SIAMFV,
    "siamspoc-vgg16": SIAMSPOC,
    "remap-vgg16": [*REMAP, *REMAP_VGG, remap("backbone.name", "vgg16", "IV-B", NETWORKS)],
    "remap-resnet101": [*REMAP, *REMAP_RESNET, remap("backbone.name", "resnet101", "IV-B", NETWORKS)],
    "remap-resnext101": [*REMAP, *REMAP_RESNET, remap("backbone.name", "resnext101", "IV-B", NETWORKS)],
    "mac-resnext101": [
        *REMAP_SHARED,
        *RESNEXT,
        remap("head.kind", "mac", "IV-F", "In MAC pipeline, the MAX-pooling block is added"),
        remap("head.fc", 2048, "IV-F", "The dimensionality of the output descriptor is 2048-D"),
    ],
    "rmac-resnext101": [
        *REMAP_SHARED,
        *RESNEXT,
        remap("head.kind", "rmac", "IV-F", "features are passed through rigid grid ROI-pooling block"),
        remap("head.levels", 4, "Table I", "(S) ... 4 40 93.3 76.1 69.3"),
        remap("head.local", 2048, "IV-F", "whitened with PCA and L2-normalized again ... resulting in a 2048"),
    ],
    "fisher16-resnext101": [
        *REMAP_SHARED,
        *RESNEXT,
        remap("head.kind", "fisher", "IV-F", "followed by Fisher Vector aggregation block, PCA+Whitening block"),
        remap("head.k", 16, "IV-F", "16 cluster centers are used for the Fisher Vector GMM model"),
        remap("projection.0.kind", "pca", "IV-F", "Fisher Vector aggregation block, PCA+Whitening block"),
    ],
    "dir-resnet101": [
        *REMAP_SHARED,
        elsewhere("head.kind", "rmac", "Gordo et al., 2017, Section 3"),
        elsewhere("head.levels", 3, "Gordo et al., 2017"),
        elsewhere("head.local", 2048, "Gordo et al., 2017"),
        remap("backbone.name", "resnet101", "IV-B", NETWORKS),
    ],
    **{
        f"selective-{name}": [*SELECTIVE, *SELECTIVE_VGG, *sizes(d, k)]
        for name, d, k in (("512", 32, 20), ("1024", 64, 18), ("2048", 64, 34), ("4096", 64, 66), ("8064", 128, 64))
    },
    "selective-lite0": [*SELECTIVE, *sizes(64, 18)],
    "museum-resnet152": [*MUSEUM, *MUSEUM_RESNET],
    "museum-alexnet": [*MUSEUM, *MUSEUM_ALEX],
    "mac-lite0": SIAMAC_MAC,
    "rmac-lite0": SIAMAC_RMAC,
    "spoc-lite0": [siamac("head.kind", "spoc", "Table 2", "SPoC [23] (V) 256"), *SIAMAC_PHOTOS],
    "crow-lite0": [siamac("head.kind", "crow", "Table 2", "CroW [24] (V) 512"), *SIAMAC_PHOTOS],
    "gem-lite0": GEM[:3],
    "gem-resnet101": GEM,
    "netvlad-vgg16": NETVLAD,
}

BY_ADAMW = {
    "backbone.name": "efficientnet-lite0",
    "training.lr": 3e-4,
    "training.weight_decay": 1e-2,
    "training.optimizer.kind": "adamw",
    "training.optimizer.momentum": None,
    "training.loss.kind": "info-nce",
    "training.loss.margin": None,
    "training.loss.temperature": 0.07,
    "training.batch": 32,
    "training.reduction": "mean",
    "training.average": 0.5,
    "training.clip": 5.0,
    "training.negatives.rule": "none",
    "training.negatives.every": 0,
}
"""What the twins that learn in minutes on a CPU share: AdamW, and the other photos of a batch as negatives."""
TWINS: dict[str, tuple[str, dict[str, Any]]] = {
    "siamac-lite0": (
        "siamac-vgg16",
        {
            **BY_ADAMW,
            "backbone.layers": ("head",),
            "images.longest": 352,
            "projection.0.shrinkage": 0.5,
            "training.views.longest": 224,
            "training.epochs": 6,
            "training.schedule.kind": "cosine",
            "training.validation_negatives": 0,
            "training.pairs.candidates": 0,
        },
    ),
    "siamfv-lite0": (
        "siamfv-vgg16",
        {
            **BY_ADAMW,
            "backbone.layers": ("blocks.6",),
            "projection.0.power": 0.5,
            "training.views.longest": 224,
            "training.epochs": 6,
            "training.tuples_per_epoch": 512,
        },
    ),
    "remap-lite0": (
        "remap-resnext101",
        {
            **BY_ADAMW,
            "backbone.layers": ("blocks.6", "blocks.5"),
            "head.train_alpha": None,  # as REMAP has it unless told otherwise
            "head.normalise": True,
            "head.fc": 256,
            "images.exact": (512, 384),
            "scales.factors": (1.0,),
            "scales.weights": (),
            "training.epochs": 8,
            "training.loss.form": None,
            "training.tuples_per_pass": 0,
            "training.freeze_norm": False,
            "training.pairs.rule": "given",
            "training.pairs.per_cluster": 100,
            "training.pairs.inliers": (6, 1000),
            "training.pairs.model": "geometry",
            "training.negatives.count": 5,
        },
    ),
    "museum-lite0": (
        "museum-resnet152",
        {
            "backbone.name": "efficientnet-lite0",
            "head.dim": 256,
            "images.shortest": 320,
            "stages.train": ("head",),
            "stages.classifier.epochs": 12,
            "stages.classifier.at": (0.8,),
            "stages.classifier.batch": 8,
            "stages.classifier.statistics": False,
            "stages.fcn.epochs": 5,
            "stages.fcn.at": (0.7,),
            "stages.fcn.batch": 16,
            "stages.fcn.rate": 2e-3,
            "stages.fcn.sides": (320, 224),
            "stages.siamese.epochs": 4,
            "stages.siamese.at": (0.7,),
            "stages.siamese.batch": 16,
            "stages.siamese.rate": 6e-5,
            "stages.regions.epochs": 4,
            "stages.regions.at": (0.7,),
            "stages.regions.batch": 16,
            "stages.regions.rate": 6e-5,
            "stages.regions.sides": (320,),
        },
    ),
}
"""Small twin -> the recipe whose numbers it has, but for these."""


def value_of(name: str, setting: str) -> Any:
    """What a loaded recipe has for ``images.longest``, ``head.k``, ``projection.0.dim``, ``stages.fcn.rate``, ..."""
    recipe = read_recipe(name)
    part, *names = setting.split(".")
    found: Any = getattr(recipe, part, None)
    if part == "training":
        found = TrainingSettings.from_table(recipe.training)
    if part == "stages":
        found = Stages.of(recipe)
    for step in names:
        if isinstance(found, tuple):
            found = found[int(step)]
        else:
            found = found.get(step) if isinstance(found, dict) else getattr(found, step)
    return found


def matches(found: Any, value: Any) -> bool:
    if isinstance(value, tuple):
        return len(found) == len(value) and all(matches(a, b) for a, b in zip(found, value, strict=True))
    return found == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize("name", list(TABLE))
def test_a_recipe_has_the_papers_numbers(name):
    for row in TABLE[name]:
        found = value_of(name, row.setting)
        assert matches(found, row.value), f"{row.setting} is {found!r}; {row.paper} {row.section}: {row.words}"


@pytest.mark.parametrize("name", list(TWINS))
def test_a_small_twin_has_the_numbers_of_its_recipe_but_for_those_that_are_named(name):
    of, changed = TWINS[name]
    stated = {row.setting: row.value for row in TABLE[of]}
    for setting, value in {**stated, **changed}.items():
        found = value_of(name, setting)
        assert matches(found, value), f"{setting} is {found!r}, not {value!r}"


def test_every_recipe_has_its_place_here():
    assert {*TABLE, *TWINS} == {*list_recipes()} - {"default"}


def bare(text: str) -> str:
    """Without white space and hyphens, which differ between a text and its lines."""
    return re.sub(r"[\s\-‐–]", "", text).lower()


@cache
def text_of(paper: str) -> str:
    file = FOLDER / f"{paper}.txt"
    if not file.is_file():
        pytest.skip(f"the paper is not at {file}; set RESEEN_PAPERS to look its words up")
    return bare(file.read_text("utf-8"))


QUOTED = sorted({(row.paper, row.words) for rows in TABLE.values() for row in rows if row.words})


@pytest.mark.parametrize(("paper", "words"), QUOTED)
def test_the_words_are_in_the_paper(paper, words):
    parts = [re.escape(bare(part)) for part in words.split("...")]
    assert re.search(".{0,400}?".join(parts), text_of(paper)), words
