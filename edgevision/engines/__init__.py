"""Engines: what runs tensors through a network."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from edgevision.engines.base import Engine, EngineOptions, Slot
from edgevision.engines.graph_check import check_graph
from edgevision.engines.guard import engine_errors, run_with_timeout, time_limit_s
from edgevision.engines.host import CheckBatch, HostEngine, load_error
from edgevision.errors import EngineError, MissingExtraError

__all__ = ["ENGINES", "Engine", "EngineOptions", "Slot", "available_engines", "open_engine"]

# Engine → the extra that installs it; None = a base dependency.
ENGINES: dict[str, str | None] = {
    "onnxruntime": None, "openvino": "openvino", "tensorrt": "tensorrt", "tensorrt-rtx": "tensorrt-rtx",
}  # fmt: skip
# Modules that an engine needs any one of, where they are not called as it is.
_MODULES = {"tensorrt": ("tensorrt", "tensorrt_lean"), "tensorrt-rtx": ("tensorrt_rtx",)}


def available_engines() -> dict[str, str]:
    """Engines installed here, with their versions. Imports none of them."""
    modules = {name: _MODULES.get(name, (name,)) for name in ENGINES}
    found = {name: next(filter(importlib.util.find_spec, options), None) for name, options in modules.items()}
    return {name: _version(module) for name, module in found.items() if module is not None}


def open_engine(name: str, graph: bytes | Path, options: EngineOptions | None = None) -> Engine:
    """Load an ONNX graph, given as bytes or as the path of a file, into an engine. TensorRT takes its own engines too.

    The graph is read first, and refused where it names other files, has loops, or would cost more than any recogniser
    (``graph_check``). An engine that takes longer over it than ``EDGEVISION_ENGINE_TIMEOUT`` seconds (120; 0 = no limit)
    is not waited for; TensorRT, which builds for minutes, always is.

    Raises MissingExtraError when the engine is not installed, EngineError when the engine is unknown, or refuses the
    graph or the options, or the graph is refused.

    >>> with open_engine("onnxruntime", Path("model.onnx"), EngineOptions(threads=2)) as engine:  # doctest: +SKIP
    ...     (slot,) = engine.slots(batch=1)
    ...     slot.inputs["input"][:] = 0.5
    ...     engine.run(slot)
    ...     slot.outputs["output"].argmax()
    """
    options = options or EngineOptions()
    if name not in ENGINES:
        raise EngineError(f"engines are {list(ENGINES)}, got {name!r}")
    if options.threads < 1:
        raise EngineError(f"an engine needs at least 1 thread, got {options.threads}")
    if isinstance(graph, Path) and not graph.is_file():
        raise EngineError(f"there is no graph file {graph}")
    version = available_engines().get(name)
    if version is None:
        raise MissingExtraError(name, ENGINES[name] or "", f"running on {name}")
    with engine_errors(lambda error: load_error(name, error)):
        data = graph if isinstance(graph, bytes) else graph.read_bytes()
        if name in ("tensorrt", "tensorrt-rtx"):
            from edgevision.engines.tensorrt import TensorRtEngine, is_engine_file

            if not is_engine_file(data):
                check_graph(data, name)
            return TensorRtEngine(data, options, version, kind=name)
        checked = check_graph(data, name)
        return run_with_timeout(
            time_limit_s(), name, lambda: _open_host_engine(name, data, options, version, checked.check_batch)
        )


def _open_host_engine(
    name: str, graph: bytes, options: EngineOptions, version: str, check_batch: CheckBatch
) -> HostEngine:
    if name == "onnxruntime":
        from edgevision.engines.onnxruntime import OnnxRuntimeEngine

        return OnnxRuntimeEngine(graph, options, version, check_batch)
    from edgevision.engines.openvino import OpenVinoEngine

    return OpenVinoEngine(graph, options, version, check_batch)


def _version(package: str) -> str:
    return _stated_version(package) or _distribution_version(package)


def _stated_version(package: str) -> str | None:
    """What the metadata beside an installed package state; None where they are elsewhere, or not plain.

    importlib.metadata would say the same, but importing it takes longer than most of the runtime does.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return None
    found = list(Path(spec.origin).parents[1].glob(f"{package}-*.dist-info/METADATA"))
    if len(found) != 1:
        return None
    with found[0].open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            name, _, value = line.partition(":")
            if name == "Version":
                return value.strip()
            if not line.strip():  # the end of the header
                return None
    return None


def _distribution_version(package: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:  # the same module from another distribution, such as onnxruntime-gpu
        distributions = metadata.packages_distributions().get(package)
        return metadata.version(distributions[0]) if distributions else "unknown"
