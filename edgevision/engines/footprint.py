"""What loading a graph costs, printed as JSON by a process of its own (see ``child``), so that the figures hold nothing
but this engine.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgevision.engines import open_engine
from edgevision.engines.base import EngineOptions
from edgevision.errors import EdgeVisionError

_RUNS = 3


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell (no /proc)."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def main(engine_name: str, threads: str, precision: str, cache: str = "", batches: str = "1") -> None:
    """Load the graph on stdin, run it once at each of the ``batches`` ("1,8"), and print ``load_ms`` = graph bytes → first outputs, and ``rss_bytes`` =
    resident memory added by importing the engine, loading and running; and ``run_ms``. Without ``cache`` nothing comes from our cache of
    compiled graphs, nor goes there. The figures are of the first batch. Where the engine refuses the graph: ``refused``, its words.
    """
    graph = sys.stdin.buffer.read()
    try:
        options = EngineOptions(int(threads), precision, bool(cache))
        sizes = [int(size) for size in batches.split(",")]
        print(json.dumps(_measure(graph, engine_name, options, sizes)), flush=True)
    except EdgeVisionError as error:
        print(json.dumps({"refused": str(error)}), flush=True)


def _measure(graph: bytes, engine_name: str, options: EngineOptions, batches: Sequence[int]) -> dict[str, float]:
    """The figures are of the first of the ``batches``; a graph with a fixed one runs at that alone."""
    before = resident_bytes()
    start = time.perf_counter_ns()
    engine = open_engine(engine_name, graph, options)
    fixed = engine.inputs[0].shape[0]
    first, *others = batches if fixed is None else [fixed]
    slot = engine.slots(first)[0]
    engine.run(slot)
    load_ms = (time.perf_counter_ns() - start) / 1e6
    rss_bytes = max(0, resident_bytes() - before)
    run_ms = min(_timed_ms(lambda: engine.run(slot)) for _ in range(_RUNS))
    for batch in others:  # last, so that their memory is not in the figures
        engine.run(engine.slots(batch)[0])
    engine.close()
    return {"load_ms": load_ms, "rss_bytes": rss_bytes, "run_ms": run_ms}


def _timed_ms(call: Callable[[], object]) -> float:
    start = time.perf_counter_ns()
    call()
    return (time.perf_counter_ns() - start) / 1e6
