"""Networks as their authors publish them, as descriptors: cirtorch (siaMAC, GeM) and deep image retrieval.

Nothing in the files is run: tensors and plain data are read with an allow-list, everything else is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from reseen.backbones import Backbone, create_backbone
from reseen.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from reseen.descriptor.descriptor import Descriptor
from reseen.descriptor.loading import unfitted_projection
from reseen.descriptor.recipes import Recipe
from reseen.errors import RecipeError, UntrustedFile, WeightsMissing
from reseen.heads import create_head
from reseen.projections import Projection
from reseen.safe_pickle import plain, torch_globals

LAST_LAYER = {
    "alexnet": "relu5",
    "vgg16": "relu5_3",
    "resnet50": "layer4.2",
    "resnet101": "layer4.2",
    "resnet152": "layer4.2",
}
"""Architectures that are known, and the layer that they pool."""
THIRD = {"factors": [1.0, 2**-0.5, 0.5]}
"""Scales of the GeM paper, Section 5."""
LARGER = {"factors": [1.0, 2**0.5, 2**-0.5]}
"""Scales of cirtorch's networks whose whitening is learned along."""
POWER = 0.5
"""Of the whitening of deep image retrieval: variances to the power 1/4, ``--whitenp 0.25``."""


def from_published(
    path: str | os.PathLike[str], *, whitening: str | None = None, multiscale: bool | None = None
) -> Descriptor:
    """A descriptor from a checkpoint of cirtorch (``meta``, ``state_dict``) or of deep image retrieval
    (``model_options``, ``state_dict``, ``pca``).

    Args:
        path: the file.
        whitening: which of the file's whitenings: its data set (``retrieval-SfM-120k``, ``Landmarks_clean``), a file
            with another one (cirtorch's ``m`` and ``P``), or ``none``. By default the first of the file, 120k before
            30k.
        multiscale: whether photos are seen at three scales; as published by default: cirtorch's GeM yes, others no.

    Raises:
        WeightsMissing: no such file. UntrustedFile: it holds more than tensors and plain data. RecipeError: an
            architecture, pooling or whitening that is not known here, or weights that do not fit.
    """
    path = Path(path)
    data = read_checkpoint(path)
    if isinstance(data.get("meta"), Mapping):
        return _cirtorch(path, data, whitening, multiscale)
    if isinstance(data.get("model_options"), Mapping):
        return _dir(path, data, whitening, multiscale)
    raise RecipeError(
        f"{path}: not a checkpoint of cirtorch (meta, state_dict) or deep image retrieval (model_options, state_dict); "
        f"it holds {', '.join(sorted(map(str, data))[:8]) or 'nothing'}"
    )


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors, numbers, text and numpy arrays of a file of torch; scikit-learn's PCA as the table of its attributes."""
    if not path.is_file():
        raise WeightsMissing(f"{path}: no such file")
    admitted: list[Any] = [*torch_globals(), *((_Attributes, name) for name in _PCA)]
    try:
        with torch.serialization.safe_globals(admitted):
            data = plain(torch.load(path, map_location="cpu", weights_only=True))
    except UntrustedFile as error:
        raise UntrustedFile(f"{path}: {error}; refused") from None
    except Exception as error:
        asked = re.search(r"GLOBAL (\S+)", str(error))
        reason = f"asks for {asked[1]}, which is not plain data" if asked else str(error).splitlines()[0][:160]
        raise UntrustedFile(f"{path}: not a checkpoint of tensors and plain data ({reason}); refused") from None
    if not isinstance(data, dict):
        raise UntrustedFile(f"{path}: not a checkpoint: it holds a {type(data).__name__}")
    return data


