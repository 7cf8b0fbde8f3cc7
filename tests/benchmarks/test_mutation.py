"""benchmarks.mutation: what it changes, and that it changes one thing only."""

from __future__ import annotations

import ast
import difflib

import pytest

from benchmarks.mutation import ROOT, files_testing, mutants_of, mutated


@pytest.mark.parametrize(
    ("source", "changes"),
    [
        ("a < b", ["a <= b"]),
        ("x = a is not None", ["x = a is None"]),
        ("x = a + b * 2", ["x = a - b * 2", "x = a + b / 2", "x = a + b * 3"]),
        ("x = a and not b", ["x = a or not b", "x = a and b"]),
        ("x = True", ["x = False"]),
        ("f(x)", ["pass"]),
        ("def f():\n    return g(1)", ["def f():\n    return None", "def f():\n    return g(2)"]),
        ("def f(x: int = 3) -> 'a + b':\n    return x.y", ["def f(x: int=4) -> 'a + b':\n    return x.y"]),
        ("x: 'a + b' = 'text' + name", []),
        ("raise Error(a + 1)", []),
        ("'''A docstring of 3 words.'''", []),
        ("if TYPE_CHECKING:\n    x = 1", []),
        ("import a", []),
    ],
)
def test_mutants(source, changes):
    made = [mutated(source, mutant.place) for mutant in mutants_of("m.py", source)]
    assert sorted(made) == sorted(changes)


def test_each_mutant_of_a_module_differs_in_one_place():
    path = "edgevision/runtime/variant_order.py"
    source = (ROOT / path).read_text()
    plain = ast.unparse(ast.parse(source)).splitlines()
    mutants = list(mutants_of(path, source))
    assert len(mutants) > 10
    for mutant in mutants:
        lines = mutated(source, mutant.place).splitlines()
        changed = [line for line in difflib.ndiff(plain, lines) if line.startswith("+ ")]
        assert len(changed) <= 1, mutant


@pytest.mark.parametrize(
    ("module", "first"),
    [
        ("edgevision/compiler/effort.py", "tests/compiler/test_effort.py"),
        ("edgevision/runtime/tuning.py", "tests/runtime/test_tuning.py"),
        ("edgevision/compiler/quantize/lint.py", "tests/compiler/quantize/test_lint.py"),
    ],
)
def test_the_mirroring_tests_come_first(module, first):
    assert files_testing(module)[0] == first
