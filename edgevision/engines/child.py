"""A graph opened and run once in a process of its own, so that an engine that dies of it takes nothing else along.

Engines are C++: a fault in one ends the process, and no ``try`` catches it.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgevision.engines.base import EngineOptions
from edgevision.errors import EngineError

# The child imports from where this process does, whatever lies in its working directory, and leaves no core dump there.
_PROGRAM = """
import sys
sys.path[:] = sys.argv[1].splitlines()
try:
    import resource
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass
from edgevision.engines.footprint import main
main(*sys.argv[2:])
"""
_FAULTS = {"SIGSEGV": "a segmentation fault", "SIGBUS": "a bus error", "SIGILL": "an illegal instruction",
           "SIGFPE": "an arithmetic fault"}  # fmt: skip


@dataclass(frozen=True)
class Footprint:
    """What loading a graph and running it once cost: milliseconds, and bytes of resident memory. ``run_ms``: the shortest of
    a few runs after the first."""

    load_ms: float
    rss_bytes: int
    run_ms: float = 0.0


class EngineDiedError(EngineError):
    """The engine ended its process over a graph, or did not come back from it.

    ``always``: by a fault that the next time will bring too (a bad address, say). An abort or a kill may come from outside, or
    from a lack of memory; a time limit from a busy machine.
    """

    def __init__(self, message: str, always: bool = True) -> None:
        super().__init__(message)
        self.always = always


def interpreter() -> str | None:
    """The Python to start a child with; None where this process has none: programs that were frozen (PyInstaller), and
    hosts that embed Python (uWSGI), would start themselves once more."""
    executable = sys.executable or ""
    is_python = Path(executable).name.lower().startswith(("python", "pypy"))
    return executable if is_python and not getattr(sys, "frozen", False) else None


def run_in_child(
    engine: str, graph: bytes, options: EngineOptions, limit_s: float, batches: Sequence[int] = (1,)
) -> Footprint:
    """Open ``graph`` in ``engine`` and run it at each of the ``batches``, in a new process; figures are of the first.

    Engines choose other code for other batches, and one may die of what another survives.

    Raises EngineDiedError where that process died, or was not done after ``limit_s`` seconds; EngineError where the engine
    refused the graph; OSError where no process can be started here.
    """
    python = interpreter()
    if python is None:
        raise OSError(f"{sys.executable or 'this process'} is no Python that a process could be started with")
    arguments = [
        "\n".join(sys.path),
        engine,
        str(options.threads),
        options.precision,
        "cache" if options.cache else "",
        ",".join(map(str, batches)),
    ]
    try:
        done = subprocess.run(
            [python, "-c", _PROGRAM, *arguments], input=graph, capture_output=True, check=False,
            timeout=None if limit_s == float("inf") else limit_s,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        message = f"{engine} had not opened and run the graph after {limit_s:g} s"
        raise EngineDiedError(message, always=False) from None
    _refuse_death(engine, done.returncode)
    if done.returncode:
        last = (done.stderr.decode(errors="replace").strip().splitlines() or ["no message"])[-1][:300]
        raise EngineError(f"{engine} failed over this graph in a process of its own (status {done.returncode}): {last}")
    figures = json.loads(done.stdout.decode().strip().splitlines()[-1])
    if "refused" in figures:
        raise EngineError(figures["refused"])
    return Footprint(float(figures["load_ms"]), int(figures["rss_bytes"]), float(figures["run_ms"]))


def _refuse_death(engine: str, status: int) -> None:
    """Raise EngineDiedError where this exit status is that of a process that did not end by itself."""
    if status < 0:
        known = {number.value: number.name for number in signal.Signals}
        name = known.get(-status, f"signal {-status}")
        if name in _FAULTS:
            raise EngineDiedError(f"{engine} died of {_FAULTS[name]} over this graph", always=True)
        why = ", perhaps for want of memory" if name == "SIGKILL" else ""
        raise EngineDiedError(f"{engine} was ended by {name} over this graph{why}", always=False)
    if os.name == "nt" and status >= 0xC0000000:  # how Windows reports an exception that nobody caught
        raise EngineDiedError(f"{engine} died of exception {status:#x} over this graph", always=True)
