"""What runs a backbone: PyTorch anywhere, OpenVINO on CPUs where it is installed."""

from __future__ import annotations

import copy
import hashlib
import importlib.util
import logging
import os
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import reseen
from reseen import backbones
from reseen.backbones import Backbone
from reseen.descriptor.runtime import kept
from reseen.descriptor.runtime.allocator import tune_allocator
from reseen.descriptor.runtime.network import KnownNetwork, hash_tensors
from reseen.errors import ReseenError
from reseen.registry import BACKBONES

log = logging.getLogger(__name__)

EngineName = Literal["auto", "torch", "openvino"]
Precision = Literal["auto", "float32", "bfloat16"]


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """The named device, or the first GPU, or the CPU."""
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-bf16 or AMX)."""
    flags = [getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")]
    return any(flag() for flag in flags if flag is not None)


def pick_precision(precision: Precision, device: torch.device) -> Literal["float32", "bfloat16"]:
    """``auto`` is bfloat16 where the device is good at it, else float32."""
    if precision != "auto":
        return precision
    fast = torch.cuda.is_bf16_supported() if device.type == "cuda" else cpu_has_bfloat16()
    return "bfloat16" if fast else "float32"


def pick_engine(
    backbone: Backbone | KnownNetwork,
    *,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    device: str | torch.device | None = None,
) -> tuple[EngineName, Literal["float32", "bfloat16"], torch.device]:
    """Engine, precision and device that run ``backbone`` best on this machine; nothing is made yet.

    ReseenError when what was asked for is not here.
    """
    where = pick_device(device)
    if engine == "auto":
        engine = "openvino" if where.type == "cpu" and has_openvino() and backbone.convertible else "torch"
    if engine == "openvino" and not has_openvino():
        raise ReseenError("the openvino engine needs OpenVINO: pip install 'reseen[fast]'")
    if engine == "openvino" and where.type != "cpu":
        raise ReseenError(f"the openvino engine runs on the CPU, not on {where}")
    return engine, pick_precision(precision, where), where


def make_engine(
    backbone: Backbone | KnownNetwork,
    *,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    device: str | torch.device | None = None,
    threads: int | None = None,
) -> Engine:
    """What :func:`pick_engine` names, ready to run."""
    name, kind, where = pick_engine(backbone, engine=engine, precision=precision, device=device)
    if where.type == "cpu":
        tune_allocator()
    if name == "openvino":
        network = backbone if isinstance(backbone, KnownNetwork) else KnownNetwork.of(backbone)
        return OpenVinoEngine(network, kind, threads)
    return TorchEngine(backbone.make() if isinstance(backbone, KnownNetwork) else backbone, kind, where)


class Engine:
    """Runs a backbone on batches of photos of one size."""

    name: EngineName
    precision: Literal["float32", "bfloat16"]
    device: torch.device

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """``uint8 (B, H, W, 3)`` RGB -> float32 maps ``(B, C, h, w)`` of each layer, on :attr:`device`."""
        raise NotImplementedError


class TorchEngine(Engine):
    """PyTorch: channels last, inference mode, bfloat16 autocast where it pays."""

    name = "torch"

    def __init__(self, backbone: Backbone, precision: Literal["float32", "bfloat16"], device: torch.device) -> None:
        self.precision, self.device = precision, device
        self.net = copy.deepcopy(backbone).eval().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """See :meth:`Engine.__call__`."""
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bfloat16"),
        ):
            x = self.net.normalise(torch.from_numpy(pixels).to(self.device, non_blocking=True))
            return [maps.float() for maps in self.net(x)]


def has_openvino() -> bool:
    """Whether the ``fast`` extra is installed."""
    return importlib.util.find_spec("openvino") is not None


class OpenVinoEngine(Engine):
    """OpenVINO on the CPU, for photos of any size, in float32 or the bfloat16 of the CPU.

    Converting takes seconds, so the compiled network is kept on disk (see ``runtime.kept``). That of a plug-in is not:
    its code may change under the same tensors.
    """

    name = "openvino"

    def __init__(self, network: KnownNetwork, precision: Literal["float32", "bfloat16"], threads: int | None) -> None:
        self.precision, self.device = precision, torch.device("cpu")
        core, settings = _openvino(precision, threads)
        key = _key(network, core, settings)
        compiled = _read(core, key, settings) if key is not None else None
        if compiled is None:
            compiled = core.compile_model(_converted(network.make()), "CPU", settings)
            if key is not None and kept.keep(key, compiled.export_model().getvalue()):
                log.info("prepared the network for this machine, once: it is kept in %s", kept.kept_folder())
        self.network = compiled
        self.layers = len(network.layers)

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """See :meth:`Engine.__call__`."""
        found: Any = self.network(np.ascontiguousarray(pixels))
        return [torch.from_numpy(found[i]) for i in range(self.layers)]


def is_compiled(
    network: KnownNetwork,
    *,
    engine: EngineName = "auto",
    precision: Precision = "auto",
    device: str | torch.device | None = None,
    threads: int | None = None,
) -> bool:
    """Whether :func:`make_engine` would find the network compiled, from an earlier process that made it."""
    where = pick_device(device)
    if engine == "torch" or where.type != "cpu" or not has_openvino():
        return False
    key = _key(network, *_openvino(pick_precision(precision, where), threads))
    return key is not None and kept.is_kept(key)


def _openvino(precision: Literal["float32", "bfloat16"], threads: int | None) -> tuple[Any, dict[str, Any]]:
    """OpenVINO's core, and the settings that a network is compiled with."""
    os.environ.setdefault("OPENVINO_TELEMETRY_DISABLE", "1")
    import openvino

    return openvino.Core(), {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
        **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
    }


