"""The rules that hold for every module: who may import whom, what an import may touch, which rooms know no task."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "edgevision"


def module_name(path: Path) -> str:
    return ".".join(("edgevision", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}

# From the ground up; a room may import from itself and from lines before its own.
ROOMS: list[set[str]] = [
    {"errors", "_native"},
    {"frames", "files", "machine", "latency", "tensors"},
    {"decode"},
    {"cuda"},
    {"preprocess"},
    {"tasks"},
    {"engines"},
    {"bundle"},
    {"runtime"},
    {"model"},
    {""},  # edgevision itself
    {"evaluate"},
    {"train"},
    {"compiler"},
    {"tracking", "gallery"},
    {"streams"},
    {"bench"},
    {"kiosk"},
    {"demo"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {name: height for height, names in enumerate(ROOMS) for name in names}

# The same inside compiler/: a folder or module may import from lines before its own.
COMPILER: list[set[str]] = [
    {"progress", "options", "variants", "answers"},
    {"sources"},
    {"data"},
    {"quantize"},
    {"job", "float_model"},
    {"select"},
    {"prune", "report"},
    {"golden"},
    {"pack"},
    {"pipeline"},
    {""},  # edgevision.compiler itself
]
COMPILER_HEIGHT = {name: height for height, names in enumerate(COMPILER) for name in names}

MAKERS = {"compiler", "train"}  # rooms that may use torch and onnx
TORCH = {"torch", "torchvision", "onnx", "onnxscript", "torch_pruning"}
# May be missing: imported inside functions everywhere.
OPTIONAL = {
    "openvino", "matplotlib", "tensorboard", "cuda", "pycuda", "tensorrt", "tensorrt_lean", "tensorrt_rtx",
    "torch_pruning",
}  # fmt: skip
SLOW = {  # always there: inside functions in the runtime and the command line, to start quickly
    "cv2",
    "onnxruntime",
    "rich",
}

# Rooms that know no task, and what would name one there. Kinds come from ``tasks.registry``, metrics from the evaluator.
WITHOUT_TASKS = {"compiler", "runtime"}
TASK_WORDS = re.compile(
    r"\b(ClassifyTask|ClassifyEvaluator|Classification|classify\w*|argmax|top[-_]?[1k5]|accuracy_at|recall@1)\b"
)
TASK_MODULES = re.compile(r"edgevision\.(tasks|evaluate\.tasks)\.(?!base\b|registry\b|results\b)\w+")


class Import(NamedTuple):
    """``target``: the module, as far as the statement tells. ``on_import``: made when the file is imported, not when a
    function of it runs; ``typing``: for type checkers alone."""

    target: str
    line: int
    on_import: bool
    typing: bool


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def room_of(module: str) -> str:
    target = [*module.split("."), ""][1]
    return target if target in HEIGHT else ""


def part_of(module: str) -> str:
    """``select`` of ``edgevision.compiler.select.verdict``; the same for a module that stands in the room itself."""
    return [*module.split("."), "", ""][2]


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, in functions too."""

    def walk(node: ast.AST, on_import: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(alias.name, child.lineno, on_import, typing)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: imports here are absolute"
                module = child.module or ""
                for alias in child.names:
                    # "from edgevision import decode" imports the module edgevision.decode.
                    inner = f"{module}.{alias.name}"
                    known = module == "edgevision" or inner in MODULES
                    yield Import(inner if known else module, child.lineno, on_import, typing)
            else:
                lazy = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
                types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
                yield from walk(child, on_import and not lazy and not types, typing or types)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True, False)


IMPORTS = {name: tuple(imports(path)) for name, path in MODULES.items()}


def where(module: str, line: int) -> str:
    return f"{MODULES[module].relative_to(ROOT)}:{line}"


def ours(module: str) -> Iterator[Import]:
    """Imports of edgevision's own modules. ``edgevision`` itself loads its names lazily, from above: it has none."""
    return (one for one in IMPORTS[module] if module != "edgevision" and one.target.split(".")[0] == "edgevision")


# ---- who imports whom ----


def test_every_room_is_known():
    assert {room(path) for path in MODULES.values()} <= set(HEIGHT)
    assert {part_of(name) for name, path in MODULES.items() if room(path) == "compiler"} == set(COMPILER_HEIGHT)


def test_no_import_points_up():
    wrong = []
    for name, path in MODULES.items():
        for one in ours(name):
            target = room_of(one.target)
            if target != room(path) and HEIGHT[target] >= HEIGHT[room(path)]:
                wrong.append(f"{where(name, one.line)} imports {one.target}")
    assert not wrong


