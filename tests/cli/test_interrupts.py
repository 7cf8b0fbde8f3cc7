"""edgevision.cli.interrupts: Ctrl-C raises where it can be caught, and waits where it cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgevision.cli.interrupts import raised_where_it_can_be_caught

ROOT = Path(__file__).parent.parent.parent
LIMIT_S = 60.0  # for what comes at once, or a moment later


@pytest.fixture(autouse=True)
def handler():
    """Python's own, as in a command; and afterwards what was there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupted_by(work: Callable[[], object]) -> None:
    """``work`` raises the signal; KeyboardInterrupt comes then, or a moment later."""
    deadline = time.monotonic() + LIMIT_S
    with raised_where_it_can_be_caught():
        work()
        while time.monotonic() < deadline:
            time.sleep(0.01)


def test_it_is_raised_at_once():
    with pytest.raises(KeyboardInterrupt):
        interrupted_by(lambda: os.kill(os.getpid(), signal.SIGINT))


@pytest.mark.parametrize("statement", ["import {}", "from {} import done", "import {}.inner"])
def test_a_module_is_imported_to_its_end_first(tmp_path, monkeypatch, statement):
    """The signal comes in the midst of it, once more deep inside a function."""
    code = (
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n"
        "def deep(n):\n    return deep(n - 1) if n else os.kill(os.getpid(), signal.SIGINT)\ndeep(5)\ndone = sum(range(1000))\n"
    )
    (tmp_path / "interrupted").mkdir()
    (tmp_path / "interrupted" / "__init__.py").write_text(code)
    (tmp_path / "interrupted" / "inner.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("interrupted", "interrupted.inner"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(KeyboardInterrupt):
        interrupted_by(lambda: exec(statement.format("interrupted")))
    assert sys.modules["interrupted"].done == 499500
    assert ".inner" not in statement or sys.modules["interrupted.inner"].done == 499500


def test_what_python_drops_comes_again():
    class Doomed:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(100))

    with pytest.raises(KeyboardInterrupt):
        interrupted_by(Doomed)


def test_nothing_comes_again_once_it_is_over():
    """Two signals came where neither could be caught: the first ends the command, and the second is for nobody else."""

    class Doomed:
        def __del__(self):
            os.kill(os.getpid(), signal.SIGINT)
            sum(range(100))

    heard = []
    signal.signal(signal.SIGINT, lambda *_: heard.append(1))
    with pytest.raises(KeyboardInterrupt):
        interrupted_by(lambda: (Doomed(), Doomed()))
    with raised_where_it_can_be_caught():
        Doomed()
    time.sleep(0.5)  # ten times as long as a signal waits
    assert heard == []


def test_what_was_there_before_is_there_again():
    before = signal.getsignal(signal.SIGINT), sys.unraisablehook
    with raised_where_it_can_be_caught():
        assert signal.getsignal(signal.SIGINT) is not before[0]
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before
    with pytest.raises(ValueError, match="mine"), raised_where_it_can_be_caught():
        raise ValueError("mine")
    assert (signal.getsignal(signal.SIGINT), sys.unraisablehook) == before


def test_where_it_is_ignored_it_stays_so():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with raised_where_it_can_be_caught():
        os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_other_threads_set_no_handler():
    done = []

    def run():
        with raised_where_it_can_be_caught():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]


def test_leaving_at_once_closes_what_is_open_and_waits_for_nobody():
    code = (
        "import atexit, sys, threading\n"
        "from edgevision.cli.interrupts import leave_at_once\n"
        "atexit.register(lambda: print('closed'))\n"
        "threading.Thread(target=threading.Event().wait).start()\n"
        "leave_at_once(130)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=LIMIT_S, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "closed\n", "")
