"""Which tests run which line, and how long each takes, where nothing is changed. For ``benchmarks.mutation``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import coverage

import edgevision._native
from benchmarks.common import ROOT
from benchmarks.mutants import Mutant

_NEAR = 10  # lines: coverage names the first line of a long statement only
MOST_COVERING = 150  # tests for one mutant
TESTS_S = 45.0  # for one mutant, as long as the tests took where nothing was changed


def mirror_of(module: str) -> Path:
    """The test file that mirrors a module."""
    path = Path(module).relative_to("edgevision")
    return Path("tests") / path.parent / f"test_{path.stem}.py"


@dataclass(frozen=True)
class Cover:
    """Where nothing is changed: ``tests`` that pass, with the seconds each takes, and for each module and line the places in
    ``tests`` of those that run it."""

    tests: tuple[tuple[str, float], ...] = ()
    lines: Mapping[str, Mapping[int, tuple[int, ...]]] = field(default_factory=dict)

    @classmethod
    def read(cls, file: Path) -> Cover:
        """What ``record_cover`` wrote."""
        told = json.loads(file.read_text())
        lines = {
            module: {int(line): tuple(places) for line, places in found.items()}
            for module, found in told["lines"].items()
        }
        return cls(tuple((name, seconds) for name, seconds in told["tests"]), lines)

    def tests_of(self, mutant: Mutant) -> tuple[str, ...]:
        """The tests that run the mutant's line: the mirroring file's first, then the quickest, as many as fit into
        ``TESTS_S``. None where its line is not run by any test, or not known to be."""
        lines = self.lines.get(mutant.module, {})
        near = next((lines[line] for line in range(mutant.line, mutant.line - _NEAR, -1) if lines.get(line)), ())
        own = str(mirror_of(mutant.module)) + "::"
        order = sorted(
            (self.tests[place] for place in near), key=lambda one: (not one[0].startswith(own), one[1], one[0])
        )
        chosen: list[str] = []
        total = 0.0
        for name, seconds in order[:MOST_COVERING]:
            total += seconds
            if chosen and total > TESTS_S:
                break
            chosen.append(name)
        return tuple(chosen)


def record_cover(rooms: Sequence[str], root: Path, jobs: int, file: Path) -> None:
    """Run the rooms' tests once in a copy of ``root``, and write what ``Cover`` holds."""
    with tempfile.TemporaryDirectory(prefix="edgevision-cover-") as folder:
        checkout = copy_of(root, Path(folder, "copy"))
        told = checkout / "tests-told.json"
        (checkout / "tell_tests.py").write_text(_TELL_TESTS)
        parallel = ["-n", str(jobs), "--dist", "loadfile"] if jobs > 1 else ["-p", "no:xdist"]
        command = [
            sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", *parallel, "-p", "tell_tests", "--cov-context=test",
            "--cov-report=", *(f"--cov=edgevision/{room}" for room in rooms), *(f"tests/{room}" for room in rooms),
        ]  # fmt: skip
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(checkout), *own_path()]),
            "TELL_TESTS": str(told),
        }
        subprocess.run(command, cwd=checkout, env=environment, check=False)
        tests = sorted(json.loads(told.read_text()).items())
        place_of = {name: place for place, (name, _) in enumerate(tests)}
        data = coverage.CoverageData(str(checkout / ".coverage"))
        data.read()
        lines: dict[str, dict[int, list[int]]] = {}
        for path in data.measured_files():
            found = {
                line: sorted({place_of[name] for name in (c.rpartition("|")[0] for c in contexts) if name in place_of})
                for line, contexts in data.contexts_by_lineno(path).items()
            }
            lines[str(Path(path).relative_to(checkout))] = {line: places for line, places in found.items() if places}
    file.write_text(json.dumps({"tests": tests, "lines": lines}))


# A plugin of pytest: writes which tests passed, and the seconds of each.
_TELL_TESTS = """
import json, os
_passed, _seconds, _failed = set(), {}, set()
def pytest_runtest_logreport(report):
    _seconds[report.nodeid] = _seconds.get(report.nodeid, 0.0) + report.duration
    if report.failed:
        _failed.add(report.nodeid)
    elif report.when == "call" and report.passed:
        _passed.add(report.nodeid)
def pytest_sessionfinish(session):
    if not hasattr(session.config, "workerinput"):  # not in the workers of xdist
        told = {name: round(_seconds[name], 3) for name in _passed - _failed}
        with open(os.environ["TELL_TESTS"], "w") as file:
            json.dump(told, file)
"""


def copy_of(root: Path, target: Path) -> Path:
    """The checkout without what is made in it, as Python will import it."""
    ignored = shutil.ignore_patterns(".git", ".venv", "build", "runs", ".mypy_cache", ".pytest_cache", "__pycache__")
    shutil.copytree(root, target, ignore=ignored)
    _make_importable(target)
    return target


def own_path() -> list[str]:
    """Of PYTHONPATH: what lies outside of this checkout, such as packages that were installed apart."""
    return [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p and Path(p).resolve() != ROOT]


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
