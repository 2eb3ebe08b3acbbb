"""What runs a backbone: PyTorch anywhere, OpenVINO on CPUs where it is installed."""

from __future__ import annotations

import copy
import importlib.util
import os
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from reseen.backbones import Backbone
from reseen.descriptor.runtime.allocator import tune_allocator
from reseen.errors import ReseenError

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
    backbone: Backbone,
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
    backbone: Backbone,
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
        return OpenVinoEngine(backbone, kind, threads)
    return TorchEngine(backbone, kind, where)


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
    """OpenVINO on the CPU, for photos of any size, in float32 or the bfloat16 of the CPU."""

    name = "openvino"

    def __init__(self, backbone: Backbone, precision: Literal["float32", "bfloat16"], threads: int | None) -> None:
        os.environ.setdefault("OPENVINO_TELEMETRY_DISABLE", "1")
        import openvino

        self.precision, self.device = precision, torch.device("cpu")
        model = openvino.convert_model(
            _Exported(backbone).eval(),
            example_input=torch.zeros(1, 224, 288, 3, dtype=torch.uint8),
            input=[([-1, -1, -1, 3], openvino.Type.u8)],
        )
        self.network = openvino.Core().compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
                **({"INFERENCE_NUM_THREADS": threads} if threads else {}),
            },
        )
        self.layers = len(backbone.layers)

    def __call__(self, pixels: NDArray[np.uint8]) -> list[Tensor]:
        """See :meth:`Engine.__call__`."""
        found: Any = self.network(np.ascontiguousarray(pixels))
        return [torch.from_numpy(found[i]) for i in range(self.layers)]


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
