"""benchmarks.mutation: what it changes, and that it changes one thing only."""

from __future__ import annotations

import ast
import difflib
import subprocess
from pathlib import Path

import pytest

from benchmarks import mutation
from benchmarks.common import ROOT
from benchmarks.mutants import Mutant, draw, mutants_of, mutated
from benchmarks.mutation import Fate, Log, check_out, files_testing, run, summary
from benchmarks.mutation_cover import Cover, record_cover

FOLDER = Path(__file__).parent  # small enough to be copied


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


# ---- runs ----

TOY = "edgevision/compiler/toy.py"
FILES = {
    "edgevision/__init__.py": "",
    "edgevision/compiler/__init__.py": "",
    TOY: "def larger(a, b):\n    return a if a > b else b\n\n\ndef total(a, b):\n    return a + b\n",
    "edgevision/compiler/broken.py": "def f():\n    return not False\n",
    "tests/compiler/test_toy.py": "from edgevision.compiler.toy import larger, total\n\n\ndef test_both():\n    assert (larger(1, 2), total(1, 2)) == (2, 3)\n",
    "tests/compiler/test_use.py": "import edgevision.compiler.toy\n\n\ndef test_it():\n    assert edgevision\n",
    "tests/compiler/test_broken.py": "import edgevision.compiler.broken\n\n\ndef test_it():\n    assert False\n",
}  # fmt: skip


