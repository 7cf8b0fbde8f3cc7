"""The house rules that hold for every module: who may import whom, what an import may cost, how long a module may be."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "edgevision"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))
MAX_LINES = 400

# From the ground up; a room may import from itself and from lines before its own.
ROOMS: list[set[str]] = [
    {"errors", "_native"},
    {"frames", "files", "image_header", "latency"},
    {"decode", "machine"},
    {"preprocess"},
    {"tasks"},
    {"engines"},
    {"bundle"},
    {"runner"},
    {"selftest", "suited"},
    {"plans"},
    {"tuning"},
    {"model"},
    {""},  # edgevision itself
    {"evaluate"},
    {"train"},
    {"compiler"},
    {"demo", "bench", "kiosk", "streams"},
    {"cli"},
    {"__main__"},
]
HEIGHT = {name: height for height, names in enumerate(ROOMS) for name in names}

MAKERS = {"compiler", "train"}  # rooms that may use torch and onnx
TORCH = {"torch", "torchvision", "onnx", "onnxscript", "torch_pruning"}
# May be missing: imported inside functions everywhere.
OPTIONAL = {"openvino", "matplotlib", "tensorboard", "cuda", "pycuda", "tensorrt", "tensorrt_lean", "tensorrt_rtx"}
SLOW = {
    "cv2",
    "onnxruntime",
    "rich",
}  # always there: inside functions in the runtime and the command line, to start quickly


def room(path: Path) -> str:
    first = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    return "" if first == "__init__" else first


def imports(path: Path) -> Iterator[tuple[str, bool, int]]:
    """(module, whether it is imported when the file is, line) for each import; ``if TYPE_CHECKING`` counts as inside."""

    def walk(node: ast.AST, on_import: bool) -> Iterator[tuple[str, bool, int]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield alias.name, on_import, child.lineno
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}:{child.lineno}: imports here are absolute"
                module = child.module or ""
                for alias in child.names:  # "from edgevision import decode" imports the module edgevision.decode
                    yield f"{module}.{alias.name}" if module == "edgevision" else module, on_import, child.lineno
            else:
                lazy = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or (
                    isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
                )
                yield from walk(child, on_import and not lazy)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True)


def where(path: Path, line: int) -> str:
    return f"{path.relative_to(ROOT)}:{line}"


def test_every_room_is_known():
    assert {room(path) for path in MODULES} <= set(HEIGHT)


def test_no_import_points_up():
    wrong = []
    for path in MODULES:
        if room(path) == "":  # loads its names lazily, from above
            continue
        for module, _, line in imports(path):
            if module.split(".")[0] != "edgevision":
                continue
            target = [*module.split("."), ""][1]
            target = target if target in HEIGHT else ""
            if target != room(path) and HEIGHT[target] >= HEIGHT[room(path)]:
                wrong.append(f"{where(path, line)} imports {module}")
    assert not wrong


def test_only_the_makers_use_torch_and_onnx():
    """The command line and the benchmarks may, inside functions."""
    wrong = []
    for path in MODULES:
        for module, on_import, line in imports(path):
            inside = room(path) in {"cli", "bench"} and not on_import
            if module.split(".")[0] in TORCH and room(path) not in MAKERS and not inside:
                wrong.append(f"{where(path, line)} imports {module}")
    assert not wrong


def test_optional_and_slow_packages_are_imported_inside_functions():
    wrong = []
    for path in MODULES:
        quick = room(path) == "cli" or HEIGHT[room(path)] <= HEIGHT["model"]
        for module, on_import, line in imports(path):
            package = module.split(".")[0]
            if on_import and (package in OPTIONAL or (package in SLOW and quick)):
                wrong.append(f"{where(path, line)} imports {module}")
    assert not wrong


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


def loaded_after(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_importing_edgevision_loads_next_to_nothing():
    heavy = {"numpy", "torch", "onnx", "cv2", "onnxruntime", "openvino", "rich", "matplotlib", "cuda", "pycuda"}
    assert not heavy & loaded_after("import edgevision")


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