_INPUT = (-1, -1, -1, 3)
"""Sides that a compiled network takes: photos of any number and size."""


def _converted(backbone: Backbone) -> Any:
    """OpenVINO's form of a backbone, from pixels to maps."""
    import openvino

    return openvino.convert_model(
        _Exported(backbone).eval(),
        example_input=torch.zeros(1, 224, 288, 3, dtype=torch.uint8),
        input=[(list(_INPUT), openvino.Type.u8)],
    )


def _key(network: KnownNetwork, core: Any, settings: Mapping[str, Any]) -> str | None:
    """Of everything that a compiled network depends on; None where a plug-in's code does."""
    if network.name.partition(":")[0] not in BACKBONES.rows:
        return None
    tensors = hashlib.sha256()
    hash_tensors(tensors, network.tensors)
    return kept.key_of(
        {
            "network": [network.name, *network.layers],
            "tensors": tensors.hexdigest(),
            "input": _INPUT,
            "settings": settings,
            "processor": [core.get_property("CPU", name) for name in ("FULL_DEVICE_NAME", "OPTIMIZATION_CAPABILITIES")],
            "reseen": [reseen.__version__, _code()],
            "packages": [metadata.version(package) for package in ("openvino", "torch", "timm", "torchvision")],
        }
    )


@cache
def _code() -> str:
    """Hash of what makes and converts networks: in a checkout it changes under one version."""
    files = [*sorted(Path(backbones.__file__).parent.glob("*.py")), Path(__file__)]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _read(core: Any, key: str, settings: Mapping[str, Any]) -> Any | None:
    """The kept network; None where there is none, or where OpenVINO does not take it."""
    content = kept.read(key)
    if content is None:
        return None
    try:
        return core.import_model(content, "CPU", dict(settings))
    except RuntimeError:
        return None


class _Exported(nn.Module):
    """A copy of a backbone from pixels to maps, with padding that a traced graph computes for every size."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.backbone = copy.deepcopy(backbone)
        _replace_same_padding(self.backbone)

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone(self.backbone.normalise(pixels)))


class _SameStride2(nn.Module):
    """TensorFlow's SAME padding of a stride-2 convolution of odd kernel k.

    An even side is padded by (k - 3) / 2 before and (k - 1) / 2 after, an odd one by one more before.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.conv = copy.copy(conv)
        self.conv.__class__ = nn.Conv2d
        self.conv.padding = (0, 0)
        self.before = (conv.kernel_size[0] - 3) // 2
        self.after = (conv.kernel_size[0] - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        left, top = self.before + x.shape[3] % 2, self.before + x.shape[2] % 2
        return self.conv(nn.functional.pad(x, (left, self.after, top, self.after)))  # type: ignore[no-any-return]


def _replace_same_padding(module: nn.Module) -> None:
    from timm.layers import Conv2dSame

    for name, child in module.named_children():
        if isinstance(child, Conv2dSame):
            if child.stride != (2, 2) or child.dilation != (1, 1):
                raise ReseenError("this network's padding cannot be converted; use engine='torch'")
            setattr(module, name, _SameStride2(child))
        else:
            _replace_same_padding(child)
