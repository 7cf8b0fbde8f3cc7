"""How many wrong versions of the code the tests notice: mutants of the compile and runtime rooms, each run against the tests
that come by the line that is changed.

    .venv/bin/python -m benchmarks.mutation --count 200                 # an hour and more on two cores
    .venv/bin/python -m benchmarks.mutation --count 200 --resume        # goes on where the last run ended
    .venv/bin/python -m benchmarks.mutation --count 200 --before a868c70   # as many of another revision, with its own tests
    .venv/bin/python -m benchmarks.mutation --count 20 --rooms runtime  # some

A mutant is the code with one thing changed: a comparison, an operator, a number, a condition, a call left out. Places are
drawn with a seed, the same share of every module's lines; what cannot matter (messages, docstrings, annotations) is not among
them. The tests run in a copy of the checkout, so this one may be worked in meanwhile.

First the rooms' tests run once where nothing is changed, under coverage: which tests pass, how long each takes, which lines it
runs. A mutant gets those that run its line: the mirroring file's first, then the quickest, for ``TESTS_S`` seconds in all. So a
survivor may still be noticed by a slow test of whole compiles. A line that is run when its module is imported only, such as a
constant's, gets the files that name the module. Killed: a test fails, or none ends in time; where a whole file ran that does not
pass unchanged, the mutant is "unknown" and does not count. Some survivors compute the same thing, and no test can tell them: look
at each before calling a test weak.

Every fate is written to ``runs/mutation….jsonl`` as soon as it is known. ``--before`` uses the native module of this checkout:
it says much only where that revision can.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import Queue
from typing import Any

from benchmarks.common import RESULTS, ROOT, RUNS, write_result
from benchmarks.mutants import Mutant, draw, mutated
from benchmarks.mutation_cover import Cover, copy_of, mirror_of, record_cover

RESULT = "mutation"
ROOMS = ("compiler", "runtime")
CPU_LIMIT_S = 400  # for each process of a test file: what computes for ever ends on a busy machine as on an idle one
LIMIT_S = 900.0  # for a test file, by the clock: what waits for ever
_NOT_FOUND, _NO_TESTS = 4, 5  # pytest's exit statuses
MOST_TESTS = 4  # files, besides the module's own: those that name it most often


@dataclass(frozen=True)
class Fate:
    """What became of a mutant. ``fate``: killed, survived, hung, or unknown where its tests fail without it too; ``tests``: that
    ran, the one that noticed last; ``seconds``."""

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
    p.add_argument("--resume", action="store_true", help="go on with a run of the same options that was ended")
    p.add_argument("--before", metavar="REV", help="mutants of this revision, under the tests that it has")
    p.add_argument("--survivors", action="store_true", help="run those again that survived the last time")
    arguments = p.parse_args()
    if arguments.survivors:
        last = json.loads((RESULTS / f"{RESULT}.json").read_text())["survivors"]
        again = run([Mutant(**entry["mutant"]) for entry in last], arguments.jobs, ROOT)  # whole files, slow tests too
        print(summary(again))
        return
    with tempfile.TemporaryDirectory(prefix="edgevision-before-") as folder:
        root = ROOT if arguments.before is None else check_out(arguments.before, Path(folder))
        name = RESULT if arguments.before is None else f"{RESULT}-before"
        chosen = draw(arguments.rooms, arguments.count, arguments.seed, root)
        log = Log.open(RUNS / f"{name}.jsonl", chosen, resume=arguments.resume)
        cover_file = RUNS / f"{name}-cover.json"
        if not (arguments.resume and cover_file.is_file()):
            record_cover(arguments.rooms, root, arguments.jobs, cover_file)
        fates = run(chosen, arguments.jobs, root, log, Cover.read(cover_file))
    print(summary(fates))
    known = [fate for fate in fates if fate.fate != "unknown"]
    survivors = [asdict(fate) for fate in fates if fate.fate == "survived"]
    write_result(
        name,
        {
            "revision": arguments.before, "rooms": list(arguments.rooms), "seed": arguments.seed, "mutants": len(known),
            "killed": len(known) - len(survivors), "survivors": survivors,
            "unknown": [asdict(fate) for fate in fates if fate.fate == "unknown"],
        },
    )  # fmt: skip


def summary(fates: Sequence[Fate]) -> str:
    """``150 of 198 mutants died; of 2 the tests fail without them too``."""
    unknown = sum(fate.fate == "unknown" for fate in fates)
    killed = sum(fate.fate in ("killed", "hung") for fate in fates)
    said = f"{killed} of {len(fates) - unknown} mutants died"
    return f"{said}; of {unknown} the tests fail without them too" if unknown else said


def check_out(revision: str, folder: Path) -> Path:
    """The files of a revision of this repository, in ``folder``."""
    archive = subprocess.run(["git", "-C", ROOT, "archive", revision], capture_output=True, check=False)
    if archive.returncode:
        sys.exit(f"git knows no revision {revision!r} here: {archive.stderr.decode().strip()}")
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    return folder


class Log:
    """The fates that are known, one line of JSON each, under a line that says of which mutants."""

    def __init__(self, path: Path, fates: dict[Mutant, Fate]) -> None:
        self._path = path
        self._lock = threading.Lock()
        self.fates = fates

    @classmethod
    def open(cls, path: Path, mutants: Sequence[Mutant], *, resume: bool) -> Log:
        """A new log of these ``mutants``, or with ``resume`` the one that is there. Leaves where fates would be lost, or
        would be of other mutants."""
        drawn = [asdict(mutant) for mutant in mutants]
        lines = path.read_text().splitlines() if path.is_file() else []
        if len(lines) > 1 and not resume:
            sys.exit(f"{path} holds {len(lines) - 1} fates: go on with --resume, or delete it")
        if not lines or not resume:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"mutants": drawn}) + "\n")
            return cls(path, {})
        if json.loads(lines[0])["mutants"] != drawn:
            sys.exit(f"{path} is of other mutants: give the same options, on the same code; or delete it")
        read = [_fate(entry) for line in lines[1:] if (entry := _whole(line)) is not None]
        if not path.read_text().endswith("\n"):  # the last line was being written when the run ended
            path.write_text("".join(f"{line}\n" for line in (lines[0], *(json.dumps(asdict(fate)) for fate in read))))
        return cls(path, {fate.mutant: fate for fate in read})

    def add(self, fate: Fate) -> None:
        """Write it down, now."""
        with self._lock:
            self.fates[fate.mutant] = fate
            with self._path.open("a") as file:
                file.write(json.dumps(asdict(fate)) + "\n")


def _whole(line: str) -> dict[str, Any] | None:
    """What a line holds; None of one that was cut."""
    try:
        return dict(json.loads(line))
    except ValueError:
        return None


def _fate(entry: dict[str, Any]) -> Fate:
    return Fate(Mutant(**entry["mutant"]), entry["fate"], tuple(entry["tests"]), entry["seconds"])


def files_testing(module: str, root: Path = ROOT) -> tuple[str, ...]:
    """Test files of a module: the one that mirrors it, those of its room that name it, and the first of the others that do."""
    dotted = module.removesuffix(".py").replace("/", ".")
    path = Path(module).relative_to("edgevision")
    own = mirror_of(module)
    found: dict[str, int] = {}
    for file in sorted((root / "tests").rglob("test_*.py")):
        name = str(file.relative_to(root))
        text = file.read_text()
        mentions = text.count(dotted) + text.count(f"from {dotted.rpartition('.')[0]} import {path.stem}")
        if mentions or name == str(own):
            found[name] = 1000 if name == str(own) else mentions
    order = sorted(found, key=lambda name: (-found[name], name))[: MOST_TESTS + 1]
    return tuple(order) or tuple(
        sorted({str(p.relative_to(root)) for p in (root / "tests" / path.parent).glob("test_*.py")})
    )


def run(
    mutants: Sequence[Mutant], jobs: int, root: Path, log: Log | None = None, cover: Cover | None = None
) -> list[Fate]:
    """The fate of each, several at a time, each in a copy of ``root``. What the ``log`` knows already is not run again. Without
    a ``cover``, every mutant gets the whole files that name its module."""
    cover = cover or Cover()
    known = {} if log is None else dict(log.fates)
    todo = [mutant for mutant in mutants if mutant not in known]
    with tempfile.TemporaryDirectory(prefix="edgevision-mutants-") as folder:
        copies: Queue[Path] = Queue()
        for place in range(jobs if todo else 0):
            copies.put(copy_of(root, Path(folder, str(place))))
        sound = Sound()

        def find_out(mutant: Mutant) -> Fate:
            checkout = copies.get()
            try:
                fate = _try(mutant, checkout, sound, cover)
            finally:
                copies.put(checkout)
            if log is not None:
                log.add(fate)
            return fate

        with ThreadPoolExecutor(jobs) as pool:
            for fate in pool.map(find_out, todo):
                known[fate.mutant] = fate
                m = fate.mutant
                print(f"{len(known)}/{len(mutants)} {fate.fate:8} {fate.seconds:4.0f} s {m.module}:{m.line} {m.before[:60]!r} → {m.after[:60]!r}",
                      file=sys.stderr, flush=True)  # fmt: skip
    return [known[mutant] for mutant in mutants]


class Sound:
    """Which test files pass where nothing is changed; each is run once, when it is first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._passes: dict[str, bool] = {}

    def __call__(self, file: str, checkout: Path) -> bool:
        """``checkout``: without any change."""
        with self._lock:
            if file not in self._passes:
                self._passes[file] = _outcome([file], checkout) == "survived"
            return self._passes[file]


