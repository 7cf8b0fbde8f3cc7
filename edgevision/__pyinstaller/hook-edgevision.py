"""What PyInstaller cannot see in the code: modules that are imported by name, files beside them, and versions.

Tasks, engines and public names are imported by name when they are first needed. The makers of models and the tools that measure them
stay out, and so does PyTorch, which only they use; a program that imports them itself still gets them.
"""

from __future__ import annotations

import importlib.util
from contextlib import suppress
from importlib import metadata

from PyInstaller.utils.hooks import collect_data_files, collect_dynamic_libs, collect_submodules, copy_metadata

# Rooms that make models or measure them, and those of the command line.
_TOOLS = (
    "__main__",
    "bench",
    "cli",
    "compiler",
    "demo",
    "evaluate",
    "train",
    "__pyinstaller",
    "streams.camsim",
    "streams.soak",
)
# Optional packages that our code imports by name or inside functions, and whose own hooks then bring their files.
_BY_NAME = ("cv2", "onnxruntime", "openvino", "av", "paho.mqtt.client", "prometheus_client", "zxingcpp", "wsproto")


def _is_wanted(name: str) -> bool:
    inside = name.removeprefix("edgevision.")
    return not any(inside == tool or inside.startswith(f"{tool}.") for tool in _TOOLS)


def _is_installed(name: str) -> bool:
    with suppress(ImportError):  # of a package that stands before a dot
        return importlib.util.find_spec(name) is not None
    return False


hiddenimports = [*collect_submodules("edgevision", filter=_is_wanted), *filter(_is_installed, _BY_NAME)]
excludedimports = [
    "torch", "torchvision", "onnx", "onnxscript", "torch_pruning", "matplotlib", "tensorboard", "scipy", "hotcoco", "pytest",
]  # fmt: skip
# OpenVINO loads these by name from the folder that its core library lies in, which PyInstaller keeps in some environments and moves to the top in others.
_OPENVINO = ("*openvino_intel_cpu_plugin*", "*openvino_onnx_frontend*", "*openvino_ir_frontend*", "*tbbbind*")
binaries = []
if _is_installed("openvino"):
    for _place in (".", "openvino/libs"):
        binaries += [
            (source, _place) for source, _ in collect_dynamic_libs("openvino", search_patterns=list(_OPENVINO))
        ]
datas = collect_data_files("edgevision", excludes=["**/*.pyi", "**/py.typed"])
for _name in ("edgevision", "onnxruntime", "openvino", "numpy"):
    with suppress(metadata.PackageNotFoundError):
        datas += copy_metadata(_name)
