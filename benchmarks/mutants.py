"""Wrong versions of code: a module with one thing changed, drawn by chance. For ``benchmarks.mutation``."""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.common import ROOT

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


def draw(rooms: Sequence[str], count: int, seed: int, root: Path = ROOT) -> list[Mutant]:
    """``count`` mutants of the code below ``root``, each place equally likely, at most one for each line."""
    rng = random.Random(seed)
    found: dict[tuple[str, int], list[Mutant]] = {}
    for room in rooms:
        for path in sorted((root / "edgevision" / room).rglob("*.py")):
            module = str(path.relative_to(root))
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
        if isinstance(child, ast.keyword) and child.arg == "strict":
            continue  # zip(…, strict=True) guards against what does not happen
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
