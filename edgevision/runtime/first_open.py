"""The first time that a machine opens a graph, a child process tries it: an engine that dies of it is then passed over,
where it would have taken the application down.

How that went is remembered, one small file for each graph, largest batch, engine and kind of CPU, so it costs a process once: after it
OpenVINO's compiled graph is in the cache, where the application finds it. ``EDGEVISION_FIRST_OPEN=here`` does without.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgevision.engines import available_engines
from edgevision.engines.base import EngineOptions
from edgevision.engines.guard import time_limit_s
from edgevision.errors import EdgeVisionError, EngineError
from edgevision.files import atomic_write, cache_folder, read_regular
from edgevision.machine import describe_machine

VARIABLE = "EDGEVISION_FIRST_OPEN"  # "here": in this process, at one's own risk
_MAX_BYTES = 1 << 16


@dataclass(frozen=True)
class _Record:
    """How a graph was found to end. ``fault``: what the engine died of, in words; empty where it lived."""

    fault: str


def try_in_child(graph: bytes, sha256: str, engine: str, options: EngineOptions, max_batch: int = 1) -> None:
    """Raise EngineError where ``engine`` dies of ``graph`` on this machine, or did before.

    ``sha256``: of the graph, hexadecimal. It is run with one item, and with ``max_batch``. Whatever else goes wrong in the child says nothing here: the caller opens the
    graph next, and is told by the engine itself. Where no child can be started, nothing is tried.
    """
    if os.environ.get(VARIABLE, "") == "here" or engine not in available_engines():
        return
    key = _key(sha256, engine, options.precision, max_batch)
    path = (
        cache_folder() / "opened" / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]}.json"
    )
    record = _read(path)
    if record is None:
        record = _find_out(graph, engine, options, max_batch)
        if record is None:  # nothing was learnt, so the next start asks again
            return
        with contextlib.suppress(OSError, EdgeVisionError):  # without a cache, too
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(path, json.dumps({"key": key, "fault": record.fault}, indent=1).encode())
    if record.fault:
        raise EngineError(
            f"{record.fault}, as a child process found that tried it first; use another engine, variant, or version of "
            f"{engine}. To try again, delete {path}"
        )


def _find_out(graph: bytes, engine: str, options: EngineOptions, max_batch: int) -> _Record | None:
    """What becomes of the engine in a child; None where that cannot be told.

    Raises EngineError where it was ended by what may be otherwise next time: too little memory, or time.
    """
    from edgevision.engines.child import EngineDiedError, run_in_child  # slow to import, and seldom needed

    try:
        run_in_child(engine, graph, options, time_limit_s(), sorted({1, max_batch}))
    except EngineDiedError as error:
        if not error.always:
            raise
        return _Record(str(error))
    except (EngineError, OSError, ValueError):
        return None
    return _Record("")


def _read(path: Path) -> _Record | None:
    """What the file says; None where it is not there, or says nothing that can be read."""
    try:
        fault = json.loads(read_regular(path, _MAX_BYTES))["fault"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return _Record(fault) if isinstance(fault, str) else None


def _key(sha256: str, engine: str, precision: str, max_batch: int) -> dict[str, Any]:
    """Everything that decides whether the engine survives."""
    machine = describe_machine()
    return {
        "graph": sha256,
        "engine": [engine, available_engines().get(engine, "")],
        "precision": precision,
        "batch": max_batch,
        "cpu": [machine.cpu, *machine.features],
    }
