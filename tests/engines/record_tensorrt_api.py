"""Record which names TensorRT's Python bindings have, from their wheels: ``tensorrt_api.json``, which tests read.

    pip download --no-deps tensorrt-cu12-bindings==10.3.0 tensorrt-cu13-bindings==10.16.1.11 …
    python tests/engines/record_tensorrt_api.py *.whl

The bindings are one extension module each, which wants NVIDIA's libraries (gigabytes, not on PyPI). It uses ten C entry
points of them, and none on import: empty libraries with those names let it be imported without TensorRT and without a
GPU, and say what it has. Needs Linux on x86-64, a C compiler, and the Python that the wheels are for.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

TARGET = Path(__file__).with_name("tensorrt_api.json")

# Of the classes our code touches, all names; of what it calls, the signatures besides.
CLASSES = (
    "Builder", "BuilderFlag", "DataType", "EngineCapability", "EngineInspector", "ExecutionContextAllocationStrategy",
    "HardwareCompatibilityLevel", "IBuilderConfig", "ICudaEngine", "IExecutionContext", "IHostMemory", "ILogger",
    "INetworkDefinition", "IOptimizationProfile", "ITensor", "ITimingCache", "LayerInformationFormat", "MemoryPoolType",
    "NetworkDefinitionCreationFlag", "OnnxParser", "ParserError", "ProfilingVerbosity", "Runtime", "TensorIOMode",
)  # fmt: skip
ENTRY_POINTS = (
    "createInferBuilder_INTERNAL", "createInferRefitter_INTERNAL", "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL", "createNvOnnxParser_INTERNAL", "getBuilderPluginRegistry",
    "getNvOnnxParserVersion", "getPluginRegistry", "initLibNvInferPlugins",
)  # fmt: skip


def record(wheel: Path) -> tuple[str, dict[str, Any]]:
    """("tensorrt 10.3.0", what ``describe`` found) of the bindings in a wheel."""
    package, version, *_ = wheel.name.split("-")
    kind = package.split("_cu")[0].replace("_", "-")
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        (module,) = Path(folder).glob("*/tensorrt*.so")
        source = Path(folder, "stub.c")
        source.write_text("".join(f"void {name}(void) {{}}\n" for name in ENTRY_POINTS))
        # The bindings' own file says what it wants: libnvinfer.so.10, …
        for name in set(re.findall(rb"lib(?:nv|tensorrt)[a-z_]+\.so\.[\d.]*\d", module.read_bytes())):
            target = Path(folder, name.decode())
            subprocess.run(["cc", "-shared", "-fPIC", "-o", target, source, f"-Wl,-soname,{target.name}"], check=True)
        done = subprocess.run(
            [sys.executable, __file__, "--describe", str(module)],
            capture_output=True, text=True, check=True, env={**os.environ, "LD_LIBRARY_PATH": folder},
        )  # fmt: skip
        return f"{kind} {version}", json.loads(done.stdout)


def describe(path: Path) -> dict[str, Any]:
    """``{class: {name: signatures or ""}}`` of the bindings in a file."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return describe_module(module)


def describe_module(module: Any) -> dict[str, Any]:
    """See ``describe``; also of a module that was imported."""
    classes = {name: getattr(module, name) for name in CLASSES if hasattr(module, name)}
    return {
        **{name: {n: _signatures(getattr(c, n)) for n in sorted(_names(c))} for name, c in classes.items()},
    }


def _names(kind: type) -> set[str]:
    return {n for n in dir(kind) if not n.startswith("_")} | ({"__init__"} & set(vars(kind)))


def _signatures(value: Any) -> str:
    """``(self, stream_handle: int) -> bool``, one for each overload, joined by " | "; "" for what is not called."""
    if not callable(value) or isinstance(value, type):
        return ""
    found = re.findall(r"^(?:\d+\. )?\w+(\(.*\)(?: -> .+)?)$", value.__doc__ or "", re.MULTILINE)
    return " | ".join(_plain(text) for text in found if "*args, **kwargs" not in text)


def _plain(signature: str) -> str:
    return re.sub(r"\b(?:\w+\.)+(?=\w)", "", signature)


def main(files: list[str]) -> None:
    """Write the record of the wheels named."""
    if files[:1] == ["--describe"]:
        print(json.dumps(describe(Path(files[1]))))
        return
    versions = dict(record(Path(name)) for name in files)
    TARGET.write_text(json.dumps(versions, indent=0, sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
