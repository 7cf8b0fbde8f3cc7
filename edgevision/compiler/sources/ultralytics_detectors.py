"""Ultralytics' detectors, pickled whole in its checkpoints, as networks that give the grid before suppression.

The checkpoint holds the network as an object, so that reading it needs ``--trust`` and the package ``ultralytics`` installed
by whoever made the file. Its own export is another way, which needs neither here. Where a network has a second head that gives
one box for each object (YOLO26), the first one is taken: int8 harms it less, and suppression is quick.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from edgevision.errors import ModelFileError
from edgevision.preprocess.spec import PreprocessSpec

_PACKAGE = "ultralytics.nn.tasks"
_DEFAULT_SIZE = 640


def is_detector(module: nn.Module) -> bool:
    """Whether ``module`` is a network of Ultralytics, of whatever task."""
    return any(one.__module__ == _PACKAGE for one in type(module).__mro__)


def input_of(module: nn.Module) -> tuple[int | None, ...]:
    """The shape of the tensor that it takes: any size."""
    return (None, 3, None, None)


def head_of(module: Any, name: str) -> dict[str, str]:
    """What its exporter would write into a file: class names, size, kind of head. ModelFileError for other tasks than
    detection."""
    head = type(module.model[-1]).__name__
    task = _option(module, "task") or ("detect" if head in ("Detect", "v10Detect", "RTDETRDecoder") else head.lower())
    if task != "detect":
        raise ModelFileError(f"{name} is a network of Ultralytics for '{task}'; those for detection can be compiled")
    size = _option(module, "imgsz") or _DEFAULT_SIZE
    sides = [size, size] if isinstance(size, int) else list(size)
    return {
        "author": "Ultralytics", "task": "detect", "head": head, "names": str(dict(module.names)), "imgsz": str(sides),
        "end2end": "False",
    }  # fmt: skip


def own_preprocess(module: nn.Module, name: str) -> None:
    """Nothing: the task reads it from what ``head_of`` wrote."""


def raw_heads(module: Any, spec: PreprocessSpec, name: str) -> tuple[nn.Module, dict[str, str]]:
    """The network as Ultralytics' exporter has it, on float32 [n, *spec.tensor_shape]; and what that would write.

    Raises ModelFileError for a size that is no multiple of the network's largest stride.
    """
    stride = int(max(module.stride)) if hasattr(module, "stride") else 32
    if spec.height % stride or spec.width % stride:
        raise ModelFileError(
            f"{name} takes sizes that are multiples of {stride}, got {spec.height}×{spec.width}; change --preprocess"
        )
    written = {**head_of(module, name), "imgsz": str([spec.height, spec.width])}
    return _Exported(copy.deepcopy(module)).eval(), written


class _Exported(nn.Module):
    """A network of Ultralytics that answers with one tensor."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        if hasattr(module, "fuse"):
            module.fuse(verbose=False)
        if hasattr(module, "end2end"):
            module.end2end = False
        for layer in module.modules():
            if hasattr(layer, "export"):  # heads answer with the grid alone then
                layer.export, layer.format, layer.dynamic = True, "onnx", False
        self.network = module

    def forward(self, tensor: Tensor) -> Tensor:
        """The grid, [n, 4 + classes, cells]."""
        answer = self.network(tensor)
        return answer if isinstance(answer, Tensor) else torch.as_tensor(answer[0])


def _option(module: Any, name: str) -> Any:
    """An option that the network was trained with; None where it does not say."""
    options = getattr(module, "args", None)
    return options.get(name) if isinstance(options, dict) else getattr(options, name, None)
