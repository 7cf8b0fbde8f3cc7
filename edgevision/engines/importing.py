"""The only place that imports an engine's package: telemetry is off before it loads, and a failing import is our own error.

ONNX Runtime (1.29 and later) and OpenVINO report to their makers when they are imported, and keep an identifier in the
user's home folder. A device in a shop must not. What is done about it, and when it is too late:

* ONNX Runtime reads ``ORT_DISABLE_TELEMETRY`` once, when it is loaded. Unless the user has set it, it is set to 1, for
  this process and those that it starts. Where the program has imported ONNX Runtime before, that has no effect any more:
  ``disable_telemetry_events`` is called, but the first report is sent all the same.
* OpenVINO reports through the package ``openvino_telemetry``, and works where that is missing. It is hidden while OpenVINO
  is imported, and only then. Where the program has imported OpenVINO before, its report is out; running a graph sends none.

``EDGEVISION_ENGINE_TELEMETRY=1`` leaves both as their makers ship them.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from edgevision.engines.host import one_line
from edgevision.errors import EngineError, MissingExtraError

ALLOW = "EDGEVISION_ENGINE_TELEMETRY"  # "1": the user wants the telemetry of both engines
ORT_SWITCH = "ORT_DISABLE_TELEMETRY"
_ORT_OFF = ("1", "true", "yes", "on")  # in any case of letters; with every other value ONNX Runtime reports
_SENDER = "openvino_telemetry"

_lock = threading.RLock()  # what is set or hidden for an import is so for the whole process
_decided: dict[str, Telemetry] = {}  # of the engines that were imported here


@dataclass(frozen=True)
class Telemetry:
    """Whether the package ``engine`` reports to its maker when this process uses it, and what decides that."""

    engine: str
    on: bool
    reason: str


def describe_telemetry() -> tuple[Telemetry, Telemetry]:
    """What holds for ONNX Runtime and for OpenVINO in this process. Imports neither."""
    with _lock:
        return (
            _decided.get("onnxruntime") or _telemetry_of_onnxruntime(),
            _decided.get("openvino") or _telemetry_of_openvino(),
        )


def import_onnxruntime() -> Any:
    """The module ``onnxruntime``, its telemetry off. Raises MissingExtraError, and EngineError where it is broken."""
    with _lock:
        if "onnxruntime" in _decided:
            return _onnxruntime()
        decision = _telemetry_of_onnxruntime()
        unwanted = not _wants_onnxruntime_telemetry()
        if unwanted:
            os.environ[ORT_SWITCH] = os.environ.get(ORT_SWITCH) or "1"
        module = _onnxruntime()
        if unwanted:  # where the switch came too late, and on Windows, where it does not count
            module.disable_telemetry_events()
        _decided["onnxruntime"] = decision
        return module


def import_openvino() -> Any:
    """The module ``openvino``, its telemetry off. Raises MissingExtraError, and EngineError where it is broken."""
    with _lock:
        if "openvino" in _decided:
            return _openvino()
        decision = _telemetry_of_openvino()
        if decision.on:
            module = _openvino()
        else:
            with _hidden(_SENDER):
                module = _openvino()
        _decided["openvino"] = decision
        return module


def import_package(name: str, extra: str, purpose: str, needs: str) -> Any:
    """The module ``name``, which must have the attribute ``needs``: an uninstalled package can leave an empty folder.

    ``extra``: the extra that installs it, "" for a base dependency. ``purpose``: what it is for, as the error says it.
    Raises MissingExtraError where it is not installed, EngineError with the cause where it is and cannot be imported.
    """
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a library that is missing, NumPy of another ABI, a file cut short: it may be anything
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            raise MissingExtraError(name, extra, purpose) from None
        cause = f"{type(error).__name__}: {one_line(error)}"
        raise EngineError(f"{name} is installed and cannot be imported ({cause}); install it again") from error
    if not hasattr(module, needs):
        raise EngineError(f"{name} is installed in part only: it has no {needs}; install it again")
    return module


def _onnxruntime() -> Any:
    return import_package("onnxruntime", "", "running on ONNX Runtime", needs="InferenceSession")


def _openvino() -> Any:
    return import_package("openvino", "openvino", "running on OpenVINO", needs="Core")


def _wants_telemetry() -> bool:
    return os.environ.get(ALLOW) == "1"


def _wants_onnxruntime_telemetry() -> bool:
    if value := os.environ.get(ORT_SWITCH):
        return value.lower() not in _ORT_OFF
    return _wants_telemetry()


def _telemetry_of_onnxruntime() -> Telemetry:
    """Before it is imported here."""
    if value := os.environ.get(ORT_SWITCH):
        return Telemetry("onnxruntime", value.lower() not in _ORT_OFF, f"{ORT_SWITCH}={value} is set")
    if _wants_telemetry():
        return Telemetry("onnxruntime", True, f"{ALLOW}=1 is set")
    if "onnxruntime" in sys.modules:
        reason = f"the program imported onnxruntime before edgevision did: start it with {ORT_SWITCH}=1"
        return Telemetry("onnxruntime", True, reason)
    return Telemetry("onnxruntime", False, f"edgevision sets {ORT_SWITCH}=1")


def _telemetry_of_openvino() -> Telemetry:
    """Before it is imported here."""
    if _wants_telemetry():
        return Telemetry("openvino", True, f"{ALLOW}=1 is set")
    if "openvino" in sys.modules and sys.modules.get(_SENDER) is not None:
        reason = f"the program imported openvino before edgevision did: let edgevision load its model first, or uninstall {_SENDER}"
        return Telemetry("openvino", True, reason)
    return Telemetry("openvino", False, f"edgevision hides {_SENDER} from openvino")


@contextmanager
def _hidden(package: str) -> Iterator[None]:
    """Importing ``package`` fails inside, as if it was not installed. Afterwards all is as before."""
    nothing = ModuleType(package)
    before = sys.modules.get(package, nothing)
    sys.modules[package] = None  # type: ignore[assignment]  # how Python marks what must not be imported
    try:
        yield
    finally:
        if before is nothing:
            del sys.modules[package]
        else:
            sys.modules[package] = before
