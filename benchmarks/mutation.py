"""How many wrong versions of the code the tests notice: mutants of the compile and runtime rooms, each run against the tests
of its module.

    .venv/bin/python -m benchmarks.mutation --count 200                 # hours on two cores
    .venv/bin/python -m benchmarks.mutation --count 20 --rooms runtime  # some

A mutant is the code with one thing changed: a comparison, an operator, a number, a condition, a call left out. Places are
drawn with a seed, the same share of every module's lines; what cannot matter (messages, docstrings, annotations) is not among
them. The tests run in a copy of the checkout, so this one may be worked in meanwhile. Killed: a test fails, or none ends in
time. Some survivors compute the same thing, and no test can tell them: look at each before calling a test weak.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue

import edgevision._native
from benchmarks.common import RESULTS, ROOT, write_result

RESULT = "mutation"
ROOMS = ("compiler", "runtime")
LIMIT_S = 400.0  # for the tests of one mutant
MOST_TESTS = 4  # files, besides the module's own: those that name it most often

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.Pow: ast.Mult, ast.LShift: ast.RShift,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change of one module: which place of those that ``places`` finds, and how it reads before and after."""

    module: str  # path below the checkout
    place: int
    line: int
    before: str
    after: str


@dataclass(frozen=True)
class Fate:
    """What became of a mutant. ``fate``: killed, survived or hung; ``tests``: that ran; ``seconds``."""

    mutant: Mutant
    fate: str
    tests: tuple[str, ...]
    seconds: float


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--count", type=int, default=200)
    p.add_argument("--rooms", nargs="*", default=ROOMS)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    p.add_argument("--survivors", action="store_true", help="run those again that survived the last time")
    arguments = p.parse_args()
    if arguments.survivors:
        last = json.loads((RESULTS / f"{RESULT}.json").read_text())["survivors"]
        chosen = [Mutant(**entry["mutant"]) for entry in last]
    else:
        chosen = draw(arguments.rooms, arguments.count, arguments.seed)
    fates = run(chosen, arguments.jobs)
    killed = sum(fate.fate != "survived" for fate in fates)
    print(f"{killed} of {len(fates)} mutants died")
    if not arguments.survivors:
        survivors = [asdict(fate) for fate in fates if fate.fate == "survived"]
        write_result(
            RESULT,
            {"rooms": list(arguments.rooms), "seed": arguments.seed, "mutants": len(fates), "killed": killed, "survivors": survivors},
        )  # fmt: skip


def draw(rooms: list[str] | tuple[str, ...], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants, each place equally likely, at most one for each line."""
    rng = random.Random(seed)
    found: dict[tuple[str, int], list[Mutant]] = {}
    for room in rooms:
        for path in sorted((ROOT / "edgevision" / room).rglob("*.py")):
            module = str(path.relative_to(ROOT))
            for mutant in mutants_of(module, path.read_text()):
                found.setdefault((module, mutant.line), []).append(mutant)
    lines = sorted(found)
    rng.shuffle(lines)
    return [rng.choice(found[line]) for line in lines[:count]]


def mutants_of(module: str, source: str) -> Iterator[Mutant]:
    """Every mutant of a module's source."""
    tree = ast.parse(source)
    for place, node in enumerate(_places(tree)):
        changed = _changed(node)
        if changed is not None:
            yield Mutant(module, place, node.lineno, ast.unparse(node), ast.unparse(changed))


def mutated(source: str, place: int) -> str:
    """The source with the change at that place."""
    tree = ast.parse(source)
    node = list(_places(tree))[place]
    changed = _changed(node)
    assert changed is not None
    for parent in ast.walk(tree):
        for name, value in ast.iter_fields(parent):
            if value is node:
                setattr(parent, name, changed)
            elif isinstance(value, list) and any(entry is node for entry in value):
                setattr(parent, name, [changed if entry is node else entry for entry in value])
    return ast.unparse(ast.fix_missing_locations(tree))


def _places(tree: ast.AST) -> Iterator[ast.expr | ast.stmt]:
    """Expressions and statements that a change of may matter, in the order of the source."""
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, (ast.Raise, ast.Assert, ast.Import, ast.ImportFrom, ast.JoinedStr, ast.Global)):
            continue
        if isinstance(tree, ast.AnnAssign) and child is tree.annotation:
            continue
        if isinstance(tree, (ast.FunctionDef, ast.ClassDef)) and (
            child in tree.decorator_list or child is getattr(tree, "returns", None)
        ):
            continue
        if isinstance(child, ast.arg):
            continue  # its annotation
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, (ast.expr, ast.stmt)) and _changed(child) is not None:
            yield child
        yield from _places(child)


