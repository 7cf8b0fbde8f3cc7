"""``python -m edgevision.engines.footprint ENGINE GRAPH THREADS PRECISION``: what loading a graph costs, as JSON.

Runs in a process of its own, so that the figures hold nothing but this engine: ``load_ms`` = graph bytes → first
outputs, cold: nothing comes from our cache of compiled graphs; ``rss_bytes`` = resident memory added by importing the engine, loading and running.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from edgevision.engines import open_engine
from edgevision.engines.base import EngineOptions


def resident_bytes() -> int:
    """Resident memory of this process; 0 where the system does not tell (no /proc)."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def main(engine_name: str, graph_file: str, threads: str, precision: str) -> None:
    """Load, run once, print."""
    graph = Path(graph_file).read_bytes()
    before = resident_bytes()
    start = time.perf_counter_ns()
    engine = open_engine(engine_name, graph, EngineOptions(int(threads), precision))
    slot = engine.slots(1)[0]
    engine.run(slot)
    load_ms = (time.perf_counter_ns() - start) / 1e6
    print(json.dumps({"load_ms": load_ms, "rss_bytes": max(0, resident_bytes() - before)}))
    engine.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