class _Attributes:
    """Stands for an object of scikit-learn: its attributes, none of its code."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise UntrustedFile("the file holds an object whose state is no table")
        self.values = plain(state)


_PCA = ("sklearn.decomposition.pca.PCA", "sklearn.decomposition._pca.PCA")
"""Names of one class in the versions that published files were written with."""


def _cirtorch(path: Path, data: dict[str, Any], whitening: str | None, multiscale: bool | None) -> Descriptor:
    meta, state = data["meta"], _state(path, data)
    architecture, pooling = _architecture(path, meta.get("architecture")), meta.get("pooling")
    _check_normalisation(path, meta)
    if meta.get("local_whitening"):
        raise RecipeError(f"{path}: a whitening of every place (local_whitening) is not known here")
    head: dict[str, Any] = {"kind": pooling}
    names = {"pool.p": "p"}
    if meta.get("regional"):
        if pooling != "mac":
            raise RecipeError(f"{path}: of regional poolings only mac is known here, not {pooling!r}")
        head = {"kind": "rmac", "levels": 3, "whole": True, "local": int(state["pool.whiten.weight"].shape[0])}
        names = {"pool.whiten.weight": "local.weight", "pool.whiten.bias": "local.bias"}
    elif pooling == "rmac":
        head |= {"levels": 3, "whole": True}
    elif pooling not in ("mac", "spoc", "gem"):
        raise RecipeError(f"{path}: pooling {pooling!r} is not known; the known ones are mac, spoc, gem, rmac")
    whitened = bool(meta.get("whitening"))
    if whitened:
        head["fc"] = int(state["whiten.weight"].shape[0])
        names |= {"whiten.weight": "fc.weight", "whiten.bias": "fc.bias"}
    scales: dict[str, Any] = {}
    if multiscale if multiscale is not None else pooling == "gem" and not meta.get("regional"):
        scales = dict(LARGER if whitened else THIRD)
        if pooling == "gem" and not whitened and not meta.get("regional"):
            scales["power"] = "gem"
    backbone = create_backbone(architecture, [LAST_LAYER[architecture]])
    tensors = {_cirtorch_name(key, backbone): value for key, value in state.items() if key.startswith("features.")}
    parameters = {names[key]: value for key, value in state.items() if key in names}
    if head["kind"] == "rmac" and "local" in head:
        parameters["learned"] = torch.tensor(True)
    mean, matrix = _lw(path, meta.get("Lw"), whitening, "ms" if scales else "ss")
    kind = "lw" if matrix is not None else None
    return _assembled(path, backbone, tensors, head, parameters, scales, kind, mean, matrix)


def _dir(path: Path, data: dict[str, Any], whitening: str | None, multiscale: bool | None) -> Descriptor:
    options, state = data["model_options"], _state(path, data)
    arch = str(options.get("arch", ""))
    architecture = _architecture(path, arch.removesuffix("_rmac") if arch.endswith("_rmac") else arch)
    _check_normalisation(path, data.get("preprocess") or {})
    pooling = str(options.get("pooling", "gem"))
    kinds = {"max": "mac", "avg": "spoc", "gem": "gem"}
    if pooling not in kinds or options.get("center_bias"):
        raise RecipeError(
            f"{path}: pooling {pooling!r}, center_bias = {options.get('center_bias', 0)} is not known here"
        )
    head: dict[str, Any] = {"kind": kinds[pooling]}
    names = {"adpool.p": "p"}
    if not options.get("without_fc"):
        head |= {"fc": int(state["fc.weight"].shape[0]), "normalise": bool(options.get("norm_features", False))}
        names |= {"fc.weight": "fc.weight", "fc.bias": "fc.bias"}
    backbone = create_backbone(architecture, [LAST_LAYER[architecture]])
    tensors = {_resnet_name(key): value for key, value in state.items() if re.match(r"(conv1|bn1|layer\d)\.", key)}
    parameters = {names[key]: value for key, value in state.items() if key in names}
    mean, matrix = _pca(path, data.get("pca"), whitening)
    kind = "pca" if matrix is not None else None
    return _assembled(path, backbone, tensors, head, parameters, dict(THIRD) if multiscale else {}, kind, mean, matrix)


def _state(path: Path, data: dict[str, Any]) -> dict[str, Tensor]:
    state = data.get("state_dict")
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise RecipeError(f"{path}: its state_dict is no table of tensors")
    return {str(key).removeprefix("module."): value for key, value in state.items()}


def _architecture(path: Path, name: object) -> str:
    if name not in LAST_LAYER:
        raise RecipeError(f"{path}: architecture {name!r} is not known; the known ones are {', '.join(LAST_LAYER)}")
    return str(name)


def _check_normalisation(path: Path, table: Mapping[str, Any]) -> None:
    for key, known in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
        if key in table and not np.allclose(np.asarray(table[key], np.float64), known, atol=1e-3):
            raise RecipeError(
                f"{path}: photos are normalised with {key} {list(table[key])}, not ImageNet's {list(known)}"
            )


def _cirtorch_name(key: str, backbone: Backbone) -> str:
    """``features.N.rest`` counts the children of torchvision's network."""
    _, place, rest = key.split(".", 2)
    if not backbone.name.startswith("resnet"):
        names = list(backbone.net)  # type: ignore[arg-type]
        return f"net.{names[int(place)]}.{rest}" if int(place) < len(names) else key
    children = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    return _resnet_name(f"{children[int(place)]}.{rest}") if int(place) < len(children) else key


