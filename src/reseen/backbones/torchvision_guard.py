"""Import torchvision beside a torch of another build.

A torchvision whose compiled part links CUDA cannot register its operators next to a CPU-only torch,
and its import then stops at ``operator torchvision::nms does not exist`` (timm's with it). Declaring
the two schemas that its Python part looks up cures that; nothing here uses the operators themselves.
"""

from __future__ import annotations

import sys

import torch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_library: torch.library.Library | None = None  # the schemas live as long as this object


def ensure_torchvision() -> None:
    """Make ``import torchvision`` (and timm) work; a healthy installation is left as it is."""
    global _library
    if _library is not None or "torchvision" in sys.modules:
        return
    try:
        import torchvision
    except RuntimeError as error:
        if "torchvision::nms" not in str(error):
            raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
        for operator in ("nms", "qnms"):
            _library.define(operator + _SCHEMA)  # type: ignore[no-untyped-call]
        import torchvision  # noqa: F401
