"""From a model file to a bundle: load, export, calibrate, quantize, measure, choose, pack.

>>> from edgevision.compiler import CompileOptions, compile_model
>>> compile_model(Path("model.pt"), Path("model.edge"), CompileOptions())  # doctest: +SKIP

Names are imported when they are first used, so that the options are there without PyTorch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from edgevision.errors import MissingExtraError

if TYPE_CHECKING:
    from edgevision.compiler.effort import Effort
    from edgevision.compiler.options import CompileOptions, Objective, Precision
    from edgevision.compiler.pipeline import CompileResult, compile_model

_PLACES = {
    "effort": ("Effort",),
    "options": ("CompileOptions", "Objective", "Precision"),
    "pipeline": ("CompileResult", "compile_model"),
}
_MODULE_OF = {name: module for module, names in _PLACES.items() for name in names}

__all__ = ["CompileOptions", "CompileResult", "Effort", "Objective", "Precision", "compile_model"]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        module = import_module(f"{__name__}.{_MODULE_OF[name]}")
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchvision", "onnx", "onnxscript"):
            raise
        raise MissingExtraError(error.name, "compile", "compiling") from None
    return getattr(module, name)
