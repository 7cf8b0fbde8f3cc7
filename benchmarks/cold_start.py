"""Cold start and memory: process start → first prediction, of an int8 bundle and of ultralytics' predict, in turns.

    python3 -m venv build/peer-venv && build/peer-venv/bin/pip install ultralytics
    .venv/bin/python -m benchmarks.cold_start runs/grocery-lite0.edge PHOTO [--peer build/peer-venv/bin/python]

The peer runs a classification network of like size (yolo11s-cls, 5.5 M parameters against EfficientNet-Lite0's 4.7 M)
with random weights, saved once as .pt before the clock starts. OpenVINO starts cold (our cache of compiled graphs is off) and
warm (an earlier process filled it). Also: ``import edgevision`` with ``load`` resolved, against ``import numpy``.
Needs Linux (/proc) for the memory figure.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import RUNS, write_result
from edgevision.latency import Samples, paired_ratio

WARM, COLD = "edgevision predict in openvino", "edgevision predict in openvino, cold"
MEMORY = "print(next(l for l in open('/proc/self/status') if l.startswith('VmRSS')).split()[1], next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1])"
OURS = (
    "import sys, edgevision as ev; m = ev.load(sys.argv[1], engine=sys.argv[3]); r = m.predict(sys.argv[2]); assert len(r.top); "
    + MEMORY
)
PEER = (
    "import sys; from ultralytics import YOLO; m = YOLO(sys.argv[1]); r = m.predict(sys.argv[2], imgsz=224, device='cpu', "
    "verbose=False, save=False); assert r[0].probs is not None; " + MEMORY
)


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("bundle", type=Path)
    p.add_argument("photo", type=Path)
    p.add_argument("--peer", type=Path, help="interpreter of an environment with ultralytics")
    p.add_argument("--rounds", type=int, default=15)
    arguments = p.parse_args()
    bundle, photo = arguments.bundle.resolve(), arguments.photo.resolve()
    commands: dict[str, list[str]] = {
        "import numpy": [sys.executable, "-c", "import numpy"],
        "import edgevision": [sys.executable, "-c", "from edgevision import load"],
        "edgevision predict": [sys.executable, "-c", OURS, str(bundle), str(photo), "onnxruntime"],
        WARM: [sys.executable, "-c", OURS, str(bundle), str(photo), "openvino"],
        COLD: [sys.executable, "-c", OURS, str(bundle), str(photo), "openvino"],
    }
    if arguments.peer is not None:
        peer = str(arguments.peer.absolute())
        model = RUNS / "peer-yolo11s-cls.pt"
        RUNS.mkdir(exist_ok=True)
        make = "import sys; from ultralytics import YOLO; YOLO('yolo11s-cls.yaml').save(sys.argv[1])"
        subprocess.run([peer, "-c", make, str(model)], check=True, stdout=subprocess.DEVNULL)
        commands["ultralytics predict"] = [peer, "-c", PEER, str(model), str(photo)]
    with tempfile.TemporaryDirectory() as cache:
        times, memory = _measure(commands, arguments.rounds, cache)
    samples = {name: Samples(np.array(ns, np.int64)) for name, ns in times.items()}
    figures: dict[str, Any] = {"rounds": arguments.rounds, "p50_ms": {n: s.p50_ms for n, s in samples.items()}}
    figures["import_over_numpy"] = asdict(paired_ratio(samples["import edgevision"], samples["import numpy"]))
    figures["openvino_cold_over_warm"] = asdict(paired_ratio(samples[COLD], samples[WARM]))
    figures["resident_bytes"] = {
        n: {"median": int(np.median([m[0] for m in rows])), "peak": max(m[1] for m in rows)}
        for n, rows in memory.items()
        if rows
    }
    if arguments.peer is not None:
        figures["ultralytics_over"] = {
            name: asdict(paired_ratio(samples["ultralytics predict"], samples[name]))
            for name in ("edgevision predict", WARM, COLD)
        }
        version = "import ultralytics, torch; print(ultralytics.__version__, torch.__version__)"
        figures["peer_versions"] = subprocess.run(
            [peer, "-c", version], capture_output=True, text=True, check=True
        ).stdout.split()
    print(json.dumps(figures, indent=1))
    write_result("cold-start", figures)


def _measure(
    commands: dict[str, list[str]], rounds: int, cache: str
) -> tuple[dict[str, list[int]], dict[str, list[tuple[int, int]]]]:
    """Nanoseconds of each command, and (resident now, peak) in bytes of those that predict. ``cache``: an empty folder."""
    times: dict[str, list[int]] = {name: [] for name in commands}
    memory: dict[str, list[tuple[int, int]]] = {name: [] for name in commands}
    for turn in range(rounds + 1):  # the first turn fills the caches, and is not counted
        for name, command in commands.items():
            environment = {**os.environ, "EDGEVISION_CACHE": cache}
            if name == COLD:
                environment["EDGEVISION_BLOB_CACHE_MB"] = "0"
            start = time.perf_counter_ns()
            done = subprocess.run(command, check=True, capture_output=True, text=True, cwd="/", env=environment)
            took = time.perf_counter_ns() - start
            if turn:
                times[name].append(took)
                if "predict" in name:
                    now, peak = done.stdout.split()[-2:]
                    memory[name].append((int(now) * 1024, int(peak) * 1024))
    return times, memory


if __name__ == "__main__":
    main()