def _try(mutant: Mutant, checkout: Path, sound: Sound, cover: Cover) -> Fate:
    """Run the tests that cover it; where none does, the module's tests file by file, its own first, up to the first that notices."""
    file = checkout / mutant.module
    source = file.read_text()
    start = time.monotonic()
    ran: list[str] = []
    fate = "survived"
    try:
        file.write_text(mutated(source, mutant.place))
        covering = cover.tests_of(mutant)
        for tests in [covering] if covering else [(name,) for name in files_testing(mutant.module, checkout)]:
            ran += dict.fromkeys(name.partition("::")[0] for name in tests)
            fate = _outcome(tests, checkout)
            if fate != "survived":
                break
    finally:
        file.write_text(source)
    seconds = time.monotonic() - start
    if fate == "lost":  # where the module cannot be imported any more; or a test's name cannot be given
        fate = "killed" if _outcome(covering or ran, checkout) == "survived" else "unknown"
    elif fate != "survived" and not covering and not sound(ran[-1], checkout):
        fate = "unknown"
    return Fate(mutant, fate, tuple(ran), seconds)


def _outcome(tests: Sequence[str], checkout: Path) -> str:
    """``survived`` where these tests or files of tests pass (or all are skipped), ``killed`` at the first that fails, ``hung``, or ``lost`` where
    pytest does not find them."""
    pytest = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-p", "no:xdist", "-p", "no:cacheprovider", *tests]
    command = ["sh", "-c", f'ulimit -t {CPU_LIMIT_S}; exec "$@"', "sh", *pytest]
    try:
        done = subprocess.run(
            command, cwd=checkout, env={**os.environ, "PYTHONPATH": str(checkout)}, capture_output=True, check=False,
            timeout=LIMIT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return "hung"
    if -done.returncode in (signal.SIGXCPU, signal.SIGKILL):
        return "hung"
    if done.returncode == _NOT_FOUND:
        return "lost"
    return "survived" if done.returncode in (0, _NO_TESTS) else "killed"


if __name__ == "__main__":
    main()