def test_no_import_in_the_compiler_points_up():
    wrong = []
    for name in (name for name in MODULES if room_of(name) == "compiler"):
        if name == "edgevision.compiler":  # loads its names lazily, from above
            continue
        for one in (one for one in ours(name) if room_of(one.target) == "compiler"):
            own, target = part_of(name), part_of(one.target)
            if own != target and COMPILER_HEIGHT[target] >= COMPILER_HEIGHT[own]:
                wrong.append(f"{where(name, one.line)} imports {one.target}")
    assert not wrong


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """A walk along the graph's edges that ends where it began, or nothing."""
    done: set[str] = set()

    def follow(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        for following in sorted(graph.get(node, ())):
            if found := follow(following, [*path, node]):
                return found
        done.add(node)
        return []

    return next((found for node in sorted(graph) if (found := follow(node, []))), [])


def test_no_circle_between_modules():
    """Imports in functions and those for type checkers count as well."""
    graph = {name: {one.target for one in ours(name) if one.target in MODULES} - {name} for name in MODULES}
    found = circle(graph)
    lines = [
        where(name, next(one.line for one in IMPORTS[name] if one.target == target)) for name, target in pairwise(found)
    ]
    assert not found, f"{' → '.join(found)} ({', '.join(lines)})"


@pytest.mark.parametrize("inside", [None, *sorted({room(path) for path in MODULES.values() if path.parent != PACKAGE})])
def test_no_circle_between_rooms_or_folders(inside):
    """``inside``: a room whose folders are looked at; None: the rooms themselves."""
    graph: dict[str, set[str]] = defaultdict(set)
    for name, path in MODULES.items():
        if inside is None:
            graph[room(path)] |= {room_of(one.target) for one in ours(name)} - {room(path), ""}
        elif room(path) == inside and name != f"edgevision.{inside}":  # a package loads its names lazily, from above
            targets = {part_of(one.target) for one in ours(name) if room_of(one.target) == inside}
            graph[part_of(name)] |= targets - {part_of(name)}
    assert not circle(graph)


@pytest.mark.parametrize(
    ("graph", "expected"),
    [
        ({}, []),
        ({"a": {"b", "c"}, "b": {"d"}, "c": {"d"}}, []),
        ({"a": {"a"}}, ["a", "a"]),
        ({"a": {"b"}, "b": {"c"}, "c": {"b"}}, ["b", "c", "b"]),
    ],
)
def test_circles_are_found(graph, expected):
    assert circle(graph) == expected


def test_only_the_makers_use_torch_and_onnx():
    """The command line and the benchmarks may, inside functions."""
    wrong = []
    for name, path in MODULES.items():
        for one in IMPORTS[name]:
            inside = room(path) in {"cli", "bench"} and not one.on_import
            if one.target.split(".")[0] in TORCH and room(path) not in MAKERS and not inside:
                wrong.append(f"{where(name, one.line)} imports {one.target}")
    assert not wrong


def test_optional_and_slow_packages_are_imported_inside_functions():
    wrong = []
    for name, path in MODULES.items():
        quick = room(path) == "cli" or HEIGHT[room(path)] <= HEIGHT["model"]
        for one in IMPORTS[name]:
            package = one.target.split(".")[0]
            if one.on_import and (package in OPTIONAL or (package in SLOW and quick)):
                wrong.append(f"{where(name, one.line)} imports {one.target}")
    assert not wrong


# ---- rooms without tasks ----


def task_words(text: str) -> list[tuple[int, str]]:
    """(line, word) of everything in a module's text that names a task, comments and docstrings included."""
    found = [(text.count("\n", 0, match.start()) + 1, match[0]) for match in TASK_WORDS.finditer(text)]
    return found + [(text.count("\n", 0, match.start()) + 1, match[0]) for match in TASK_MODULES.finditer(text)]


@pytest.mark.parametrize("name", sorted(WITHOUT_TASKS))
def test_the_compiler_and_the_runtime_name_no_task(name):
    """Not even the one that is taken where nothing is said: that is ``tasks.registry.DEFAULT_KIND``, and those who read the
    old formats (``bundle.schema1``, version 1 of ONNX metadata) take it from there."""
    wrong = [
        f"{where(module, line)}: {word}"
        for module, path in MODULES.items()
        if room(path) == name
        for line, word in task_words(path.read_text(encoding="utf-8"))
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("task = ClassifyTask(spec)", ["ClassifyTask"]),
        ("from edgevision.tasks.classify import SCORES", ["classify", "edgevision.tasks.classify"]),
        ("from edgevision.evaluate.tasks.detect import x", ["edgevision.evaluate.tasks.detect"]),
        ("spec = classify_spec(labels)", ["classify_spec"]),
        ("best = scores.argmax(axis=1)", ["argmax"]),
        ('metric = "top1"', ["top1"]),
        ('unit = "points of top-1"', ["top-1"]),
        ("kind = 'classify'", ["classify"]),
        ("from edgevision.tasks.registry import DEFAULT_KIND", []),
        ("from edgevision.tasks.base import TaskSpec", []),
        ("stop = topmost; classes = 3", []),
    ],
)
def test_task_words_are_found(text, expected):
    assert [word for _, word in task_words(text)] == expected


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
    if room(path) not in MAKERS | {"__main__"} and name not in ("edgevision.engines.footprint",)
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
from edgevision.model import verify_variants
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
    assert used & (OPTIONAL | TORCH) - {"onnxscript"} <= set().union(*(packages for _, packages, _, _ in WITHOUT))


# ---- public names ----


@pytest.mark.parametrize("name", [
    "load", "Model", "Frame", "PixelFormat", "ColorEncoding", "Classification", "Prediction", "PreprocessSpec",
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