@pytest.fixture
def toy(tmp_path):
    """A checkout with a module and its tests, and another whose tests fail whatever the code is."""
    for name, text in FILES.items():
        (tmp_path / "toy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "toy" / name).write_text(text)
    return tmp_path / "toy"


@pytest.mark.slow
def test_what_becomes_of_mutants(toy, tmp_path):
    """One that no test can notice, for it computes the same; one that is noticed; and one whose tests fail without it too."""
    drawn = sorted(draw(["compiler"], 100, 0, toy), key=lambda mutant: (mutant.module, mutant.line))
    assert [mutant.module for mutant in drawn] == ["edgevision/compiler/broken.py", TOY, TOY]
    fates = run(drawn, 1, toy, Log.open(tmp_path / "log.jsonl", drawn, resume=False))
    assert [(fate.mutant.before, fate.fate) for fate in fates[1:]] == [("a > b", "survived"), ("a + b", "killed")]
    assert fates[0].fate == "unknown"
    assert [fate.tests for fate in fates[1:]] == [
        ("tests/compiler/test_toy.py", "tests/compiler/test_use.py"), ("tests/compiler/test_toy.py",),
    ]  # fmt: skip
    assert summary(fates) == "1 of 2 mutants died; of 1 the tests fail without them too"
    assert (toy / TOY).read_text() == FILES[TOY]
    assert list(Log.open(tmp_path / "log.jsonl", drawn, resume=True).fates.values()) == fates  # each was written down


@pytest.mark.slow
def test_a_mutant_gets_the_tests_that_run_its_line(toy, tmp_path):
    """Found by coverage: ``total`` is run by the one test, the file that only imports the module is none of its tests."""
    record_cover(["compiler"], toy, 1, tmp_path / "cover.json")
    cover = Cover.read(tmp_path / "cover.json")
    drawn = [mutant for mutant in draw(["compiler"], 100, 0, toy) if mutant.module == TOY]
    assert {cover.tests_of(mutant) for mutant in drawn} == {("tests/compiler/test_toy.py::test_both",)}
    assert all("test_broken" not in name for name, _ in cover.tests)  # it does not pass
    fates = run(drawn, 1, toy, None, cover)
    assert sorted((fate.mutant.before, fate.fate) for fate in fates) == [("a + b", "killed"), ("a > b", "survived")]


def test_of_many_tests_the_mirroring_files_and_the_quickest_are_taken():
    mutant = Mutant(TOY, 0, 6, "a", "b")
    tests = [
        ("tests/x.py::slow", 40.0),
        ("tests/x.py::quick", 1.0),
        ("tests/compiler/test_toy.py::own", 9.0),
        ("tests/x.py::other", 0.1),
    ]
    cover = Cover(tuple(tests), {TOY: {4: (0, 1, 2), 1: (3,)}})
    assert cover.tests_of(mutant) == (
        "tests/compiler/test_toy.py::own",
        "tests/x.py::quick",
    )  # the slow one does not fit
    assert cover.tests_of(Mutant(TOY, 0, 60, "a", "b")) == ()
    assert cover.tests_of(Mutant("edgevision/compiler/other.py", 0, 6, "a", "b")) == ()


@pytest.mark.slow
def test_a_module_that_cannot_be_imported_any_more_is_noticed(toy):
    (toy / TOY).write_text("def ten():\n    return 10\n\n\nTEN = 1 / (ten() - 9)\n")
    (toy / "tests/compiler/test_toy.py").write_text(
        "from edgevision.compiler.toy import TEN\n\n\ndef test_ten():\n    assert TEN == 1\n"
    )
    (mutant,) = (one for one in mutants_of(TOY, (toy / TOY).read_text()) if one.before == "9")
    cover = Cover((("tests/compiler/test_toy.py::test_ten", 0.1),), {TOY: {5: (0,)}})
    assert [fate.fate for fate in run([mutant], 1, toy, None, cover)] == ["killed"]
    nobody = Cover((("tests/compiler/test_toy.py::test_nobody", 0.1),), {TOY: {5: (0,)}})
    assert [fate.fate for fate in run([mutant], 1, toy, None, nobody)] == ["unknown"]


@pytest.fixture
def fates():
    mutants = list(mutants_of("m.py", "x = a < b\ny = a + b\nz = True"))
    return [Fate(m, fate, ("t.py",), 1.5) for m, fate in zip(mutants, ("killed", "survived", "hung"), strict=True)]


@pytest.mark.parametrize("cut", [0, 7, 60])
def test_a_run_goes_on_where_it_ended(fates, tmp_path, monkeypatch, cut):
    """Also where it was ended while a line was being written; what is known is not run again."""
    path, mutants = tmp_path / "runs" / "log.jsonl", [fate.mutant for fate in fates]
    log = Log.open(path, mutants, resume=True)  # nothing there yet
    for fate in fates[: 2 if cut else 1]:
        log.add(fate)
    if cut:
        path.write_text(path.read_text()[:-cut])
    log = Log.open(path, mutants, resume=True)
    assert log.fates == {mutants[0]: fates[0]}
    tried = []

    def find_out(mutant, checkout, sound, cover):
        tried.append(mutant)
        return fates[mutants.index(mutant)]

    monkeypatch.setattr(mutation, "_try", find_out)
    monkeypatch.setattr(mutation, "copy_of", lambda root, target: target)
    assert run(mutants, 1, FOLDER, log) == fates
    assert tried == mutants[1:]
    assert list(Log.open(path, mutants, resume=True).fates.values()) == fates
    assert run(mutants, 1, FOLDER, Log.open(path, mutants, resume=True)) == fates
    assert tried == mutants[1:]


@pytest.mark.parametrize(
    ("drawn", "resume", "message"), [(3, False, "holds 1 fates: go on with --resume"), (2, True, "of other mutants")]
)
def test_fates_are_neither_lost_nor_taken_for_others(fates, tmp_path, drawn, resume, message):
    path, mutants = tmp_path / "log.jsonl", [fate.mutant for fate in fates]
    Log.open(path, mutants, resume=False).add(fates[0])
    before = path.read_bytes()
    with pytest.raises(SystemExit, match=message):
        Log.open(path, mutants[:drawn], resume=resume)
    assert path.read_bytes() == before


def test_another_revision_is_what_was_committed(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(mutation, "ROOT", toy)
    git = ["git", "-C", toy, "-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-qm", "first"]):
        subprocess.run([*git, *command], check=True)
    (toy / TOY).write_text("")
    (tmp_path / "out").mkdir()
    root = check_out("HEAD", tmp_path / "out")
    assert {name: (root / name).read_text() for name in FILES} == FILES
    assert len(draw(["compiler"], 100, 0, root)) == 3
    with pytest.raises(SystemExit, match="git knows no revision 'nowhere' here"):
        check_out("nowhere", tmp_path / "out")