def _changed(node: ast.AST) -> ast.expr | ast.stmt | None:
    """The node with one thing else, or None where nothing is to be changed."""
    new = copy.deepcopy(node)
    if isinstance(new, ast.Compare) and type(new.ops[0]) in _COMPARISONS:
        new.ops[0] = _COMPARISONS[type(new.ops[0])]()
        return new
    if isinstance(new, ast.BinOp) and type(new.op) in _OPERATORS and not _is_text(new.left) and not _is_text(new.right):
        new.op = _OPERATORS[type(new.op)]()
        return new
    if isinstance(new, ast.BoolOp):
        new.op = ast.Or() if isinstance(new.op, ast.And) else ast.And()
        return new
    if isinstance(new, ast.UnaryOp) and isinstance(new.op, ast.Not):
        return new.operand
    if isinstance(new, ast.Constant) and isinstance(new.value, bool):
        return ast.Constant(not new.value)
    if isinstance(new, ast.Constant) and isinstance(new.value, (int, float)):
        return ast.Constant(new.value + 1)
    if isinstance(new, ast.Expr) and isinstance(new.value, ast.Call):
        return ast.Pass()
    if isinstance(new, ast.Return) and isinstance(new.value, (ast.Name, ast.Call)):
        return ast.Return(ast.Constant(None))
    return None


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def files_testing(module: str) -> tuple[str, ...]:
    """Test files of a module: the one that mirrors it, those of its room that name it, and the first of the others that do."""
    dotted = module.removesuffix(".py").replace("/", ".")
    path = Path(module).relative_to("edgevision")
    own = Path("tests") / path.parent / f"test_{path.stem}.py"
    found: dict[str, int] = {}
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        name = str(file.relative_to(ROOT))
        text = file.read_text()
        mentions = text.count(dotted) + text.count(f"from {dotted.rpartition('.')[0]} import {path.stem}")
        if mentions or name == str(own):
            found[name] = 1000 if name == str(own) else mentions
    order = sorted(found, key=lambda name: (-found[name], name))[: MOST_TESTS + 1]
    return tuple(order) or tuple(
        sorted({str(p.relative_to(ROOT)) for p in (ROOT / "tests" / path.parent).glob("test_*.py")})
    )


def run(mutants: list[Mutant], jobs: int) -> list[Fate]:
    """The fate of each, several at a time, each in a copy of the checkout."""
    with tempfile.TemporaryDirectory(prefix="edgevision-mutants-") as folder:
        copies: Queue[Path] = Queue()
        for place in range(jobs):
            target = Path(folder, str(place))
            ignored = shutil.ignore_patterns(
                ".git", ".venv", "build", "runs", ".mypy_cache", ".pytest_cache", "__pycache__"
            )
            shutil.copytree(ROOT, target, ignore=ignored)
            _make_importable(target)
            copies.put(target)
        with ThreadPoolExecutor(jobs) as pool:
            fates = []
            for fate in pool.map(lambda mutant: _try(mutant, copies), mutants):
                fates.append(fate)
                m = fate.mutant
                print(f"{len(fates)}/{len(mutants)} {fate.fate:8} {fate.seconds:4.0f} s {m.module}:{m.line} {m.before[:60]!r} → {m.after[:60]!r}",
                      file=sys.stderr, flush=True)  # fmt: skip
    return fates


def _make_importable(checkout: Path) -> None:
    """The native module, and no finder of an editable installation, which would import the original all the same."""
    native = Path(edgevision._native.__file__ or "")
    shutil.copy(native, checkout / "edgevision" / native.name)
    (checkout / "sitecustomize.py").write_text(
        "import sys\nsys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in type(f).__module__]\n"
    )
    code = "import edgevision; print(edgevision.__file__)"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if not Path(done.stdout.strip()).is_relative_to(checkout):
        sys.exit(f"the copy {checkout} is not what Python imports, but {done.stdout.strip()}: no mutant would be seen")


def _try(mutant: Mutant, copies: Queue[Path]) -> Fate:
    checkout = copies.get()
    file = checkout / mutant.module
    source = file.read_text()
    tests = files_testing(mutant.module)
    start = time.monotonic()
    try:
        file.write_text(mutated(source, mutant.place))
        command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *tests]
        done = subprocess.run(
            command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}, capture_output=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        fate = "survived" if done.returncode == 0 else "killed"
    except subprocess.TimeoutExpired:
        fate = "hung"
    finally:
        file.write_text(source)
        copies.put(checkout)
    return Fate(mutant, fate, tests, time.monotonic() - start)


if __name__ == "__main__":
    main()
