"""The package as the tests of its rules see it: its rooms from the ground up, and every import in it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "edgevision"


def module_name(path: Path) -> str:
    return ".".join(("edgevision", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


MODULES = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}

# From the ground up; a room may import from itself and from lines before its own.
ROOMS: list[set[str]] = [
    {"errors", "fork", "_native"},
    {"frames", "files", "machine", "latency", "tensors", "closing", "calls", "reread"},
    {"decode"},
    {"cuda"},
    {"preprocess"},
    {"tasks"},
    {"engines"},
    {"bundle"},
    {"runtime"},
    {"model"},
    {"cascade"},
    {"loading"},
    {""},  # edgevision itself
    {"evaluate"},
    {"train"},
    {"compiler"},
    {"tracking"},
    {"gallery"},
    {"recommend"},
    {"streams"},
    {"bench"},
    {"kiosk"},
    {"demo"},
    {"cli"},
    {"__main__", "__pyinstaller"},
]
HEIGHT = {name: height for height, names in enumerate(ROOMS) for name in names}

# The same inside compiler/: a folder or module may import from lines before its own.
COMPILER: list[set[str]] = [
    {"effort"},
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
    "torch_pruning", "zxingcpp", "supervision", "hotcoco", "yaml", "paho", "prometheus_client", "sqlalchemy", "tomli", "av",
    "starlette", "uvicorn", "wsproto", "h11", "anyio", "faiss", "tokenizers",
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
