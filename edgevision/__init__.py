"""EdgeVision: recognise products at the edge.

>>> import edgevision as ev
>>> with ev.load("model.edge") as model:  # doctest: +SKIP
...     model.predict("tray.jpg").best.name

Importing costs next to nothing: each name is loaded when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgevision import errors as errors
    from edgevision.cascade import Cascade as Cascade
    from edgevision.frames import ColorEncoding as ColorEncoding
    from edgevision.frames import Frame as Frame
    from edgevision.frames import PixelFormat as PixelFormat
    from edgevision.loading import load as load
    from edgevision.model import Model as Model
    from edgevision.preprocess.spec import PreprocessSpec as PreprocessSpec
    from edgevision.streams.stream import stream as stream
    from edgevision.tasks.results import Classification as Classification
    from edgevision.tasks.results import Prediction as Prediction

    __version__: str

_HOME = {
    "Cascade": "edgevision.cascade",
    "Classification": "edgevision.tasks.results",
    "ColorEncoding": "edgevision.frames",
    "Frame": "edgevision.frames",
    "Model": "edgevision.model",
    "PixelFormat": "edgevision.frames",
    "Prediction": "edgevision.tasks.results",
    "PreprocessSpec": "edgevision.preprocess.spec",
    "load": "edgevision.loading",
    "stream": "edgevision.streams.stream",
}

__all__ = [
    "Cascade",
    "Classification",
    "ColorEncoding",
    "Frame",
    "Model",
    "PixelFormat",
    "Prediction",
    "PreprocessSpec",
    "__version__",
    "errors",
    "load",
    "stream",
]


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("edgevision.errors")
    if name == "__version__":
        value: Any = _read_version()
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module 'edgevision' has no attribute {name!r}")
    globals()[name] = value  # found at once the next time
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _read_version() -> str:
    from importlib import metadata

    try:
        return metadata.version("edgevision")
    except metadata.PackageNotFoundError:  # a checkout that was built in place
        try:
            from edgevision import _native
        except ImportError:
            return "0+unknown"
        return str(_native.__version__)