def _resnet_name(key: str) -> str:
    """A name of torchvision's ResNets -> of the backbone: its stem is one step, each block another."""
    stem = {"conv1": "net.stem.0", "bn1": "net.stem.1"}
    first, _, rest = key.partition(".")
    if first in stem:
        return f"{stem[first]}.{rest}"
    block, _, rest = rest.partition(".")
    return f"net.{first}_{block}.{rest}"


def _named(path: Path, held: Mapping[str, Any], whitening: str | None, preferred: tuple[str, ...]) -> Any:
    """The whitening of that name among the file's; None for none."""
    if whitening == "none" or (whitening is None and not held):
        return None
    if whitening is None:
        return held[next((name for name in preferred if name in held), next(iter(held)))]
    if whitening not in held:
        raise RecipeError(f"{path}: there is no whitening {whitening!r}; there are {', '.join(held) or 'none'}")
    return held[whitening]


def _lw(path: Path, held: Any, whitening: str | None, scale: str) -> tuple[Any, Any]:
    """Mean ``(d,)`` and matrix ``(D, d)`` of cirtorch's learned whitening, which keeps vectors as columns."""
    if whitening is not None and Path(whitening).is_file():
        found = read_checkpoint(Path(whitening))
    else:
        found = _named(path, held or {}, whitening, ("retrieval-SfM-120k", "retrieval-SfM-30k"))
        if found is None:
            return None, None
        if "P" not in found:
            if scale not in found:
                raise RecipeError(f"{path}: its whitening is not known for {scale!r} (ss: one scale, ms: several)")
            found = found[scale]
    try:
        return _array(found["m"]).reshape(-1), _array(found["P"])
    except KeyError as error:
        raise RecipeError(f"{path}: its whitening lacks {error}") from None


def _pca(path: Path, held: Any, whitening: str | None) -> tuple[Any, Any]:
    """Mean and matrix of deep image retrieval's whitening: components over the variances' fourth root."""
    if isinstance(held, _Attributes):
        held = {"pca": held}
    found = _named(path, held or {}, whitening, ("Landmarks_clean",))
    if found is None:
        return None, None
    table = found.values if isinstance(found, _Attributes) else found
    try:
        axes, variances = _array(table["components_"]), _array(table["explained_variance_"])
        return _array(table["mean_"]).reshape(-1), axes / variances[:, None] ** (POWER / 2)
    except (KeyError, TypeError) as error:
        raise RecipeError(f"{path}: its whitening lacks {error}") from None


def _array(value: Any) -> NDArray[np.float64]:
    return np.asarray(value.numpy() if isinstance(value, Tensor) else value, np.float64)


def _assembled(
    path: Path,
    backbone: Backbone,
    tensors: Mapping[str, Tensor],
    head: dict[str, Any],
    parameters: Mapping[str, Tensor],
    scales: dict[str, Any],
    kind: str | None,
    mean: Any,
    matrix: Any,
) -> Descriptor:
    """The descriptor of a file's parts; RecipeError where they do not fit."""
    steps: list[dict[str, Any]] = []
    if kind is not None:
        steps = [{"kind": kind, "dim": len(matrix), **({"power": POWER} if kind == "pca" else {})}]
    recipe = Recipe.from_dict(
        {
            "name": path.stem,
            "summary": f"{head['kind']} of {backbone.name}, as published",
            "source": f"converted from {path.name}",
            "images": {"longest": 1024},
            "scales": scales,
            "backbone": {"name": backbone.name, "layers": [layer.name for layer in backbone.layers]},
            "head": head,
            "projection": steps,
        }
    )
    made = create_head(head["kind"], backbone.channels, **{key: value for key, value in head.items() if key != "kind"})
    _fill(path, backbone, tensors)
    _fill(path, made, parameters)
    projection: Projection | None = unfitted_projection(recipe)
    if projection is not None:
        if matrix.shape[1] != len(mean) or len(mean) != made.dim:
            raise RecipeError(f"{path}: a whitening of {matrix.shape[1]} dimensions for vectors of {made.dim}")
        projection.load_state({"mean": mean, "matrix": matrix})
    return Descriptor(recipe, backbone.eval(), made.eval(), projection)


def _fill(path: Path, module: torch.nn.Module, tensors: Mapping[str, Tensor]) -> None:
    try:
        result = module.load_state_dict(dict(tensors), strict=False)
    except RuntimeError as error:
        raise RecipeError(f"{path}: its weights do not fit ({str(error).splitlines()[1].strip()})") from None
    missing = [key for key in result.missing_keys if not key.endswith("num_batches_tracked")]
    if missing or result.unexpected_keys:
        raise RecipeError(f"{path}: its weights do not fit (first at {(missing + list(result.unexpected_keys))[0]!r})")
