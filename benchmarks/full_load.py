"""Eight threads ask one model at once: how long each waits, and how many answers a second there are.

    .venv/bin/python -m benchmarks.full_load BUNDLE [--against CHECKOUT] [--threads 8] [--seconds 5] [--rounds 5]

Each thread asks for the answer to the same picture again and again, each with one engine thread. ``--against``: another
checkout of this project (its native module built in place), asked in turns with this one, each time in a new process.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import ROOT, write_result

WORK = """
import json, sys, threading, time
import numpy as np, edgevision as ev
bundle, engine, threads, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
with ev.load(bundle, engine=engine, threads=1) as model:
    expected = model.predict(picture).top
    waits = [[] for _ in range(threads)]
    wrong = []
    begin = threading.Barrier(threads)
    def work(mine):
        begin.wait()
        end = time.perf_counter() + seconds
        while (start := time.perf_counter()) < end:
            if model.predict(picture).top != expected:
                wrong.append(1)
            mine.append(1e3 * (time.perf_counter() - start))
    workers = [threading.Thread(target=work, args=(mine,)) for mine in waits]
    [w.start() for w in workers]
    [w.join() for w in workers]
    assert not wrong
print(json.dumps(waits))
"""


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bundle", type=Path)
    p.add_argument("--against", type=Path)
    p.add_argument("--threads", type=int, default=8)
    p.add_argument("--seconds", type=float, default=5.0)
    p.add_argument("--rounds", type=int, default=5)
    arguments = p.parse_args()
    checkouts = {"ours": ROOT}
    if arguments.against is not None:
        checkouts["against"] = arguments.against.resolve()
    rows: dict[str, list[dict[str, float]]] = {}
    for _ in range(arguments.rounds):
        for engine in ("onnxruntime", "openvino"):
            for name, checkout in checkouts.items():
                rows.setdefault(f"{engine} {name}", []).append(measure(checkout, engine, arguments))
    medians = {
        name: {key: float(np.median([row[key] for row in found])) for key in found[0]} for name, found in rows.items()
    }
    for name, row in medians.items():
        print(f"{name:22}" + "".join(f"{key} {value:8.1f}   " for key, value in row.items()))
    settings = {"threads": arguments.threads, "seconds": arguments.seconds, "rounds": arguments.rounds}
    write_result("full_load", {**settings, "medians": medians, "rounds_measured": rows})


def measure(checkout: Path, engine: str, arguments: Any) -> dict[str, float]:
    """One run in a process of its own."""
    command = [
        sys.executable, "-W", "ignore", "-c", WORK, str(arguments.bundle.resolve()), engine, str(arguments.threads),
        str(arguments.seconds),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=checkout, env=environment)
    waits = [np.array(mine) for mine in json.loads(done.stdout)]
    every = np.concatenate(waits)
    return {
        "p50_ms": float(np.median(every)),
        "p99_ms": float(np.quantile(every, 0.99)),
        "greatest_ms": float(every.max()),
        "answers_per_s": len(every) / arguments.seconds,
        "fewest_of_a_thread": float(min(map(len, waits))),
        "most_of_a_thread": float(max(map(len, waits))),
    }


if __name__ == "__main__":
    main()
